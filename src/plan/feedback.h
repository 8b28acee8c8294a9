/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feedback - how fast the number of parallel deliveries to a destination grows
 * after success and shrinks after failure.
 *
 * Shape    "0.5", "1 / concurrency", "0.25/sqrt_concurrency"; the number is 0
 *          to 1
 */
#pragma once

#include "base/fault.h"
#include "base/span.h"

enum feedback_form { FEEDBACK_FIXED, FEEDBACK_BY_N, FEEDBACK_BY_SQRT_N };

struct feedback {
	enum feedback_form form;
	double amount;
};

/* RC_CONF: not of that shape. */
MUST_CHECK enum rc feedback_parse(const char *text, struct feedback *ret,
				  struct fault *fault);
double feedback_step(const struct feedback *feedback, int concurrency);
