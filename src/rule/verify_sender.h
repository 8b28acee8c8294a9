/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify_sender - who probes come from: address_verify_sender, complete with
 * its domain, and with the time in its name when address_verify_sender_ttl says
 * so, that nobody can collect it and send to it later.
 *
 * Shape    double-bounce@example.test, double-bounceMFMQD@example.test; "" is
 *          the null sender
 * Units    seconds since 1970
 * Threads  no state
 */
#pragma once

#include "conf/conf.h"
#include "base/span.h"

/* A child of mem. */
const char *verify_sender_make(TALLOC_CTX *mem, const struct conf *conf,
			       int64_t now_s);
/* Is it, or was it a moment ago? Internal form; without a domain it is ours. */
MUST_CHECK bool verify_sender_is(const struct conf *conf, struct span address,
				 int64_t now_s);
