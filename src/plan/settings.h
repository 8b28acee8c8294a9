/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings - what main.cf says about one delivery transport:
 * NAME_destination_concurrency_limit and its kin.
 *
 * Errors   RC_CONF names the parameter
 * See      postconf(5)
 */
#pragma once

#include "conf/conf.h"
#include "plan/feedback.h"

struct transport_settings {
	int concurrency_limit; /* 0: none */
	int initial_concurrency;
	int recipient_limit;	 /* a delivery; 0: none; 1: concurrency is per
				  * recipient */
	int failed_cohort_limit; /* 0: a destination is never given up */
	struct feedback positive, negative;
	int rate_delay_s;	    /* between deliveries to a destination */
	int transport_rate_delay_s; /* between any two deliveries */
	int slot_cost, slot_loan, slot_discount, minimum_slots;
};

MUST_CHECK enum rc transport_settings_load(const struct conf *conf,
					   const char *transport,
					   struct transport_settings *ret,
					   struct fault *fault);
