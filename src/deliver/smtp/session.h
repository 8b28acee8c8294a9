/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session - one SMTP or LMTP connection: from the greeting to ready for mail,
 * and the replies on it.
 *
 * Holds    at a TLS level that demands something, no session exists that does
 *          not meet it; what the server sent before the handshake is dropped
 * Errors   false, and *why says what to do with the recipients, in the words of
 *          the reference. why->texts are children of the mem given.
 * Owner    no parent: a session moves between threads through the cache
 * Threads  one at a time
 * See      RFC 5321, 2920, 3207, 2033
 */
#pragma once

#include "base/buf.h"
#include "deliver/delivery.h"
#include "deliver/smtp/nexthop.h"
#include "deliver/smtp/settings.h"
#include "deliver/smtp/starttls_memory.h"
#include "deliver/smtp/tls_policy.h"
#include "mail/smtp_reply.h"
#include "net/address.h"
#include "net/stream.h"
#include "net/tls.h"

enum smtp_feature {
	SMTP_ESMTP = 1,
	SMTP_PIPELINING = 2,
	SMTP_SIZE = 4,
	SMTP_8BITMIME = 8,
	SMTP_DSN = 16,
	SMTP_SMTPUTF8 = 32,
	SMTP_STARTTLS = 64,
	SMTP_AUTH = 128,
	SMTP_CHUNKING = 256,
};

struct smtp_host {
	const char *name;
	struct net_address address;
	uint16_t preference;
	/* By DNSSEC: the addresses, and the MX record that named the host. */
	bool secure, mx_secure;
	const char *canonical; /* behind its aliases; NULL: not from DNS */
};

struct smtp_session {
	const struct smtp_settings *settings;
	struct net_stream *stream;
	const char *key;   /* in the cache */
	const char *name;  /* "mx.example.test" */
	const char *peer;  /* "mx.example.test[192.0.2.1]" */
	const char *relay; /* the same with ":25" */
	const char *auth_mechanisms;
	unsigned features;	   /* enum smtp_feature */
	uint64_t size_limit_bytes; /* 0: none said */
	struct tls *tls;
	bool tls_reuse;	      /* more deliveries may follow through TLS */
	const char *tls_text; /* for tls= */
	const char *doing;    /* "sending MAIL FROM" */
	struct buf reply_bytes;
	struct smtp_reply *reply; /* the latest; child of the session */
	uint64_t opened_ms, parked_ms;
	int uses;	  /* deliveries begun */
	bool needs_reset; /* a transaction was not completed */
	bool broken;
	struct smtp_session *next;
};

/* The fd becomes the session's. */
struct smtp_session *smtp_session_new(const struct smtp_settings *settings,
				      int fd, const char *name,
				      const char *address, uint16_t port);

/* Read one reply into session->reply. false: lost, timed out or nonsense. */
bool smtp_session_reply(struct smtp_session *session, TALLOC_CTX *mem,
			struct outcome *why);
/* *why: "host H[A] said: 550 ... (in reply to RCPT TO command)". */
void smtp_session_refused(const struct smtp_session *session, TALLOC_CTX *mem,
			  const char *command, struct outcome *why);
/* *why: "lost connection with H[A] while ...", by what the stream says. */
void smtp_session_broken(struct smtp_session *session, TALLOC_CTX *mem,
			 struct outcome *why);
/* What a session that was begun with this policy shows as tls=; NULL when the
 * settings do not want it. */
const char *smtp_tls_text(TALLOC_CTX *mem, const struct smtp_settings *settings,
			  const struct smtp_tls_policy *policy,
			  const char *suffix);

struct smtp_hello {
	const struct smtp_tls_policy *policy;
	struct tls_client *tls_client; /* NULL: no TLS */
	struct starttls_memory *memory;
	const char *domain; /* of the next hop, for "loops back to myself" */
	bool detect_loop;
	bool plaintext_only; /* after a failed handshake at level may */
	bool tls_failed;     /* out: the handshake failed at level may */
};

/* Greeting, EHLO, STARTTLS and EHLO again. */
bool smtp_session_hello(struct smtp_session *session, TALLOC_CTX *mem,
			struct smtp_hello *hello, struct outcome *why);
/* QUIT when the session still works, without waiting longer than asked for, and
 * free it. */
void smtp_session_close(struct smtp_session *session);
