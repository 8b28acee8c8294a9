/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/feedback.h"

#include <math.h>

enum { FEEDBACK_DIGITS_MAX = 9 };

/* Digits with at most one point, 0 to 1. No strtod: it knows locales. */
static bool amount_parse(struct span text, double *ret_amount)
{
	double value = 0, scale = 0;
	size_t digits = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (c == '.' && scale == 0) {
			scale = 1;
			continue;
		}
		if (!ascii_is_digit(c) || ++digits > FEEDBACK_DIGITS_MAX)
			return false;
		value = value * 10 + (c - '0');
		scale *= 10;
	}
	if (digits == 0)
		return false;
	if (scale > 1)
		value /= scale;
	if (value > 1)
		return false;
	*ret_amount = value;
	return true;
}

enum rc feedback_parse(const char *text, struct feedback *ret,
		       struct fault *fault)
{
	struct span rest = span_from(text), amount = { NULL, 0 };
	struct feedback feedback = { .form = FEEDBACK_FIXED };
	bool fine;

	fine = span_cut(&rest, '/', &amount) &&
	       amount_parse(span_trim(amount), &feedback.amount);
	if (fine && rest.ptr != NULL) {
		struct span by = span_trim(rest);

		if (span_is(by, "concurrency"))
			feedback.form = FEEDBACK_BY_N;
		else if (span_is(by, "sqrt_concurrency"))
			feedback.form = FEEDBACK_BY_SQRT_N;
		else
			fine = false;
	}
	if (!fine)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "bad concurrency feedback \"%s\": need a "
				 "number from 0 to 1, number / concurrency, "
				 "or number / sqrt_concurrency",
				 text);
	*ret = feedback;
	return RC_OK;
}

double feedback_step(const struct feedback *feedback, int concurrency)
{
	switch (feedback->form) {
	case FEEDBACK_BY_N:
		return feedback->amount / concurrency;
	case FEEDBACK_BY_SQRT_N:
		return feedback->amount / sqrt(concurrency);
	case FEEDBACK_FIXED:
		break;
	}
	return feedback->amount;
}
