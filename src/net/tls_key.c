/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_key.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "base/buf.h"
#include "net/tls_priv.h"
#include "sys/files.h"

enum {
	RSA_BITS_DEFAULT = 2048,
	RSA_BITS_MIN = 2048,
	RSA_BITS_MAX = 8192,
	SERIAL_BYTES = 20,
	VALID_DAYS = 36525, /* a hundred years */
	NAMES_MAX_BYTES = 16 * 1024,
};

struct tls_key {
	EVP_PKEY *pkey;
};

static int key_free(struct tls_key *key)
{
	EVP_PKEY_free(key->pkey); /* clears it */
	return 0;
}

static enum rc failed(const char *what, struct fault *fault)
{
	char text[256];

	tls_error_text(text, sizeof(text));
	return fault_set(fault, RC_CONF, "4.3.5", "%s: %s", what, text);
}

static struct tls_key *key_wrap(TALLOC_CTX *mem, EVP_PKEY *pkey)
{
	struct tls_key *key = mem_new(mem, struct tls_key);

	key->pkey = pkey;
	talloc_set_destructor(key, key_free);
	return key;
}

static enum rc rsa_bits(const char *size, size_t *ret_bits, struct fault *fault)
{
	uint64_t bits = RSA_BITS_DEFAULT;

	if (size != NULL &&
	    (!span_to_u64(span_from(size), RSA_BITS_MAX, &bits) ||
	     bits < RSA_BITS_MIN))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "RSA keys have %d to %d bits, not \"%s\"",
				 RSA_BITS_MIN, RSA_BITS_MAX, size);
	*ret_bits = bits;
	return RC_OK;
}

enum rc tls_key_make(TALLOC_CTX *mem, enum tls_key_kind kind, const char *size,
		     struct tls_key **ret_key, struct fault *fault)
{
	EVP_PKEY *pkey = NULL;
	size_t bits;

	ERR_clear_error();
	switch (kind) {
	case TLS_KEY_RSA:
		if (rsa_bits(size, &bits, fault) != RC_OK)
			return fault->rc;
		pkey = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", bits);
		break;
	case TLS_KEY_ECDSA:
		if (size == NULL || strcmp(size, "secp256r1") == 0)
			size = "prime256v1";
		pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", size);
		break;
	case TLS_KEY_ED25519:
		pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
		break;
	}
	if (pkey == NULL)
		return failed("make a private key", fault);
	*ret_key = key_wrap(mem, pkey);
	return RC_OK;
}

enum rc tls_key_read(TALLOC_CTX *mem, const char *path,
		     struct tls_key **ret_key, struct fault *fault)
{
	BIO *bio = BIO_new_file(path, "r");
	EVP_PKEY *pkey;

	if (bio == NULL) {
		ERR_clear_error();
		return fault_set(fault, RC_CONF, "4.3.5",
				 "open private key %s: %m", path);
	}
	pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	BIO_free(bio);
	if (pkey == NULL) {
		failed("no private key in PEM form", fault);
		return fault_add(fault, "%s", path);
	}
	*ret_key = key_wrap(mem, pkey);
	return RC_OK;
}

enum tls_key_kind tls_key_kind(const struct tls_key *key)
{
	switch (EVP_PKEY_get_base_id(key->pkey)) {
	case EVP_PKEY_EC:
		return TLS_KEY_ECDSA;
	case EVP_PKEY_ED25519:
		return TLS_KEY_ED25519;
	default:
		return TLS_KEY_RSA;
	}
}

/* All of the bio in a new file. */
static enum rc file_put(BIO *bio, const char *path, mode_t mode,
			struct fault *fault)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	enum rc rc;
	char *text;
	long len;

	if (fd < 0)
		return fault_set(fault, RC_CONF, "4.3.5", "create %s: %m",
				 path);
	len = BIO_get_mem_data(bio, &text);
	rc = file_write(fd, (struct span){ text, (size_t)len }, fault);
	if (rc == RC_OK && fsync(fd) < 0)
		rc = fault_set(fault, RC_CONF, "4.3.5", "fsync %s: %m", path);
	if (close(fd) < 0 && rc == RC_OK)
		rc = fault_set(fault, RC_CONF, "4.3.5", "close %s: %m", path);
	if (rc == RC_OK)
		return file_sync_parent(AT_FDCWD, path, fault);
	unlink(path);
	return rc;
}

enum rc tls_key_write(const struct tls_key *key, const char *path,
		      struct fault *fault)
{
	/* BIO_s_secmem: what was a key does not stay in memory. */
	BIO *bio = BIO_new(BIO_s_secmem());
	enum rc rc;

	ERR_clear_error();
	if (bio == NULL || PEM_write_bio_PrivateKey(bio, key->pkey, NULL, NULL,
						    0, NULL, NULL) != 1)
		rc = failed("write a private key", fault);
	else
		rc = file_put(bio, path, 0600, fault);
	BIO_free(bio);
	return rc;
}

/* "DNS:a.test,DNS:b.test" */
static const char *alt_names(TALLOC_CTX *mem, const char *const *names,
			     size_t count)
{
	struct buf out;

	buf_init(&out, mem, NAMES_MAX_BYTES);
	for (size_t i = 0; i < count; i++)
		buf_addf(&out, "%sDNS:%s", i == 0 ? "" : ",", names[i]);
	return buf_text(&out);
}

static bool subject_put(X509_NAME *subject, const char *name)
{
	return X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
					  (const unsigned char *)name, -1, -1,
					  0) == 1;
}

static const EVP_MD *signing_digest(const struct tls_key *key)
{
	return tls_key_kind(key) == TLS_KEY_ED25519 ? NULL : EVP_sha256();
}

struct extension {
	int nid;
	const char *value;
};

static bool cert_extend(X509 *cert, const struct extension *list, size_t count)
{
	X509V3_CTX context;
	bool ok = true;

	X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
	for (size_t i = 0; i < count && ok; i++) {
		X509_EXTENSION *extension = X509V3_EXT_conf_nid(
			NULL, &context, list[i].nid, list[i].value);

		ok = extension != NULL &&
		     X509_add_ext(cert, extension, -1) == 1;
		X509_EXTENSION_free(extension);
	}
	return ok;
}

static bool serial_put(X509 *cert)
{
	unsigned char bytes[SERIAL_BYTES];
	BIGNUM *number;
	bool ok;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return false;
	bytes[0] &= 0x7f; /* positive */
	number = BN_bin2bn(bytes, sizeof(bytes), NULL);
	ok = number != NULL &&
	     BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
	BN_free(number);
	return ok;
}

static bool cert_fill(X509 *cert, const struct tls_key *key,
		      const char *const *names, size_t count)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const struct extension extensions[] = {
		{ NID_basic_constraints, "CA:FALSE" },
		{ NID_subject_key_identifier, "hash" },
		{ NID_ext_key_usage, "serverAuth,clientAuth" },
		{ NID_subject_alt_name, alt_names(tmp, names, count) },
	};

	return X509_set_version(cert, X509_VERSION_3) == 1 &&
	       serial_put(cert) &&
	       X509_gmtime_adj(X509_getm_notBefore(cert), 0) != NULL &&
	       X509_time_adj_ex(X509_getm_notAfter(cert), VALID_DAYS, 0,
				NULL) != NULL &&
	       subject_put(X509_get_subject_name(cert), names[0]) &&
	       X509_set_issuer_name(cert, X509_get_subject_name(cert)) == 1 &&
	       X509_set_pubkey(cert, key->pkey) == 1 &&
	       cert_extend(cert, extensions, ARRAY_LEN(extensions)) &&
	       X509_sign(cert, key->pkey, signing_digest(key)) > 0;
}

enum rc tls_key_self_sign(const struct tls_key *key, const char *const *names,
			  size_t count, const char *path, struct fault *fault)
{
	X509 *cert = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	enum rc rc;

	ERR_clear_error();
	if (cert == NULL || bio == NULL ||
	    !cert_fill(cert, key, names, count) ||
	    PEM_write_bio_X509(bio, cert) != 1)
		rc = failed("make a certificate", fault);
	else
		rc = file_put(bio, path, 0644, fault);
	BIO_free(bio);
	X509_free(cert);
	return rc;
}

static bool request_extend(X509_REQ *request, const char *alt)
{
	const struct extension list[] = {
		{ NID_ext_key_usage, "serverAuth,clientAuth" },
		{ NID_subject_alt_name, alt },
	};
	STACK_OF(X509_EXTENSION) *stack = sk_X509_EXTENSION_new_null();
	bool ok = stack != NULL;

	for (size_t i = 0; i < ARRAY_LEN(list) && ok; i++) {
		X509_EXTENSION *extension = X509V3_EXT_conf_nid(
			NULL, NULL, list[i].nid, list[i].value);

		ok = extension != NULL &&
		     sk_X509_EXTENSION_push(stack, extension) > 0;
	}
	ok = ok && X509_REQ_add_extensions(request, stack) == 1;
	sk_X509_EXTENSION_pop_free(stack, X509_EXTENSION_free);
	return ok;
}

static bool request_fill(X509_REQ *request, const struct tls_key *key,
			 const char *const *names, size_t count)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	return X509_REQ_set_version(request, X509_REQ_VERSION_1) == 1 &&
	       subject_put(X509_REQ_get_subject_name(request), names[0]) &&
	       X509_REQ_set_pubkey(request, key->pkey) == 1 &&
	       request_extend(request, alt_names(tmp, names, count)) &&
	       X509_REQ_sign(request, key->pkey, signing_digest(key)) > 0;
}

enum rc tls_key_request(TALLOC_CTX *mem, const struct tls_key *key,
			const char *const *names, size_t count, char **ret_pem,
			struct fault *fault)
{
	X509_REQ *request = X509_REQ_new();
	BIO *bio = BIO_new(BIO_s_mem());
	enum rc rc = RC_OK;
	char *text;
	long len;

	ERR_clear_error();
	if (request == NULL || bio == NULL ||
	    !request_fill(request, key, names, count) ||
	    PEM_write_bio_X509_REQ(bio, request) != 1) {
		rc = failed("make a certificate signing request", fault);
	} else {
		len = BIO_get_mem_data(bio, &text);
		*ret_pem =
			mem_span_dup(mem, (struct span){ text, (size_t)len });
	}
	BIO_free(bio);
	X509_REQ_free(request);
	return rc;
}

enum rc tls_key_tlsa(TALLOC_CTX *mem, const struct tls_key *key, char **ret_hex,
		     struct fault *fault)
{
	unsigned char digest[EVP_MAX_MD_SIZE], *der = NULL;
	int len = i2d_PUBKEY(key->pkey, &der);
	unsigned size = 0;
	struct buf out;
	bool ok;

	ERR_clear_error();
	ok = len > 0 && EVP_Digest(der, (size_t)len, digest, &size,
				   EVP_sha256(), NULL) == 1;
	OPENSSL_free(der);
	if (!ok)
		return failed("digest of a public key", fault);
	buf_init(&out, mem, 2 * EVP_MAX_MD_SIZE);
	for (unsigned i = 0; i < size; i++)
		buf_addf(&out, "%02x", digest[i]);
	*ret_hex = mem_strdup(mem, buf_text(&out));
	return RC_OK;
}

enum rc tls_key_fits(const struct tls_key *key, const char *cert_path,
		     struct fault *fault)
{
	BIO *bio = BIO_new_file(cert_path, "r");
	X509 *cert;
	bool fits;

	if (bio == NULL) {
		ERR_clear_error();
		return fault_set(fault, RC_CONF, "4.3.5",
				 "open certificate %s: %m", cert_path);
	}
	cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	fits = cert != NULL && X509_check_private_key(cert, key->pkey) == 1;
	BIO_free(bio);
	ERR_clear_error();
	X509_free(cert);
	if (fits)
		return RC_OK;
	return fault_set(fault, RC_CONF, "4.3.5",
			 cert == NULL ? "%s: no certificate in PEM form"
				      : "%s: the certificate is not for the "
					"private key",
			 cert_path);
}
