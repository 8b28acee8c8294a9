/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/value.h"

#include <limits.h>

#include "conf/conf.h"

enum rc value_parse_bool(struct span text, bool *ret_value, struct fault *fault)
{
	if (!span_is_nocase(text, "yes") && !span_is_nocase(text, "no"))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "bad boolean value: write yes or no");
	*ret_value = span_is_nocase(text, "yes");
	return RC_OK;
}

enum rc value_parse_long(struct span text, long *ret_value, struct fault *fault)
{
	bool negative = span_starts(text, "-");
	uint64_t value;

	if (!span_to_u64(negative ? span_skip(text, 1) : text, LONG_MAX,
			 &value))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "bad numerical value: write a whole number");
	*ret_value = negative ? -(long)value : (long)value;
	return RC_OK;
}

static int time_unit_s(char unit)
{
	switch (unit) {
	case 's':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 3600;
	case 'd':
		return 86400;
	case 'w':
		return 7 * 86400;
	default:
		return 0;
	}
}

enum rc conf_parse_time(struct span text, char unit, int *ret_s,
			struct fault *fault)
{
	struct span digits = text;
	uint64_t value;
	int scale;

	if (text.len > 0 && !ascii_is_digit(text.ptr[text.len - 1])) {
		unit = text.ptr[text.len - 1];
		digits.len--;
	}
	scale = time_unit_s(unit);
	if (scale == 0 || !span_to_u64(digits, INT_MAX, &value) ||
	    value > (uint64_t)(INT_MAX / scale))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "bad time value: write a number and one of "
				 "s m h d w, such as 300s");
	*ret_s = (int)value * scale;
	return RC_OK;
}

char value_time_unit(const char *preset)
{
	for (; *preset != '\0'; preset++) {
		if (time_unit_s(*preset) != 0)
			return *preset;
	}
	return 's';
}

enum rc value_check_range(long value, long min, long max, const char *what,
			  struct fault *fault)
{
	if (min != 0 && value < min)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "%s %ld is too small: the minimum is %ld",
				 what, value, min);
	if (max != 0 && value > max)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "%s %ld is too large: the maximum is %ld",
				 what, value, max);
	return RC_OK;
}
