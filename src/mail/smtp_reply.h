/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smtp_reply - one SMTP reply, read from a server.
 *
 * Shape    550-5.1.1 <jo@example.test>: no such user\r\n
 *          550 5.1.1 see https://example.test/help\r\n
 *          LF alone ends a line too; the code of the last line counts
 * Units    bytes; at most SMTP_REPLY_LINE_MAX_BYTES a line and
 *          SMTP_REPLY_LINES_MAX lines
 * Errors   RC_NONE more input needed; RC_PERM not a reply (5.5.0)
 * Owner    the reply is a child of mem; its spans point into the input
 * Threads  belongs to the session that read it
 * See      RFC 5321 section 4.2, RFC 2034
 */
#pragma once

#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"

enum { SMTP_REPLY_LINE_MAX_BYTES = 2048, SMTP_REPLY_LINES_MAX = 256 };

struct smtp_reply {
	int code;		 /* 200 to 599 */
	char dsn[DSN_MAX_BYTES]; /* "5.1.1" of the last line that has one of
				  * the code's class, or "" */
	size_t line_count;
	struct span *lines; /* whole lines, without the line end */
};

/* Take one whole reply from the front of *in. On RC_OK *in has moved past it;
 * on any other outcome *in and *ret_reply are as they were. */
MUST_CHECK enum rc smtp_reply_parse(TALLOC_CTX *mem, struct span *in,
				    struct smtp_reply **ret_reply,
				    struct fault *fault);
/* Line i after "250-": what EHLO keywords are read from. */
struct span smtp_reply_line(const struct smtp_reply *reply, size_t i);
/* "550-5.1.1 first 550 5.1.1 second", bytes that are not printable as '?': for
 * logs and notices. At most max bytes. */
char *smtp_reply_text(TALLOC_CTX *mem, const struct smtp_reply *reply,
		      size_t max);
/* "5.1.1", or "5.0.0" made from the code when the server sent none. */
void smtp_reply_dsn(const struct smtp_reply *reply,
		    char ret_dsn[DSN_MAX_BYTES]);
/* Signs of a middle box that rewrites the session so that no TLS is begun: a
 * greeting of asterisks ("220 *****"), a keyword crossed out ("250-XXXXXXA"). */
bool smtp_reply_is_masked(const struct smtp_reply *reply);
