/* SPDX-License-Identifier: Apache-2.0 */
/*
 * date - times as text, in the local time zone.
 *
 * Units    seconds since 1970
 * Owner    the caller's array; the answer is that array
 * Threads  any
 */
#pragma once

#include <time.h>

#include "base/compiler.h"

enum { DATE_MAX_BYTES = 128 };

/* "Sat, 21 Nov 2026 20:00:16 +0000 (UTC)", RFC 5322 section 3.3. */
const char *date_rfc5322(char out[DATE_MAX_BYTES], time_t when);
/* "Sat Nov 21 20:00:16", for mailq. */
const char *date_short(char out[DATE_MAX_BYTES], time_t when);
/* "Sat Nov 21 20:00:16 2026", for the From line of an mbox. */
const char *date_mbox(char out[DATE_MAX_BYTES], time_t when);
/* "Nov 21 20:00:16", for logs. */
const char *date_log(char out[DATE_MAX_BYTES], time_t when);
