/* SPDX-License-Identifier: Apache-2.0 */
/*
 * envelope - who a message is from, for whom, and what is known about how it
 * came. What SMTP says outside the message (RFC 5321 section 2.3.1) and DSN
 * (RFC 3461).
 *
 * Owner    all texts are children of the envelope
 * Texts    addresses in internal form, without <>; "" is the null sender;
 *          optional texts are NULL when unknown
 */
#pragma once

#include "base/fault.h"
#include "base/buf.h"
#include "base/mem.h"

enum dsn_notify { /* bits */
	DSN_NOTIFY_DEFAULT = 0,
	DSN_NOTIFY_NEVER = 1,
	DSN_NOTIFY_SUCCESS = 2,
	DSN_NOTIFY_FAILURE = 4,
	DSN_NOTIFY_DELAY = 8,
};

enum dsn_ret { DSN_RET_DEFAULT = 0, DSN_RET_FULL = 1, DSN_RET_HDRS = 2 };

enum envelope_flags {
	ENVELOPE_8BIT = 1,	/* the body has bytes above 127 */
	ENVELOPE_SMTPUTF8 = 2,	/* needs SMTPUTF8 of the next hop */
	ENVELOPE_BODY_8BITMIME = 4, /* the client said BODY=8BITMIME */
	ENVELOPE_HOLD = 8,	/* goes on hold */
	ENVELOPE_INTERNAL = 16, /* made here: a bounce or notice */
	ENVELOPE_DOT_LINE = 32, /* a line starts with a dot */
	ENVELOPE_BARE_EOL = 64, /* a CR or LF that is not CRLF */
	ENVELOPE_FORCE_EXPIRE = 128,
	ENVELOPE_PROBE = 256, /* would it be delivered? nothing is, and it is
			       * tried once */
	ENVELOPE_VERIFY = 512, /* a probe of the verify service */
	ENVELOPE_REPORT = 1024, /* the sender hears of every recipient */
};

struct recipient {
	const char *address;	/* where it goes, after rewriting */
	const char *original;	/* as received (X-Original-To, orig_to=) */
	const char *dsn_orcpt;	/* "rfc822;jo@example.test", or NULL */
	uint8_t notify;		/* enum dsn_notify */
};

struct envelope {
	const char *queue_id;
	const char *sender;
	uint64_t arrival_us;	/* wall clock, microseconds since 1970 */
	uint64_t size_bytes;	/* size= in logs and mailq: the content */
	uint32_t flags;		/* enum envelope_flags */
	uint32_t longest_line;	/* bytes without the line end */
	uint8_t dsn_ret;	/* enum dsn_ret */
	const char *dsn_envid;	/* decoded xtext, or NULL */
	const char *client_name, *client_address, *client_port;
	const char *client_proto, *client_helo; /* "ESMTP", "mail.example.test" */
	const char *log_ident;	/* queue id before a requeue, or NULL */
	const char *sasl_method, *sasl_username, *sasl_sender;
	const char *filter;	/* FILTER action or content_filter, or NULL */
	const char *redirect;	/* REDIRECT action, or NULL */
	const char *verp;	/* VERP delimiters, or NULL */
	uint64_t warned_us;	/* delay notice sent at, 0: not */
	struct recipient *recipients;
	size_t recipient_count;
};

struct envelope *envelope_new(TALLOC_CTX *mem);
void envelope_set_text(struct envelope *env, const char **field,
		       struct span text);
/* Adds a zeroed recipient with this address. The pointer is good until the next
 * one is added. */
struct recipient *envelope_add_recipient(struct envelope *env,
					 struct span address);

/* The form in images and packets: tag, length, value; unknown tags are skipped.
 * A decoded envelope is a child of mem. RC_PERM: not an envelope. */
void envelope_encode(const struct envelope *env, bool with_recipients,
		     struct buf *out);
MUST_CHECK enum rc envelope_decode(TALLOC_CTX *mem, struct span bytes,
				   struct envelope **ret_env,
				   struct fault *fault);
