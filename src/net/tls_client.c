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

static bool needs_name(enum tls_level level)
{
	return level == TLS_VERIFY || level == TLS_SECURE;
}

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

static enum rc policy_apply(struct tls *tls, const struct tls_client *client,
			    const struct tls_policy *policy,
			    struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct tls_strength strength = strength_of(client, policy);
	bool needs_cert =
		needs_name(policy->level) || policy->level == TLS_FINGERPRINT;
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
		return policy_bad("TLS cipher list", fault);
	if (policy->servername != NULL && policy->servername[0] != '\0' &&
	    SSL_set_tlsext_host_name(tls->ssl, policy->servername) != 1)
		return policy_bad("TLS server name", fault);
	/* The chain is checked; what follows from it is decided below. */
	SSL_set_verify(tls->ssl, SSL_VERIFY_NONE, NULL);
	return RC_OK;
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
		policy->servername
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

/* The issuer that nobody here knows: of the last certificate that was sent. */
static const char *last_issuer(TALLOC_CTX *mem, SSL *ssl)
{
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
	const int count = chain != NULL ? sk_X509_num(chain) : 0;
	char text[FAULT_TEXT_MAX_BYTES] = "";

	if (count > 0)
		X509_NAME_oneline(
			X509_get_issuer_name(sk_X509_value(chain, count - 1)),
			text, sizeof(text));
	return mem_strdup(mem, text);
}

/* In the reference's words. */
static const char *unmet_line(struct tls *tls, const char *peer, int code)
{
	const char *whole = "certificate verification failed";
	const char *leaf = "server certificate verification failed";

	switch (code) {
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		return mem_printf(tls, "%s for %s: self-signed certificate",
				  whole, peer);
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_UNTRUSTED:
		return mem_printf(tls, "%s for %s: untrusted issuer %s", whole,
				  peer, last_issuer(tls, tls->ssl));
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return mem_printf(tls, "%s for %s: certificate has expired",
				  leaf, peer);
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return mem_printf(tls, "%s for %s: certificate not yet valid",
				  leaf, peer);
	default:
		return mem_printf(tls, "%s for %s: num=%d:%s", leaf, peer, code,
				  X509_verify_cert_error_string(code));
	}
}

/* code: X509_V_ERR_*, 0: the peer showed no certificate. */
static enum rc peer_refuse(struct tls *tls, const struct tls_policy *policy,
			   const char *peer, int code, struct fault *fault)
{
	const char *line =
		code == 0 ? mem_printf(tls,
				       "certificate verification failed for "
				       "%s: no certificate",
				       peer)
			  : unmet_line(tls, peer, code);

	tls->facts.unmet = line;
	if (policy->keep_unmet)
		return RC_OK;
	if (policy->ret_log_line != NULL)
		snprintf(policy->ret_log_line, FAULT_TEXT_MAX_BYTES, "%s",
			 line);
	return fault_set(fault, RC_TEMP, "4.7.5",
			 "Server certificate not verified");
}

/* Is the peer who the policy says it must be? */
static enum rc peer_check(struct tls *tls, const struct tls_policy *policy,
			  const char *peer, struct fault *fault)
{
	struct tls_facts *facts = &tls->facts;
	X509 *cert = SSL_get0_peer_certificate(tls->ssl);

	if (policy->level == TLS_FINGERPRINT) {
		if (cert == NULL)
			return peer_refuse(tls, policy, peer, 0, fault);
		if (!tls_fingerprint_matches(facts, policy))
			return peer_refuse(tls, policy, peer,
					   X509_V_ERR_DANE_NO_MATCH, fault);
		facts->trust = TLS_VERIFIED;
		return RC_OK;
	}
	if (cert != NULL && policy->match_count > 0)
		facts->matched_name = tls_cert_match(tls, cert, policy);
	if (facts->trust == TLS_TRUSTED && facts->matched_name != NULL)
		facts->trust = TLS_VERIFIED;
	if (!needs_name(policy->level) || facts->trust == TLS_VERIFIED)
		return RC_OK;
	return peer_refuse(tls, policy, peer,
			   cert == NULL ? 0
			   : facts->matched_name != NULL
				   ? facts->verify_code
				   : X509_V_ERR_HOSTNAME_MISMATCH,
			   fault);
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

	if (policy.ret_log_line != NULL)
		policy.ret_log_line[0] = '\0';
	if (policy.level == TLS_DANE || policy.level == TLS_DANE_ONLY)
		return fault_set(fault, RC_CONF, "4.7.5",
				 "TLS security level %s is not available",
				 tls_level_name(policy.level));
	matches_find(tmp, &client->context.config, &policy);
	tls = tls_new(tmp, &client->context, net_stream_fd(stream));
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
		rc = peer_check(tls, &policy, peer, fault);
	if (rc != RC_OK) {
		if (key != NULL)
			tls_sessions_forget(client->sessions, key);
		return rc;
	}
	*ret_tls = talloc_steal(mem, tls);
	net_stream_push_layer(stream, &layer, tls);
	return RC_OK;
}
