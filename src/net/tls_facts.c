/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509.h>

#include "net/tls_priv.h"

enum { GROUP_MAX_BYTES = 64 };

static const char *curve_name(const EVP_PKEY *key, char text[GROUP_MAX_BYTES])
{
	text[0] = '\0';
	EVP_PKEY_get_group_name(key, text, GROUP_MAX_BYTES, NULL);
	return text;
}

static const char *key_exchange_text(TALLOC_CTX *mem, SSL *ssl)
{
	char curve[GROUP_MAX_BYTES];
	EVP_PKEY *key = NULL;
	const char *text;

	if (SSL_get_peer_tmp_key(ssl, &key) != 1 || key == NULL)
		return NULL;
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_DH:
		text = mem_printf(mem, "DHE (%d bits)", EVP_PKEY_get_bits(key));
		break;
	case EVP_PKEY_EC:
		text = mem_printf(mem, "ECDHE (%s)", curve_name(key, curve));
		break;
	default:
		text = mem_strdup(mem, OBJ_nid2sn(EVP_PKEY_get_base_id(key)));
		break;
	}
	EVP_PKEY_free(key);
	return text;
}

/* How the holder of this key signed the handshake. */
static const char *signature_text(TALLOC_CTX *mem, const EVP_PKEY *key,
				  int signature_nid)
{
	char curve[GROUP_MAX_BYTES];

	switch (signature_nid) {
	case EVP_PKEY_RSA:
	case EVP_PKEY_RSA_PSS:
		return mem_printf(mem, "%s (%d bits)",
				  signature_nid == EVP_PKEY_RSA ? "RSA"
								: "RSA-PSS",
				  EVP_PKEY_get_bits(key));
	case EVP_PKEY_EC:
		return mem_printf(mem, "ECDSA (%s)", curve_name(key, curve));
	default:
		return mem_strdup(mem, OBJ_nid2sn(signature_nid));
	}
}

struct signature {
	const char *text, *digest;
};

static struct signature signature_of(TALLOC_CTX *mem, SSL *ssl, bool of_peer,
				     X509 *cert)
{
	struct signature signature = { 0 };
	int nid, digest;
	EVP_PKEY *key;

	if (cert == NULL)
		return signature;
	key = X509_get0_pubkey(cert);
	if (key == NULL ||
	    (of_peer ? SSL_get_peer_signature_type_nid(ssl, &nid)
		     : SSL_get_signature_type_nid(ssl, &nid)) != 1)
		return signature;
	signature.text = signature_text(mem, key, nid);
	if ((of_peer ? SSL_get_peer_signature_nid(ssl, &digest)
		     : SSL_get_signature_nid(ssl, &digest)) == 1 &&
	    digest != NID_undef)
		signature.digest = mem_strdup(mem, OBJ_nid2sn(digest));
	return signature;
}

/* As the reference: only TLS 1.3 has all of this apart from the cipher. */
static void handshake_gather(struct tls *tls, X509 *peer)
{
	struct tls_facts *facts = &tls->facts;
	struct signature ours, theirs;

	if (SSL_version(tls->ssl) < TLS1_3_VERSION)
		return;
	facts->key_exchange = key_exchange_text(tls, tls->ssl);
	ours = signature_of(tls, tls->ssl, false,
			    SSL_get_certificate(tls->ssl));
	theirs = signature_of(tls, tls->ssl, true, peer);
	if (!tls->is_server) {
		struct signature swap = ours;

		ours = theirs;
		theirs = swap;
	}
	facts->server_signature = ours.text;
	facts->server_digest = ours.digest;
	facts->client_signature = theirs.text;
	facts->client_digest = theirs.digest;
}

static void fingerprints_gather(struct tls *tls, X509 *cert)
{
	unsigned char bytes[EVP_MAX_MD_SIZE], *der = NULL;
	const EVP_MD *md = tls->context->fingerprint_md;
	unsigned size;
	int len;

	if (X509_digest(cert, md, bytes, &size) == 1)
		tls->facts.fingerprint = tls_fingerprint_text(tls, bytes, size);
	len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	if (len > 0 &&
	    EVP_Digest(der, (size_t)len, bytes, &size, md, NULL) == 1)
		tls->facts.key_fingerprint =
			tls_fingerprint_text(tls, bytes, size);
	OPENSSL_free(der);
}

enum { NAME_TEXT_MAX_BYTES = 512 };

/* "/C=US/CN=example.com" */
static const char *name_text(TALLOC_CTX *mem, const X509_NAME *name)
{
	char text[NAME_TEXT_MAX_BYTES];

	if (X509_NAME_oneline(name, text, sizeof(text)) == NULL)
		return "";
	for (char *c = text; *c != '\0'; c++)
		if (!ascii_is_print(*c))
			*c = '?';
	return mem_strdup(mem, text);
}

const char *tls_verify_text(TALLOC_CTX *mem, long result, X509 *cert)
{
	switch (result) {
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		return "self-signed certificate";
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return "certificate has expired";
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return "certificate not yet valid";
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		if (cert != NULL)
			return mem_printf(
				mem, "untrusted issuer %s",
				name_text(mem, X509_get_issuer_name(cert)));
		break;
	}
	return mem_printf(mem, "num=%ld:%s", result,
			  X509_verify_cert_error_string(result));
}

/* The last of what the peer sent: its issuer is the one that is missing. */
static X509 *chain_end(SSL *ssl, X509 *leaf)
{
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
	int count = chain != NULL ? sk_X509_num(chain) : 0;

	return count > 0 ? sk_X509_value(chain, count - 1) : leaf;
}

static void peer_gather(struct tls *tls, X509 *cert)
{
	struct tls_facts *facts = &tls->facts;
	long result = SSL_get_verify_result(tls->ssl);

	facts->peer_name = tls_cert_name(tls, cert);
	facts->issuer_name = tls_name_cn(tls, X509_get_issuer_name(cert));
	facts->subject = name_text(tls, X509_get_subject_name(cert));
	facts->issuer = name_text(tls, X509_get_issuer_name(cert));
	fingerprints_gather(tls, cert);
	facts->verify_code = (int)result;
	facts->trust = result == X509_V_OK ? TLS_TRUSTED : TLS_UNTRUSTED;
	if (result != X509_V_OK)
		facts->why_untrusted =
			tls_verify_text(tls, result, chain_end(tls->ssl, cert));
}

void tls_facts_gather(struct tls *tls)
{
	struct tls_facts *facts = &tls->facts;
	const SSL_CIPHER *cipher = SSL_get_current_cipher(tls->ssl);
	X509 *peer = SSL_get0_peer_certificate(tls->ssl);

	facts->resumed = SSL_session_reused(tls->ssl) == 1;
	facts->protocol = SSL_get_version(tls->ssl);
	facts->cipher = SSL_CIPHER_get_name(cipher);
	facts->cipher_bits =
		SSL_CIPHER_get_bits(cipher, &facts->cipher_all_bits);
	facts->peer_name = facts->issuer_name = "";
	facts->subject = facts->issuer = "";
	facts->fingerprint = facts->key_fingerprint = "";
	facts->servername = tls->sni_name;
	facts->trust = TLS_ANONYMOUS;
	if (peer != NULL)
		peer_gather(tls, peer);
	handshake_gather(tls, peer);
	ERR_clear_error();
}

const struct tls_facts *tls_facts(const struct tls *tls)
{
	return &tls->facts;
}

static char *handshake_text(TALLOC_CTX *mem, const struct tls_facts *facts)
{
	char *text = mem_strdup(mem, "");

	if (facts->key_exchange != NULL)
		text = mem_printf(mem, " key-exchange %s", facts->key_exchange);
	if (facts->server_signature != NULL)
		text = mem_printf(mem, "%s server-signature %s", text,
				  facts->server_signature);
	if (facts->server_signature != NULL && facts->server_digest != NULL)
		text = mem_printf(mem, "%s server-digest %s", text,
				  facts->server_digest);
	if (facts->client_signature != NULL)
		text = mem_printf(mem, "%s client-signature %s", text,
				  facts->client_signature);
	if (facts->client_signature != NULL && facts->client_digest != NULL)
		text = mem_printf(mem, "%s client-digest %s", text,
				  facts->client_digest);
	return text;
}

static char *summary(TALLOC_CTX *mem, const struct tls *tls, const char *how,
		     const char *direction, const char *peer)
{
	static const char *const trust[] = { "Anonymous", "Untrusted",
					     "Trusted", "Verified" };
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const struct tls_facts *facts = &tls->facts;

	return mem_printf(mem,
			  "%s TLS connection %s %s %s%s%s: %s with cipher %s "
			  "(%d/%d bits)%s",
			  trust[facts->trust], how, direction, peer,
			  facts->servername != NULL ? " to " : "",
			  facts->servername != NULL ? facts->servername : "",
			  facts->protocol, facts->cipher, facts->cipher_bits,
			  facts->cipher_all_bits, handshake_text(tmp, facts));
}

char *tls_summary(TALLOC_CTX *mem, const struct tls *tls, const char *direction,
		  const char *peer)
{
	return summary(mem, tls, "established", direction, peer);
}

char *tls_summary_reused(TALLOC_CTX *mem, const struct tls *tls,
			 const char *direction, const char *peer)
{
	return summary(mem, tls, "reused", direction, peer);
}

static char *client_cert_text(TALLOC_CTX *mem, const struct tls *tls)
{
	const struct tls_facts *facts = &tls->facts;

	if (facts->trust != TLS_ANONYMOUS)
		return mem_printf(mem, "(Client CN \"%s\", Issuer \"%s\" (%s))",
				  facts->peer_name, facts->issuer_name,
				  facts->trust >= TLS_TRUSTED ? "verified OK"
							      : "not verified");
	return mem_strdup(mem,
			  tls->asked_client_cert
				  ? "(Client did not present a certificate)"
				  : "(No client certificate requested)");
}

char *tls_received_clause(TALLOC_CTX *mem, const struct tls *tls)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const struct tls_facts *facts = &tls->facts;
	const char *handshake = handshake_text(tmp, facts);

	return mem_printf(mem, "(using %s with cipher %s (%d/%d bits)%s%s)\n%s",
			  facts->protocol, facts->cipher, facts->cipher_bits,
			  facts->cipher_all_bits,
			  handshake[0] != '\0' ? "\n" : "", handshake,
			  client_cert_text(tmp, tls));
}
