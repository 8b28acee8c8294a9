/* SPDX-License-Identifier: Apache-2.0 */
/* Our own certificates and keys. */
#include <openssl/err.h>
#include <openssl/pem.h>

#include "net/tls_priv.h"

/* There is nobody to type one in. */
static int no_passphrase(char *text, int size, int writing, void *arg)
{
	return -1;
}

static enum rc pair_load(const struct tls_context *context,
			 const char *cert_setting, const char *cert_file,
			 const char *key_setting, const char *key_file,
			 struct fault *fault)
{
	SSL_CTX *ctx = context->ctx;

	if (!tls_is_set(cert_file))
		return RC_OK;
	if (!tls_is_set(key_file))
		key_file = cert_file;
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1)
		return tls_setting_bad(context, cert_setting, cert_file, fault);
	if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1)
		return tls_setting_bad(context, key_setting, key_file, fault);
	if (SSL_CTX_check_private_key(ctx) != 1)
		return tls_setting_bad(context, key_setting, key_file, fault);
	return RC_OK;
}

/* One key with its certificate and the rest of the chain. */
struct chain {
	SSL_CTX *ctx; /* who gets it */
	SSL *ssl;     /* or one connection alone */
	EVP_PKEY *key;
	X509 *leaf;
	STACK_OF(X509) * rest;
};

static void chain_clear(struct chain *chain)
{
	EVP_PKEY_free(chain->key);
	X509_free(chain->leaf);
	sk_X509_pop_free(chain->rest, X509_free);
	chain->key = NULL;
	chain->leaf = NULL;
	chain->rest = NULL;
}

/* false: OpenSSL's error queue has the reason. */
static bool chain_use(struct chain *chain)
{
	bool used;

	if (chain->key == NULL)
		return true;
	if (chain->leaf == NULL)
		used = false;
	else if (chain->ssl != NULL)
		used = SSL_use_cert_and_key(chain->ssl, chain->leaf, chain->key,
					    chain->rest, 1) == 1;
	else
		used = SSL_CTX_use_cert_and_key(chain->ctx, chain->leaf,
						chain->key, chain->rest,
						1) == 1;
	chain_clear(chain);
	return used;
}

static bool chain_add_cert(struct chain *chain, X509 *cert)
{
	if (chain->key == NULL)
		return false; /* the key comes first */
	if (chain->leaf == NULL) {
		chain->leaf = cert;
		return true;
	}
	if (chain->rest == NULL)
		chain->rest = sk_X509_new_null();
	return chain->rest != NULL && sk_X509_push(chain->rest, cert) > 0;
}

static bool chain_add_object(struct chain *chain, const char *name,
			     const unsigned char *der, long size)
{
	if (strcmp(name, PEM_STRING_X509) == 0 ||
	    strcmp(name, PEM_STRING_X509_TRUSTED) == 0 ||
	    strcmp(name, PEM_STRING_X509_OLD) == 0) {
		X509 *cert = d2i_X509(NULL, &der, size);

		if (cert != NULL && chain_add_cert(chain, cert))
			return true;
		X509_free(cert);
		return false;
	}
	if (span_ends(span_from(name), "PRIVATE KEY")) {
		if (!chain_use(chain))
			return false;
		chain->key = d2i_AutoPrivateKey(NULL, &der, size);
		return chain->key != NULL;
	}
	return true; /* parameters and the like */
}

static bool chain_read(struct chain *chain, BIO *file)
{
	char *name, *header;
	unsigned char *der;
	bool good = true;
	long size;

	while (good && PEM_read_bio(file, &name, &header, &der, &size) == 1) {
		good = chain_add_object(chain, name, der, size);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_clear_free(der, (size_t)size);
	}
	if (good &&
	    ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
		ERR_clear_error(); /* the end of the file */
	return good && ERR_peek_error() == 0;
}

static enum rc chain_files_load(const struct tls_context *context,
				struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *files = context->config.chain_files;
	struct span rest = span_from(files), word;
	struct chain chain = { .ctx = context->ctx };
	bool good = true;

	ERR_clear_error();
	while (good && span_token(&rest, ", \t\r\n", &word)) {
		BIO *file = BIO_new_file(mem_span_dup(tmp, word), "r");

		good = file != NULL && chain_read(&chain, file);
		BIO_free(file);
	}
	good = good && chain_use(&chain);
	chain_clear(&chain);
	if (!good)
		return tls_setting_bad(context, "chain_files", files, fault);
	return RC_OK;
}

enum rc tls_certificates_load(struct tls_context *context, struct fault *fault)
{
	const struct tls_config *c = &context->config;
	enum rc rc;

	SSL_CTX_set_default_passwd_cb(context->ctx, no_passphrase);
	if (tls_is_set(c->chain_files))
		return chain_files_load(context, fault);
	if (tls_is_set(c->cert_file) && strcmp(c->cert_file, "none") == 0)
		return RC_OK;
	rc = pair_load(context, "cert_file", c->cert_file, "key_file",
		       c->key_file, fault);
	if (rc == RC_OK)
		rc = pair_load(context, "dcert_file", c->dcert_file,
			       "dkey_file", c->dkey_file, fault);
	if (rc == RC_OK)
		rc = pair_load(context, "eccert_file", c->eccert_file,
			       "eckey_file", c->eckey_file, fault);
	return rc;
}

bool tls_chain_use(SSL *ssl, struct span pem)
{
	struct chain chain = { .ssl = ssl };
	BIO *text;
	bool good;

	if (pem.len == 0 || pem.len > INT_MAX)
		return false;
	ERR_clear_error();
	SSL_certs_clear(ssl);
	text = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	good = text != NULL && chain_read(&chain, text) && chain_use(&chain) &&
	       SSL_get_privatekey(ssl) != NULL;
	BIO_free(text);
	chain_clear(&chain);
	return good;
}
