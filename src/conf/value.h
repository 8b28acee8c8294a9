/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value - the typed meaning of a parameter's text.
 *
 * Errors   RC_CONF; the text says what was expected, not where it stood
 * Note     a minimum of 0 is no minimum: numbers below 0 are then allowed, as
 *          in the reference (postscreen_dnsbl_allowlist_threshold = -2)
 */
#pragma once

#include "base/fault.h"
#include "base/span.h"

MUST_CHECK enum rc value_parse_bool(struct span text, bool *ret_value,
				    struct fault *fault);
/* A decimal number, "-" allowed. */
MUST_CHECK enum rc value_parse_long(struct span text, long *ret_value,
				    struct fault *fault);
/* The unit that a bare number takes: the first letter of the default. */
char value_time_unit(const char *preset);
MUST_CHECK enum rc value_check_range(long value, long min, long max,
				     const char *what, struct fault *fault);
