/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/message_id.h"

char *message_id_make(TALLOC_CTX *mem, const char *queue_id,
		      const char *hostname, time_t when)
{
	struct tm tm;

	gmtime_r(&when, &tm);
	return mem_printf(mem, "<%04d%02d%02d%02d%02d%02d.%s@%s>",
			  tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
			  tm.tm_hour, tm.tm_min, tm.tm_sec, queue_id, hostname);
}

struct span message_id_of_value(struct span value)
{
	ssize_t open, close;

	value = span_trim(value);
	open = span_find(value, '<');
	if (open < 0)
		return value;
	close = span_find(span_skip(value, (size_t)open), '>');
	if (close < 0)
		return value;
	return span_take(span_skip(value, (size_t)open), (size_t)close + 1);
}
