/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <openssl/err.h>

#include "base/clock.h"
#include "net/tls_priv.h"

static ssize_t layer_result(struct tls *tls, enum tls_io io, size_t size,
			    const struct fault *fault)
{
	switch (io) {
	case TLS_DONE:
		return (ssize_t)size;
	case TLS_CLOSED:
		return 0;
	case TLS_WANT_READ:
	case TLS_WANT_WRITE:
		errno = EAGAIN; /* the socket's time-out */
		return -1;
	default:
		talloc_free(tls->why);
		tls->why = mem_strdup(tls, fault->text);
		errno = EPROTO;
		return -1;
	}
}

static ssize_t layer_read(void *arg, void *into, size_t size)
{
	struct fault fault = { 0 };
	size_t got = 0;
	enum tls_io io = tls_read(arg, into, size, &got, &fault);

	return layer_result(arg, io, got, &fault);
}

static ssize_t layer_write(void *arg, const void *bytes, size_t size)
{
	struct fault fault = { 0 };
	size_t put = 0;
	enum tls_io io =
		tls_write(arg, (struct span){ bytes, size }, &put, &fault);

	if (io == TLS_CLOSED) {
		errno = EPIPE;
		return -1;
	}
	return layer_result(arg, io, put, &fault);
}

static const char *layer_why(void *arg)
{
	const struct tls *tls = arg;

	return tls->why != NULL ? tls->why : "failed";
}

static const struct net_stream_layer layer = { layer_read, layer_write,
					       layer_why };

static enum rc policy_bad(const char *what, struct fault *fault)
{
	char text[256];

	tls_error_text(text, sizeof(text));
	return fault_set(fault, RC_CONF, "4.7.5", "%s: %s", what, text);
}

static struct tls_strength strength_of(const struct tls_client *client,
				       const struct tls_policy *policy)
{
	const struct tls_strength *preset = &client->context.config.strength;
	struct tls_strength strength = policy->strength;

	if (strength.protocols == NULL)
		strength.protocols = preset->protocols;
	if (strength.grade == NULL)
		strength.grade = preset->grade;
	/* What is excluded everywhere is excluded here. */
	if (strength.exclude_more == NULL)
		strength.exclude_more = preset->exclude;
	return strength;
}

static bool needs_tlsa(enum tls_level level)
{
	return level == TLS_DANE || level == TLS_DANE_ONLY;
}

/* A certificate in them need not be a root. */
static enum rc anchors_apply(SSL *ssl, const char *files, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct span rest = span_from(files), word;
	X509_STORE *store = X509_STORE_new();
	enum rc rc = RC_OK;

	while (store != NULL && rc == RC_OK &&
	       span_token(&rest, ", \t\r\n", &word)) {
		char *path = mem_span_dup(tmp, word);

		if (X509_STORE_load_file(store, path) != 1)
			rc = policy_bad(mem_printf(tmp, "tafile=%s", path),
					fault);
	}
	if (rc == RC_OK &&
	    (store == NULL || SSL_set1_verify_cert_store(ssl, store) != 1))
		rc = policy_bad("tafile", fault);
	if (rc == RC_OK)
		X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	X509_STORE_free(store);
	return rc;
}

static enum rc policy_apply(struct tls *tls, const struct tls_client *client,
			    const struct tls_policy *policy,
			    struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct tls_strength strength = strength_of(client, policy);
	bool needs_cert = policy->level > TLS_ENCRYPT;
	struct tls_versions versions;
	char *ciphers;
	enum rc rc;

	ERR_clear_error();
	rc = tls_versions_parse(strength.protocols != NULL ? strength.protocols
							   : "",
				&versions, fault);
	if (rc != RC_OK)
		return rc;
	/* The context's own limits are for connections without a policy. */
	SSL_clear_options(tls->ssl, SSL_OP_NO_SSL_MASK);
	SSL_set_options(tls->ssl, versions.options);
	SSL_set_min_proto_version(tls->ssl, versions.min);
	SSL_set_max_proto_version(tls->ssl, versions.max);
	rc = tls_ciphers_make(tmp, &client->context.config, &strength,
			      needs_cert, &ciphers, fault);
	if (rc != RC_OK)
		return rc;
	if (SSL_set_cipher_list(tls->ssl, ciphers) != 1)
		return fault_set(fault, RC_CONF, "4.7.5",
				 "TLS cipher list \"%s\" selects no cipher",
				 ciphers);
	if (policy->servername != NULL && policy->servername[0] != '\0' &&
	    SSL_set_tlsext_host_name(tls->ssl, policy->servername) != 1)
		return policy_bad("TLS server name", fault);
	/* The chain is checked; what follows from it is decided below. */
	SSL_set_verify(tls->ssl, SSL_VERIFY_NONE, NULL);
	tls_trace_begin(tls, ciphers);
	if (needs_tlsa(policy->level))
		return tls_dane_apply(tls->ssl, policy, fault);
	return tls_is_set(policy->anchor_files)
		       ? anchors_apply(tls->ssl, policy->anchor_files, fault)
		       : RC_OK;
}

/* A session is resumed only under the demands it was made with. */
static char *session_key(TALLOC_CTX *mem, const struct tls_client *client,
			 const struct tls_policy *policy)
{
	struct tls_strength strength = strength_of(client, policy);
	const char *parts[] = {
		policy->session_key, tls_level_name(policy->level),
		strength.protocols,  strength.grade,
		strength.exclude,    strength.exclude_more,
		policy->servername,  policy->anchor_files,
		policy->tlsa_domain, tls_dane_text(mem, policy)
	};
	char *key = mem_strdup(mem, "");

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		key = mem_printf(mem, "%s\n%s", key,
				 parts[i] != NULL ? parts[i] : "");
	return key;
}

static enum rc handshake_do(struct tls *tls, struct net_stream *stream,
			    const char *peer, struct fault *fault)
{
	uint64_t begun_ms = clock_mono_ms();
	struct fault why = { 0 };
	enum tls_io io;

	net_stream_prepare(stream);
	do
		io = tls_handshake(tls, &why);
	while ((io == TLS_WANT_READ || io == TLS_WANT_WRITE) &&
	       net_stream_may_wait(stream, begun_ms));
	switch (io) {
	case TLS_DONE:
		return RC_OK;
	case TLS_WANT_READ:
	case TLS_WANT_WRITE:
		return fault_set(fault, RC_TEMP, "4.4.2",
				 "SSL_connect error to %s: Connection timed "
				 "out",
				 peer);
	case TLS_CLOSED:
		return fault_set(fault, RC_TEMP, "4.7.5",
				 "SSL_connect error to %s: lost connection",
				 peer);
	default:
		return fault_set(fault, RC_TEMP, "4.7.5",
				 "SSL_connect error to %s: %s", peer, why.text);
	}
}

/* The names or digests that one will do of. */
static void matches_find(TALLOC_CTX *mem, const struct tls_config *config,
			 struct tls_policy *policy)
{
	const char *text = policy->level == TLS_VERIFY	 ? config->verify_match
			   : policy->level == TLS_SECURE ? config->secure_match
			   : policy->level == TLS_FINGERPRINT
				   ? config->fingerprint_match
				   : NULL;
	struct span rest = span_from(text), word;
	const char **match = NULL;
	size_t count = 0;

	if (policy->match_count > 0 || text == NULL)
		return;
	/* Digests have colons in them. */
	while (span_token(&rest,
			  policy->level == TLS_FINGERPRINT ? ", |\t\r\n"
							   : ", :\t\r\n",
			  &word)) {
		match = mem_resize(mem, match, const char *, count + 1);
		match[count++] = mem_span_dup(match, word);
	}
	policy->match = match;
	policy->match_count = count;
}

/* "certificate verification failed for PEER: why" */
static const char *unmet_line(struct tls *tls, const char *why)
{
	return mem_printf(tls, "certificate verification failed for %s: %s",
			  tls->peer, why);
}

static enum rc peer_refuse(struct tls *tls, const struct tls_policy *policy,
			   const char *why, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	if (tls->facts.trust > TLS_UNTRUSTED)
		tls->facts.trust = TLS_UNTRUSTED;
	tls->facts.unmet = unmet_line(tls, why);
	if (policy->keep_unmet)
		return RC_OK;
	if (policy->ret_report != NULL)
		snprintf(policy->ret_report, TLS_REPORT_BYTES, "%s\n%s",
			 tls->facts.unmet,
			 tls_summary(tmp, tls, "to", tls->peer));
	return fault_set(fault, RC_TEMP, "4.7.5",
			 "Server certificate not verified");
}

/* Why the peer is not who it has to be; NULL: it is. */
static const char *peer_fault(struct tls *tls, const struct tls_policy *policy)
{
	struct tls_facts *facts = &tls->facts;
	X509 *cert = SSL_get0_peer_certificate(tls->ssl);

	if (cert == NULL)
		return "no certificate presented";
	if (policy->level == TLS_FINGERPRINT)
		return tls_fingerprint_matches(facts, policy)
			       ? NULL
			       : tls_verify_text(tls, X509_V_ERR_DANE_NO_MATCH,
						 NULL);
	if (policy->match_count > 0)
		facts->matched_name = tls_cert_match(tls, cert, policy);
	if (facts->trust != TLS_TRUSTED)
		return facts->why_untrusted;
	if (needs_tlsa(policy->level) || facts->matched_name != NULL)
		return NULL;
	return tls_verify_text(tls, X509_V_ERR_HOSTNAME_MISMATCH, NULL);
}

/* Is the peer who the policy says it must be? */
static enum rc peer_check(struct tls *tls, const struct tls_policy *policy,
			  struct fault *fault)
{
	const char *why;

	/* With nothing to compare, a name proves nothing. */
	if (policy->level <= TLS_ENCRYPT)
		return RC_OK;
	why = peer_fault(tls, policy);
	if (why != NULL)
		return peer_refuse(tls, policy, why, fault);
	tls->facts.trust =
		policy->tlsa_insecure_mx ? TLS_TRUSTED : TLS_VERIFIED;
	return RC_OK;
}

enum rc tls_connect(TALLOC_CTX *mem, struct tls_client *client,
		    const struct tls_policy *wanted, struct net_stream *stream,
		    const char *peer, struct tls **ret_tls, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct tls_policy policy = *wanted;
	char *key = NULL;
	struct tls *tls;
	enum rc rc;

	if (policy.ret_report != NULL)
		policy.ret_report[0] = '\0';
	matches_find(tmp, &client->context.config, &policy);
	tls = tls_new(tmp, &client->context, net_stream_fd(stream), peer);
	if (tls == NULL)
		return policy_bad("TLS", fault);
	SSL_set_connect_state(tls->ssl);
	rc = policy_apply(tls, client, &policy, fault);
	if (rc != RC_OK)
		return rc;
	if (client->sessions != NULL && policy.session_key != NULL) {
		key = session_key(tmp, client, &policy);
		tls_sessions_use(client->sessions, tls->ssl, key);
	}
	rc = handshake_do(tls, stream, peer, fault);
	if (rc == RC_OK)
		rc = peer_check(tls, &policy, fault);
	if (rc != RC_OK) {
		if (key != NULL)
			tls_sessions_forget(client->sessions, key);
		return rc;
	}
	*ret_tls = talloc_steal(mem, tls);
	net_stream_push_layer(stream, &layer, tls);
	return RC_OK;
}
