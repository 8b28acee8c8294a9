/* SPDX-License-Identifier: Apache-2.0 */
/*
 * received - the Received: header of a message that came in.
 *
 * Owner    texts are the caller's; NULL where something is unknown. Bytes that
 *          could break the header are written as '?'
 * See      RFC 5321 section 4.4
 */
#pragma once

#include <time.h>

#include "base/buf.h"

enum received_from { RECEIVED_SMTP, RECEIVED_LOCAL, RECEIVED_INTERNAL };

/* smtpd_tls_received_header. */
struct received_tls {
	const char *protocol; /* "TLSv1.3" */
	const char *cipher;   /* "TLS_AES_256_GCM_SHA384" */
	int used_bits, algorithm_bits;
	const char *key_exchange;     /* "x25519" or "ECDHE (P-256)" */
	const char *server_signature; /* "RSA-PSS (2048 bits)" */
	const char *server_digest;    /* "SHA256" */
	const char *client_signature, *client_digest;
	const char *client_cn, *client_issuer; /* NULL: no certificate */
	bool client_asked;		       /* a certificate was requested */
	bool client_trusted;		       /* "verified OK" */
};

struct received {
	enum received_from from;
	const char *hostname;  /* myhostname */
	const char *mail_name; /* "Postfix" */
	const char *queue_id;  /* or "%QID%"; NULL: it is not queued here */
	time_t when;
	/* RECEIVED_SMTP */
	const char *helo, *client_name, *client_address;
	const char *protocol;	   /* "ESMTPSA", "UTF8SMTP" */
	const char *recipient;	   /* when there is only one, external form */
	const char *sasl_username; /* smtpd_sasl_authenticated_header */
	const struct received_tls *tls; /* NULL: no TLS lines */
	bool hide_session;		/* smtpd_hide_client_session */
	/* RECEIVED_LOCAL */
	unsigned int uid;
};

/* The whole header with CRLF line ends, the last one too. */
bool received_format(const struct received *received, struct buf *out);
