/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_priv - what the parts of net/tls share.
 */
#pragma once

#include <openssl/ssl.h>
#include <pthread.h>

#include "net/stream_priv.h"
#include "net/tls.h"

struct tls_sessions;

/* Server or client: the same, seen from here. */
struct tls_context {
	struct tls_config config;
	SSL_CTX *ctx;
	const EVP_MD *fingerprint_md;
};

struct tls_server {
	struct tls_context context;
};

struct tls_client {
	struct tls_context context;
	struct tls_sessions *sessions; /* NULL: none are resumed */
};

struct tls {
	SSL *ssl;
	const struct tls_context *context;
	const char *peer; /* for messages */
	bool is_server, asked_client_cert;
	const char *sni_name; /* whose certificate was chosen; NULL */
	struct tls_facts facts;
	char *why; /* of the failure of a layer */
};

/* tls_settings.c */
MUST_CHECK enum rc tls_ciphers_make(TALLOC_CTX *mem,
				    const struct tls_config *config,
				    const struct tls_strength *strength,
				    bool exclude_anonymous, char **ret_list,
				    struct fault *fault);
/* SSL_OP_NO_... bits and limits; 0: none. */
struct tls_versions {
	uint64_t options;
	int min, max;
};
MUST_CHECK enum rc tls_versions_parse(const char *text,
				      struct tls_versions *ret_versions,
				      struct fault *fault);
/* The groups of config that this OpenSSL has; "" leaves it the choice. */
MUST_CHECK enum rc tls_groups_make(TALLOC_CTX *mem,
				   const struct tls_config *config,
				   char **ret_list, struct fault *fault);
/* SSL_OP_... bits by their names or in hex. */
MUST_CHECK enum rc tls_options_parse(const char *parameter, const char *text,
				     uint64_t *ret_options,
				     struct fault *fault);

/* tls_certificates.c */
MUST_CHECK enum rc tls_certificates_load(struct tls_context *context,
					 struct fault *fault);
/* In place of all others of this connection. false: the error queue has why. */
bool tls_chain_use(SSL *ssl, struct span pem);

/* tls_context.c */
static inline bool tls_is_set(const char *text)
{
	return text != NULL && text[0] != '\0';
}
enum rc tls_setting_bad(const struct tls_context *context, const char *setting,
			const char *value, struct fault *fault);
MUST_CHECK enum rc tls_context_setup(TALLOC_CTX *mem,
				     struct tls_context *context,
				     const struct tls_config *config,
				     const SSL_METHOD *method,
				     struct fault *fault);
/* The oldest error of this thread's queue, which is emptied. */
void tls_error_text(char *text, size_t size);
/* The same with the place in the library, as "TLS library problem" has it. */
void tls_error_trace(char *text, size_t size);

/* tls.c */
struct tls *tls_new(TALLOC_CTX *mem, const struct tls_context *context, int fd,
		    const char *peer);
/* What SSL_get_error means; sets the fault for TLS_FAILED. */
enum tls_io tls_io_of(struct tls *tls, int result, struct fault *fault);

/* tls_facts.c */
void tls_facts_gather(struct tls *tls);
/* Why a chain is not accepted, in the words of the log. */
const char *tls_verify_text(TALLOC_CTX *mem, long result, X509 *cert);

/* tls_trace.c: what log levels from 2 on say. */
void tls_tracef(const struct tls *tls, int level, const char *format, ...)
	PRINTF(3, 4);
void tls_trace_context(struct tls_context *context);
void tls_trace_begin(struct tls *tls, const char *ciphers);
void tls_trace_done(struct tls *tls);

/* tls_dane.c */
MUST_CHECK enum rc tls_dane_enable(const struct tls_context *context,
				   struct fault *fault);
/* Only who matches a record is verified. RC_CONF: none of them can be used. */
MUST_CHECK enum rc tls_dane_apply(SSL *ssl, const struct tls_policy *policy,
				  struct fault *fault);
/* The records as text, for the key of a session. */
char *tls_dane_text(TALLOC_CTX *mem, const struct tls_policy *policy);

/* tls_match.c: is the certificate what the policy wants? */
bool tls_name_matches(struct span cert_name, struct span want,
		      bool wildcard_multi_label);
/* The name in it that the policy wants; NULL: none. */
const char *tls_cert_match(TALLOC_CTX *mem, X509 *cert,
			   const struct tls_policy *policy);
bool tls_fingerprint_matches(const struct tls_facts *facts,
			     const struct tls_policy *policy);
/* Hex with colons, upper case. */
char *tls_fingerprint_text(TALLOC_CTX *mem, const unsigned char *bytes,
			   unsigned size);
/* The first DNS name or the common name; "" when there is none, or when it has
 * bytes that do not belong in one. */
char *tls_cert_name(TALLOC_CTX *mem, X509 *cert);
char *tls_name_cn(TALLOC_CTX *mem, const X509_NAME *name);

/* tls_sessions.c */
struct tls_sessions *tls_sessions_new(TALLOC_CTX *mem, SSL_CTX *ctx,
				      int timeout_s);
/* Resume a session of this key if there is one, and keep new ones under it. */
void tls_sessions_use(struct tls_sessions *sessions, SSL *ssl, const char *key);
void tls_sessions_forget(struct tls_sessions *sessions, const char *key);

/* tls_tickets.c: keys of a server's tickets that change. A child of mem.
 * shared_fd: memory of tls_tickets_create; 0: keys of its own. cipher NULL:
 * aes-256-cbc. RC_CONF: no cipher for this. */
MUST_CHECK enum rc tls_tickets_use(TALLOC_CTX *mem, SSL_CTX *ctx,
				   const struct tls_config *config,
				   struct fault *fault);
/* OpenSSL's callback: 1 use it, 2 use it and give the client a new one, 0
 * cannot, -1 failed. */
int tls_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv,
		   EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt);
