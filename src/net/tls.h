/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls - encrypted connections, as server and as client.
 *
 * Shape    a context is made once, while files can still be read, and shared by
 *          all threads; a connection belongs to one session.
 *          The server side does not block: tls_handshake, tls_read and
 *          tls_write say what the session must wait for. The client side runs
 *          on a blocking net_stream.
 * Holds    what a level demands is met or the connection fails: `encrypt` never
 *          goes on in clear, `verify` and `secure` need a certificate that a
 *          CA of ours signed for a name that matches, `fingerprint` one of the
 *          listed certificates.
 * Errors   RC_CONF files or settings: which parameter, which file, why.
 *          RC_TEMP handshake failed or the peer is not who it must be:
 *          text for the log, DSN 4.7.5
 * Limits   an idle connection keeps no I/O buffers
 * See      RFC 3207, RFC 8446, RFC 6125; reference inventory 7
 */
#pragma once

#include "net/stream.h"

struct conf;

enum tls_level {
	TLS_NONE,
	TLS_MAY,
	TLS_ENCRYPT,
	TLS_DANE,
	TLS_DANE_ONLY,
	TLS_FINGERPRINT,
	TLS_VERIFY,
	TLS_SECURE,
};
/* "may", ...; RC_CONF for others. "" is TLS_NONE. */
MUST_CHECK enum rc tls_level_parse(const char *text, enum tls_level *ret_level,
				   struct fault *fault);
const char *tls_level_name(enum tls_level level);

/* What may be spoken. Texts as in main.cf: protocols ">=TLSv1.2" or
 * "!SSLv2, !SSLv3"; grade "high", "medium", "null"; exclude "aNULL, MD5". */
struct tls_strength {
	const char *protocols;
	const char *grade;
	const char *exclude;
	const char *exclude_more; /* as well; may be NULL */
};

/* The files and lists of a context. NULL and "" are the same. Filled from the
 * parameters of a snapshot by tls_config_load. */
struct tls_config {
	const char *prefix; /* "smtpd", "smtp", "lmtp": for messages */
	const char *chain_files;
	const char *cert_file, *key_file;
	const char *dcert_file, *dkey_file;
	const char *eccert_file, *eckey_file;
	const char *ca_file, *ca_path;
	bool append_default_ca;
	const char *high_ciphers, *medium_ciphers, *null_ciphers;
	const char *curves;		 /* tls_eecdh_auto_curves */
	const char *ffdhe_groups;	 /* tls_ffdhe_auto_groups */
	const char *ssl_options;	 /* tls_ssl_options */
	const char *disable_workarounds; /* tls_disable_workarounds */
	/* Client: only these authorities count, in place of ca_file, ca_path
	 * and the system's. */
	const char *trust_anchor_files;
	/* Server. */
	const char *dh_param_file;   /* smtpd_tls_dh1024_param_file */
	const char *ticket_cipher;   /* tls_session_ticket_cipher */
	const char *library_file;    /* tls_config_file */
	const char *library_section; /* tls_config_name */
	const char *dane_digests;    /* tls_dane_digests */
	const char *fingerprint_digest;
	int verify_depth;
	int session_timeout_s;
	int log_level;
	bool prefer_server_ciphers; /* tls_preempt_cipherlist */
	/* Client only: names and digests of the levels verify, secure and
	 * fingerprint (the *_cert_match parameters). */
	const char *verify_match, *secure_match, *fingerprint_match;
	/* Server only. */
	bool ask_client_cert, require_client_cert;
	bool trust_server_certs; /* tls_trust_server_ccerts */
	bool session_ids;	 /* smtpd_tls_always_issue_session_ids */
	/* smtpd_tls_session_cache_database: sessions of clients without
	 * tickets are kept, in memory. */
	bool keep_sessions;
	/* The chain, key first, for a name that the client asked for: PEM.
	 * RC_NONE: the usual certificates. Called by any thread; NULL: none. */
	enum rc (*sni_find)(void *arg, TALLOC_CTX *mem, const char *name,
			    struct span *ret_pem, struct fault *fault);
	void *sni_arg;
	int ticket_fd; /* of tls_tickets_create; 0: keys of its own */
	/* Sessions of another service are not resumed here. NULL: prefix. */
	const char *session_context;
	/* Both sides. */
	bool sessions; /* tickets and ids may be used to resume */
	void (*log)(const char *line); /* for log_level >= 2; NULL: none */
	struct tls_strength strength;
};

void tls_config_load(const struct conf *conf, const char *prefix,
		     bool mandatory, struct tls_config *ret_config);

struct tls_server;
struct tls_client;

/* A server without a certificate is RC_CONF, unless cert_file is "none". */
MUST_CHECK enum rc tls_server_open(TALLOC_CTX *mem,
				   const struct tls_config *config,
				   struct tls_server **ret_server,
				   struct fault *fault);
MUST_CHECK enum rc tls_client_open(TALLOC_CTX *mem,
				   const struct tls_config *config,
				   struct tls_client **ret_client,
				   struct fault *fault);

/* Memory for the ticket keys of all servers of an instance: whoever has the fd
 * shares them. Nothing of it is ever on disk. */
MUST_CHECK enum rc tls_tickets_create(int *ret_fd, struct fault *fault);

/* At least one certificate: a server without shows none and agrees on little.
 */
bool tls_config_has_certificate(const struct tls_config *config);

/* One connection; talloc_free ends it at once, tls_close says goodbye first.
 * Neither closes the fd. */
struct tls;

enum tls_io {
	TLS_DONE,
	TLS_WANT_READ,	/* wait for EPOLLIN, call again */
	TLS_WANT_WRITE, /* wait for EPOLLOUT, call again with the same bytes */
	TLS_CLOSED,	/* the peer ended it */
	TLS_FAILED,	/* fault says why */
};

MUST_CHECK enum rc tls_accept(TALLOC_CTX *mem, struct tls_server *server,
			      int fd, const char *peer, struct tls **ret_tls,
			      struct fault *fault);
MUST_CHECK enum tls_io tls_handshake(struct tls *tls, struct fault *fault);
MUST_CHECK enum tls_io tls_read(struct tls *tls, void *into, size_t size,
				size_t *ret_size, struct fault *fault);
MUST_CHECK enum tls_io tls_write(struct tls *tls, struct span bytes,
				 size_t *ret_size, struct fault *fault);
/* Bytes that epoll does not know of: decrypted but not read, or a part of a
 * record. Before parking, read until TLS_WANT_READ. */
bool tls_has_input(const struct tls *tls);
void tls_close(struct tls *tls);

/* One TLSA record as DNS gives it. */
struct tls_tlsa {
	uint8_t usage, selector, matching;
	struct span data;
};
/* false: too short to be one. The data stay where they are. */
bool tls_tlsa_read(struct span rdata, struct tls_tlsa *ret_tlsa);
/* Can RFC 7672 do something with it: usage 2 or 3, a selector and a digest that
 * are known, data of the right size. */
bool tls_tlsa_is_usable(const struct tls_tlsa *tlsa);

/* What the client demands of one connection. */
struct tls_policy {
	enum tls_level level;
	struct tls_strength strength;
	const char *servername;	    /* SNI; NULL: none */
	const char *nexthop_domain; /* for "nexthop" and "dot-nexthop" */
	const char *hostname;	    /* of the MX, for "hostname" */
	/* verify, secure: "nexthop", "dot-nexthop", "hostname", "example.com",
	 * ".example.com". fingerprint: digests in hex with colons. None: those
	 * of the configuration for this level. */
	const char *const *match;
	size_t match_count;
	bool wildcard_multi_label; /* tls_wildcard_matches_multiple_labels */
	/* Files of authorities that count in place of the others; NULL: none */
	const char *anchor_files;
	/* dane, dane-only: validated records, of which one has to match, and
	 * the name that they were found under. tlsa_insecure_mx: the name of
	 * the host may be forged, so that it is Trusted and not Verified. */
	const struct tls_tlsa *tlsa;
	size_t tlsa_count;
	const char *tlsa_domain;
	bool tlsa_insecure_mx;
	const char *session_key; /* resume sessions of this peer; NULL: no */
	/* For probes: a peer that is not who it must be is told by
	 * tls_facts()->unmet, and the connection stays. */
	bool keep_unmet;
	/* NULL, or TLS_REPORT_BYTES for lines, separated by "\n", that the log
	 * should have when tls_connect fails; "" when there is none. */
	char *ret_report;
};
enum { TLS_REPORT_BYTES = 2 * FAULT_TEXT_MAX_BYTES };

/* Handshake on the stream, which is encrypted from then on; free the stream
 * before the connection, or both with mem. `peer` is "host[address]:port" for
 * messages. When it fails the stream is of no use, and the text is
 * "SSL_connect error to PEER: ..." or "Server certificate not verified". */
MUST_CHECK enum rc tls_connect(TALLOC_CTX *mem, struct tls_client *client,
			       const struct tls_policy *policy,
			       struct net_stream *stream, const char *peer,
			       struct tls **ret_tls, struct fault *fault);

enum tls_trust { TLS_ANONYMOUS, TLS_UNTRUSTED, TLS_TRUSTED, TLS_VERIFIED };

struct tls_facts {
	enum tls_trust trust;
	bool resumed;
	const char *protocol; /* "TLSv1.3" */
	const char *cipher;   /* "TLS_AES_256_GCM_SHA384" */
	int cipher_bits, cipher_all_bits;
	const char *key_exchange; /* "X25519", "ECDHE (prime256v1)"; NULL: not
				     known */
	const char *server_signature; /* "RSA-PSS (2048 bits)"; NULL */
	const char *server_digest;    /* "SHA256"; NULL */
	const char *client_signature, *client_digest;
	const char *peer_name;	      /* common name of the certificate, "" */
	const char *issuer_name;      /* "" */
	const char *subject, *issuer; /* the whole names, "/C=US/CN=x"; "" */
	const char *fingerprint;      /* of the certificate, "" without one */
	const char *key_fingerprint;  /* of its public key */
	/* "self-signed certificate", "untrusted issuer /CN=x"; NULL */
	const char *why_untrusted;
	int verify_code;	  /* X509_V_ERR_*, 0: the chain is good */
	const char *matched_name; /* of the certificate, by the policy; NULL */
	const char *unmet; /* NULL: the policy is met; else the line that the
			    * log should have */
	const char *servername; /* whose certificate was chosen (SNI); NULL */
};

/* Valid after the handshake, as long as the connection. */
const struct tls_facts *tls_facts(const struct tls *tls);
/* "Untrusted TLS connection established to HOST[ADDR]:25: TLSv1.3 with cipher
 * TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 ...".
 * direction "to" or "from". Reused: for more mail on the same connection. */
char *tls_summary(TALLOC_CTX *mem, const struct tls *tls, const char *direction,
		  const char *peer);
char *tls_summary_reused(TALLOC_CTX *mem, const struct tls *tls,
			 const char *direction, const char *peer);
/* The part of a Received header: "(using TLSv1.3 with cipher ...". One line a
 * continuation, separated by "\n". */
char *tls_received_clause(TALLOC_CTX *mem, const struct tls *tls);
