/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command - the table of SMTP commands, and the functions behind it: one file
 * each, verb_NAME.c.
 *
 * A function makes its reply with session_reply and says whether the command
 * did what was asked; "failed" counts as an error of the client.
 */
#pragma once

#include "arrive/smtpd/session.h"

enum verb_result {
	VERB_DONE,
	VERB_FAILED,
	VERB_REPLACED, /* neither: the client is another now (XCLIENT) */
};

typedef enum verb_result smtp_verb_fn(struct smtpd_session *s,
				      struct span args);

enum verb_traits {
	ENDS_PIPELINE = 1, /* nothing may follow before the reply */
	BEFORE_TLS = 2,	   /* allowed where TLS is required */
	IS_JUNK = 4,	   /* does not get mail anywhere */
};

/* When a command is legal. */
enum verb_state {
	ANY_TIME,
	NO_SENDER,
	HAS_SENDER,
	HAS_RCPT, /* a sender, and a recipient was tried */
};

size_t smtp_verb_count(void);
const char *smtp_verb_name(size_t i);

smtp_verb_fn verb_helo, verb_ehlo, verb_starttls, verb_auth, verb_mail,
	verb_rcpt, verb_data, verb_bdat, verb_rset, verb_noop, verb_vrfy,
	verb_etrn, verb_help, verb_quit, verb_xclient, verb_xforward;

/* XCLIENT and XFORWARD: can it be said now, with these arguments, and by a
 * client with this right? If not, the reply is made. */
MUST_CHECK bool verb_xclient_is_allowed(struct smtpd_session *s,
					const char *verb, struct span args,
					enum rc right);
/* Begin the transaction's message at its first accepted recipient. */
MUST_CHECK enum rc transaction_open(struct smtpd_session *s,
				    struct fault *fault);
/* One accepted recipient into it. */
MUST_CHECK enum rc transaction_recipient(struct smtpd_session *s,
					 const struct smtp_rcpt *rcpt,
					 struct fault *fault);
/* Where content goes; a content_sink_fn whose arg is the session. */
void transaction_content(void *arg, enum content_kind kind, struct span bytes);
/* The whole content is here: commit, reply, reset. */
enum verb_result transaction_finish(struct smtpd_session *s);
