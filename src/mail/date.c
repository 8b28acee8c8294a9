/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/date.h"

#include <stdio.h>
#include <stdlib.h>

/* strftime would follow the locale. */
static const char days[7][4] = {
	"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"
};
static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
				    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

const char *date_rfc5322(char out[DATE_MAX_BYTES], time_t when)
{
	struct tm tm;
	long east;

	localtime_r(&when, &tm);
	east = tm.tm_gmtoff / 60;
	snprintf(out, DATE_MAX_BYTES,
		 "%s, %02d %s %d %02d:%02d:%02d %c%02ld%02ld (%.20s)",
		 days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
		 tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec,
		 east < 0 ? '-' : '+', labs(east) / 60, labs(east) % 60,
		 tm.tm_zone == NULL ? "" : tm.tm_zone);
	return out;
}

const char *date_short(char out[DATE_MAX_BYTES], time_t when)
{
	struct tm tm;

	localtime_r(&when, &tm);
	snprintf(out, DATE_MAX_BYTES, "%s %s %2d %02d:%02d:%02d",
		 days[tm.tm_wday], months[tm.tm_mon], tm.tm_mday, tm.tm_hour,
		 tm.tm_min, tm.tm_sec);
	return out;
}

const char *date_mbox(char out[DATE_MAX_BYTES], time_t when)
{
	struct tm tm;

	localtime_r(&when, &tm);
	snprintf(out, DATE_MAX_BYTES, "%s %s %2d %02d:%02d:%02d %d",
		 days[tm.tm_wday], months[tm.tm_mon], tm.tm_mday, tm.tm_hour,
		 tm.tm_min, tm.tm_sec, tm.tm_year + 1900);
	return out;
}

const char *date_log(char out[DATE_MAX_BYTES], time_t when)
{
	struct tm tm;

	localtime_r(&when, &tm);
	snprintf(out, DATE_MAX_BYTES, "%s %2d %02d:%02d:%02d",
		 months[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min,
		 tm.tm_sec);
	return out;
}
