/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_chain.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "base/buf.h"
#include "net/tls_priv.h"

enum { NAME_TEXT_MAX = 1024, GROUP_MAX_BYTES = 64 };

/* Of a distinguished name or a common name: only what can be printed. */
static const char *clean(TALLOC_CTX *mem, const char *text, size_t len)
{
	char *copy = mem_span_dup(mem, (struct span){ text, len });

	for (char *p = copy; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	return copy;
}

/* "/CN=.../O=...", UTF-8. */
static const char *name_text(TALLOC_CTX *mem, const X509_NAME *name)
{
	const unsigned long form =
		ASN1_STRFLGS_ESC_CTRL | ASN1_STRFLGS_UTF8_CONVERT;
	BIO *bio = BIO_new(BIO_s_mem());
	struct buf out;
	char *text;
	long len;

	buf_init(&out, mem, NAME_TEXT_MAX);
	for (int i = 0; bio != NULL && i < X509_NAME_entry_count(name); i++) {
		const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
		const char *label = OBJ_nid2sn(
			OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)));

		BIO_reset(bio);
		ASN1_STRING_print_ex(bio, X509_NAME_ENTRY_get_data(entry),
				     form);
		len = BIO_get_mem_data(bio, &text);
		buf_addf(&out, "/%s=%s", label, clean(mem, text, (size_t)len));
	}
	BIO_free(bio);
	ERR_clear_error();
	return buf_text(&out);
}

static int64_t unix_time(const ASN1_TIME *time)
{
	struct tm tm;

	return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static const char *key_type(TALLOC_CTX *mem, X509 *cert)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	char group[GROUP_MAX_BYTES] = "";

	if (key == NULL)
		return "unknown";
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
		return mem_printf(mem, "RSA %d", EVP_PKEY_get_bits(key));
	case EVP_PKEY_EC:
		EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
		return mem_printf(mem, "ECDSA %s", group);
	default:
		return mem_strdup(mem, OBJ_nid2sn(EVP_PKEY_get_base_id(key)));
	}
}

static const char *cert_digest(TALLOC_CTX *mem, X509 *cert, const EVP_MD *md)
{
	unsigned char bytes[EVP_MAX_MD_SIZE];
	unsigned size = 0;

	if (X509_digest(cert, md, bytes, &size) != 1)
		size = 0;
	return tls_fingerprint_text(mem, bytes, size);
}

static const char *key_digest(TALLOC_CTX *mem, X509 *cert, const EVP_MD *md)
{
	unsigned char bytes[EVP_MAX_MD_SIZE], *der = NULL;
	unsigned size = 0;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);

	if (len <= 0 ||
	    EVP_Digest(der, (size_t)len, bytes, &size, md, NULL) != 1)
		size = 0;
	OPENSSL_free(der);
	return tls_fingerprint_text(mem, bytes, size);
}

static void names_gather(TALLOC_CTX *mem, X509 *cert,
			 struct tls_certificate *out)
{
	GENERAL_NAMES *names =
		X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	const int count = names != NULL ? sk_GENERAL_NAME_num(names) : 0;
	const char **list = mem_array(mem, const char *, TLS_NAMES_MAX);

	for (int i = 0; i < count && out->name_count < TLS_NAMES_MAX; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		const ASN1_STRING *text = name->d.dNSName;

		if (name->type != GEN_DNS)
			continue;
		list[out->name_count++] =
			clean(list, (const char *)ASN1_STRING_get0_data(text),
			      (size_t)ASN1_STRING_length(text));
	}
	out->names = list;
	GENERAL_NAMES_free(names);
}

static const char *pem_text(TALLOC_CTX *mem, X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	const char *copy = "";
	char *text;
	long len;

	if (bio != NULL && PEM_write_bio_X509(bio, cert) == 1) {
		len = BIO_get_mem_data(bio, &text);
		copy = mem_span_dup(mem, (struct span){ text, (size_t)len });
	}
	BIO_free(bio);
	return copy;
}

static void certificate_gather(TALLOC_CTX *mem, X509 *cert,
			       const EVP_MD *digest,
			       struct tls_certificate *out)
{
	*out = (struct tls_certificate){
		.subject = name_text(mem, X509_get_subject_name(cert)),
		.issuer = name_text(mem, X509_get_issuer_name(cert)),
		.subject_cn = tls_name_cn(mem, X509_get_subject_name(cert)),
		.issuer_cn = tls_name_cn(mem, X509_get_issuer_name(cert)),
		.not_before_s = unix_time(X509_get0_notBefore(cert)),
		.not_after_s = unix_time(X509_get0_notAfter(cert)),
		.key_type = key_type(mem, cert),
		.digest = cert_digest(mem, cert, digest),
		.key_digest = key_digest(mem, cert, digest),
		.sha1 = cert_digest(mem, cert, EVP_sha1()),
		.sha256 = cert_digest(mem, cert, EVP_sha256()),
		.key_sha256 = key_digest(mem, cert, EVP_sha256()),
		.pem = pem_text(mem, cert),
	};
	names_gather(mem, cert, out);
}

struct tls_certificate *tls_chain(TALLOC_CTX *mem, const struct tls *tls,
				  size_t *ret_count)
{
	STACK_OF(X509) *sent = SSL_get_peer_cert_chain(tls->ssl);
	const int count = sent != NULL ? sk_X509_num(sent) : 0;
	struct tls_certificate *chain =
		mem_array(mem, struct tls_certificate, TLS_CHAIN_MAX);

	*ret_count = 0;
	for (int i = 0; i < count && i < TLS_CHAIN_MAX; i++)
		certificate_gather(chain, sk_X509_value(sent, i),
				   tls->context->fingerprint_md,
				   &chain[(*ret_count)++]);
	ERR_clear_error();
	return chain;
}

enum rc tls_chain_file(TALLOC_CTX *mem, const char *path,
		       struct tls_certificate **ret_chain, size_t *ret_count,
		       struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct tls_certificate *chain =
		mem_array(tmp, struct tls_certificate, TLS_CHAIN_MAX);
	BIO *bio = BIO_new_file(path, "r");
	size_t count = 0;
	X509 *cert;

	if (bio == NULL) {
		ERR_clear_error();
		return fault_set(fault, RC_CONF, "4.3.5", "open %s: %m", path);
	}
	while (count < TLS_CHAIN_MAX &&
	       (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		certificate_gather(chain, cert, EVP_sha256(), &chain[count++]);
		X509_free(cert);
	}
	BIO_free(bio);
	ERR_clear_error();
	if (count == 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "%s: no certificate in PEM form", path);
	*ret_chain = talloc_steal(mem, chain);
	*ret_count = count;
	return RC_OK;
}

bool tls_certificate_has_name(const struct tls_certificate *certificate,
			      const char *name)
{
	for (size_t i = 0; i < certificate->name_count; i++)
		if (tls_name_matches(span_from(certificate->names[i]),
				     span_from(name), false))
			return true;
	return certificate->name_count == 0 &&
	       tls_name_matches(span_from(certificate->subject_cn),
				span_from(name), false);
}
