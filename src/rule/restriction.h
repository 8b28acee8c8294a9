/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restriction - may this client send this? The lists smtpd_*_restrictions,
 * compiled once and asked at each stage of a session.
 *
 * Shape    a list is a row of restrictions; each says OK (the rest of this
 *          list is skipped), REJECT (the command is refused) or DUNNO (go on).
 *          With smtpd_delay_reject the client, helo and sender lists are asked
 *          at every RCPT.
 * Errors   restrictions_open: RC_CONF, one line for the operator: a list that
 *          cannot reject, a restriction that does not exist here yet.
 *          At run time a word that is no restriction, or a table that fails, is
 *          a 451 reply, never "no match".
 * Owner    answers are children of the mem given
 * Threads  struct restrictions is immutable; any thread may ask. The state is
 *          the session's.
 * See      access(5); reference inventory, section 4
 */
#pragma once

#include "net/dns.h"
#include "rule/recipient.h"

struct restrictions;

MUST_CHECK enum rc restrictions_open(TALLOC_CTX *mem, struct conf *conf,
				     struct resolver *resolver,
				     struct recipient_lists *lists,
				     struct restrictions **ret_restrictions,
				     struct fault *fault);
enum restriction_stage {
	AT_CONNECT,
	AT_HELO,
	AT_MAIL,
	AT_RCPT, /* and VRFY */
	AT_DATA,
	AT_END_OF_DATA,
	AT_ETRN,
};

/* What is known of the session. Addresses are in internal form; NULL: not said
 * yet (sender, recipient, helo, etrn_domain) or not there. */
struct restriction_request {
	const char *client_name; /* "unknown" when it was not proved */
	const char *client_address, *client_port;
	const char *reverse_name; /* what PTR said, "unknown" */
	enum rc client_name_rc;	  /* RC_OK, RC_PERM no such name, RC_TEMP */
	enum rc reverse_name_rc;
	const char *server_address, *server_port; /* where it connected to */
	const char *state;    /* "CONNECT", "EHLO", "RCPT", "VRFY", ... */
	const char *protocol; /* "ESMTP", "SMTP" */
	const char *queue_id; /* NULL: none yet */
	const char *instance; /* the same in all questions about a message */
	uint64_t size_bytes;  /* as announced, then as it is */
	const char *helo;
	const char *sender, *recipient;
	const char *etrn_domain;
	unsigned int recipient_count; /* accepted so far */
	bool tls;
	const char *tls_protocol, *tls_cipher, *tls_sni;
	int tls_key_bits;
	/* Names in a certificate that was verified. */
	const char *cert_subject, *cert_issuer;
	/* Fingerprint and public key fingerprint of a client certificate. */
	const char *cert_fingerprint, *pubkey_fingerprint;
	bool cert_trusted;
	const char *sasl_method, *sasl_username, *sasl_sender;
	struct dns *dns; /* NULL: DNS cannot say anything */
	bool unauth_pipelining;
	struct restriction_waiter *waiter; /* NULL: a question blocks */
};

/* Who asks may wait without a thread: restrictions_ask then says RC_NONE, calls
 * ready (from any thread; it must be short) when it is worth asking again, and
 * expects the same request then. memo is what was found out so far: nothing is
 * asked twice. Free and clear it when nobody will ask again. */
struct restriction_memo;
struct restriction_waiter {
	void (*ready)(void *arg);
	void *arg;
	struct restriction_memo *memo; /* NULL: a new question */
};

/* One line for the log, "what: STAGE from CLIENT: text; from=..." */
struct restriction_note {
	struct restriction_note *next;
	const char *what; /* "reject_warning", "hold", ...; "warning": text only */
	const char *text;
};

/* One of several texts, the newest first. */
struct restriction_text {
	const char *text;
	struct restriction_text *next;
};

/* What stays from one stage to the next. */
enum { RESTRICTION_DEFER_STAGES = 4 };
struct restriction_state {
	/* Whole replies; NULL: nothing to defer for. */
	const char *defer_if_permit[RESTRICTION_DEFER_STAGES];
	/* Actions of access tables, for the whole message. */
	const char *filter, *redirect;
	struct restriction_text *prepend; /* header fields */
	struct restriction_text *bcc;	  /* addresses */
	bool hold, discard;
};

struct restriction_verdict {
	int code;	  /* of a refusal: 400 to 599 */
	const char *text; /* whole reply: "554 5.7.1 <x>: ... rejected: ..." */
	bool close;	  /* reply, then close the connection */
	bool hang_up;	  /* close it without a reply */
	uint64_t again_ms; /* RC_NONE: ask again at this time of
			    * clock_mono_ms, if not called before */
	struct restriction_note *notes, *last_note;
};

/* RC_OK go on; RC_TEMP or RC_PERM refuse with the verdict; RC_NONE, only with a
 * waiter: not known yet, the state is as it was and the verdict empty. The
 * texts of state and verdict are children of mem, which lives as long as the
 * state. */
MUST_CHECK enum rc restrictions_ask(struct restrictions *restrictions,
				    TALLOC_CTX *mem,
				    enum restriction_stage stage,
				    const struct restriction_request *request,
				    struct restriction_state *state,
				    struct restriction_verdict *ret_verdict);
/* Forget what belongs to one message (after RSET, end of data). */
void restriction_state_reset(struct restriction_state *state);
