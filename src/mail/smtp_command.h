/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smtp_command - one SMTP command line taken apart; MAIL and RCPT with their
 * ESMTP parameters.
 *
 * Shape    MAIL FROM:<jo@example.test> SIZE=100 BODY=8BITMIME
 *          without the line end; verbs and keywords in any case
 * Errors   RC_PERM: *ret_code is the reply code (501, 555, ...), the fault has
 *          DSN and text in the reference's words
 * Owner    answers are children of mem; other spans point into the line
 * Threads  no state
 * See      RFC 5321 section 4.1, RFC 1870, 3461, 4954, 6152, 6531
 */
#pragma once

#include "mail/address.h"

enum {
	SMTP_PARAMETERS_MAX = 32, /* on one command */
	SMTP_XTEXT_MAX_BYTES = 2048,
};

struct smtp_command {
	struct span verb; /* "MAIL", as written; empty for an empty line */
	struct span args; /* the rest, trimmed */
};

void smtp_command_split(struct span line, struct smtp_command *ret_command);
bool smtp_command_is(const struct smtp_command *command, const char *verb);

enum smtp_body { SMTP_BODY_NONE, SMTP_BODY_7BIT, SMTP_BODY_8BITMIME };
/* Same values as enum dsn_ret and enum dsn_notify of queue/envelope.h. */
enum smtp_ret { SMTP_RET_NONE = 0, SMTP_RET_FULL = 1, SMTP_RET_HDRS = 2 };
enum smtp_notify {
	SMTP_NOTIFY_NEVER = 1,
	SMTP_NOTIFY_SUCCESS = 2,
	SMTP_NOTIFY_FAILURE = 4,
	SMTP_NOTIFY_DELAY = 8,
};

enum smtp_parse_flags {
	SMTP_STRICT = 1,       /* strict_rfc821_envelopes */
	SMTP_UTF8_ENABLED = 2, /* smtputf8_enable: the parameter exists */
	SMTP_MINUS_OK = 4,     /* allow_min_user */
};

struct smtp_mail {
	struct span path;    /* as given, for logs: "<jo@example.test>" */
	struct span address; /* internal form; "" is the null sender */
	bool has_size, smtputf8;
	uint64_t size_bytes;
	enum smtp_body body;
	enum smtp_ret ret;
	struct span envid; /* decoded; ptr NULL: not given */
	struct span auth;  /* AUTH=, decoded; ptr NULL: not given */
	struct span verp;  /* XVERP, "" for the default; ptr NULL: not given */
};

struct smtp_rcpt {
	struct span path;
	struct span address; /* internal form, never empty */
	uint8_t notify;	     /* enum smtp_notify bits */
	struct span orcpt;   /* "rfc822;jo@example.test", address decoded;
			      * ptr NULL: not given */
};

/* The args of MAIL and RCPT. */
MUST_CHECK enum rc smtp_mail_parse(TALLOC_CTX *mem, struct span args, int flags,
				   struct smtp_mail *ret_mail, int *ret_code,
				   struct fault *fault);
MUST_CHECK enum rc smtp_rcpt_parse(TALLOC_CTX *mem, struct span args, int flags,
				   struct smtp_rcpt *ret_rcpt, int *ret_code,
				   struct fault *fault);

/* RFC 3461 xtext: "+2B" is "+". RC_PERM on a bad escape or a control byte. */
MUST_CHECK enum rc xtext_decode(TALLOC_CTX *mem, struct span text,
				struct span *ret_text, struct fault *fault);
/* The same, whatever the bytes are. */
MUST_CHECK enum rc xtext_decode_bytes(TALLOC_CTX *mem, struct span text,
				      struct span *ret_text,
				      struct fault *fault);
bool xtext_encode_add(struct buf *out, struct span text);
/* "NEVER" or a list of SUCCESS, FAILURE, DELAY. */
MUST_CHECK bool smtp_notify_parse(struct span text, uint8_t *ret_notify);
