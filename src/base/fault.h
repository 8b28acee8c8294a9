/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault - why something failed: again later, never, or the operator must act.
 *
 * Shape    outcome, RFC 3463 status, text without a line end
 * Owner    the caller's, a value with nothing to free
 * Use      who fails returns fault_set(...); who passes it on returns
 *          fault_add(...), which puts what it was doing in front:
 *          "queue file 12AB: open 12AB: Permission denied"
 *          %m in the format is errno at the time of the call
 */
#pragma once

#include "base/compiler.h"

enum rc {
	RC_OK,
	RC_NONE, /* asked, and there is none */
	RC_TEMP, /* 4xx, stays queued */
	RC_PERM, /* 5xx, bounces */
	RC_CONF, /* the operator must act; for a peer it is RC_TEMP */
};

enum { FAULT_TEXT_MAX_BYTES = 512, DSN_MAX_BYTES = 12 };

struct fault {
	enum rc rc;
	char dsn[DSN_MAX_BYTES]; /* "4.3.0" */
	char text[FAULT_TEXT_MAX_BYTES];
};

/* Fill *fault (may be NULL) and return rc. */
enum rc fault_set(struct fault *fault, enum rc rc, const char *dsn,
		  const char *format, ...) PRINTF(4, 5);
/* Put context in front of the text; returns fault->rc (RC_TEMP if NULL). */
enum rc fault_add(struct fault *fault, const char *format, ...) PRINTF(2, 3);
