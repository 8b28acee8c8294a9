/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <signal.h>

#include "net/tls_priv.h"

static const char list_separators[] = ", \t\r\n";

void tls_error_text(char *text, size_t size)
{
	unsigned long code = ERR_get_error();

	if (code == 0)
		snprintf(text, size, "no details");
	else
		ERR_error_string_n(code, text, size);
	ERR_clear_error();
}

void tls_error_trace(char *text, size_t size)
{
	const char *file, *data;
	int line, flags;
	unsigned long code =
		ERR_get_error_all(&file, &line, NULL, &data, &flags);
	size_t used;

	if (code == 0) {
		snprintf(text, size, "no details");
		return;
	}
	ERR_error_string_n(code, text, size);
	used = strlen(text);
	snprintf(text + used, size - used, ":%s:%d:%s", file, line,
		 flags & ERR_TXT_STRING ? data : "");
	ERR_clear_error();
}

static bool is_set(const char *text)
{
	return text != NULL && text[0] != '\0';
}

static enum rc setting_bad(const struct tls_context *context,
			   const char *setting, const char *value,
			   struct fault *fault)
{
	char why[256];

	tls_error_text(why, sizeof(why));
	return fault_set(fault, RC_CONF, "4.7.5", "%s_tls_%s = %s: %s",
			 context->config.prefix, setting, value, why);
}

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

	if (!is_set(cert_file))
		return RC_OK;
	if (!is_set(key_file))
		key_file = cert_file;
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1)
		return setting_bad(context, cert_setting, cert_file, fault);
	if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1)
		return setting_bad(context, key_setting, key_file, fault);
	if (SSL_CTX_check_private_key(ctx) != 1)
		return setting_bad(context, key_setting, key_file, fault);
	return RC_OK;
}

/* One key with its certificate and the rest of the chain. */
struct chain {
	EVP_PKEY *key;
	X509 *leaf;
	STACK_OF(X509) * rest;
};

static void chain_clear(struct chain *chain)
{
	EVP_PKEY_free(chain->key);
	X509_free(chain->leaf);
	sk_X509_pop_free(chain->rest, X509_free);
	*chain = (struct chain){ 0 };
}

/* false: OpenSSL's error queue has the reason. */
static bool chain_use(SSL_CTX *ctx, struct chain *chain)
{
	bool used;

	if (chain->key == NULL)
		return true;
	used = chain->leaf != NULL &&
	       SSL_CTX_use_cert_and_key(ctx, chain->leaf, chain->key,
					chain->rest, 1) == 1;
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

static bool chain_add_object(SSL_CTX *ctx, struct chain *chain,
			     const char *name, const unsigned char *der,
			     long size)
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
		if (!chain_use(ctx, chain))
			return false;
		chain->key = d2i_AutoPrivateKey(NULL, &der, size);
		return chain->key != NULL;
	}
	return true; /* parameters and the like */
}

static bool chain_file_read(SSL_CTX *ctx, struct chain *chain, BIO *file)
{
	char *name, *header;
	unsigned char *der;
	bool good = true;
	long size;

	while (good && PEM_read_bio(file, &name, &header, &der, &size) == 1) {
		good = chain_add_object(ctx, chain, name, der, size);
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
	struct chain chain = { 0 };
	bool good = true;

	ERR_clear_error();
	while (good && span_token(&rest, list_separators, &word)) {
		BIO *file = BIO_new_file(mem_span_dup(tmp, word), "r");

		good = file != NULL &&
		       chain_file_read(context->ctx, &chain, file);
		BIO_free(file);
	}
	good = good && chain_use(context->ctx, &chain);
	chain_clear(&chain);
	if (!good)
		return setting_bad(context, "chain_files", files, fault);
	return RC_OK;
}

static enum rc certificates_load(struct tls_context *context,
				 struct fault *fault)
{
	const struct tls_config *c = &context->config;
	enum rc rc;

	SSL_CTX_set_default_passwd_cb(context->ctx, no_passphrase);
	if (is_set(c->chain_files))
		return chain_files_load(context, fault);
	if (is_set(c->cert_file) && strcmp(c->cert_file, "none") == 0)
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

/* In place of all authorities. A certificate here need not be a root. */
static enum rc anchors_load(struct tls_context *context, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct span rest = span_from(context->config.trust_anchor_files), word;
	X509_STORE *store = SSL_CTX_get_cert_store(context->ctx);

	while (span_token(&rest, list_separators, &word)) {
		char *path = mem_span_dup(tmp, word);

		if (X509_STORE_load_file(store, path) != 1)
			return setting_bad(context, "trust_anchor_file", path,
					   fault);
	}
	X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	return RC_OK;
}

static enum rc authorities_load(struct tls_context *context,
				struct fault *fault)
{
	const struct tls_config *c = &context->config;
	SSL_CTX *ctx = context->ctx;

	ERR_clear_error();
	if (is_set(c->trust_anchor_files))
		return anchors_load(context, fault);
	if (is_set(c->ca_file) &&
	    SSL_CTX_load_verify_file(ctx, c->ca_file) != 1)
		return setting_bad(context, "CAfile", c->ca_file, fault);
	if (is_set(c->ca_path) && SSL_CTX_load_verify_dir(ctx, c->ca_path) != 1)
		return setting_bad(context, "CApath", c->ca_path, fault);
	if (c->append_default_ca && SSL_CTX_set_default_verify_paths(ctx) != 1)
		return setting_bad(context, "append_default_CA", "yes", fault);
	SSL_CTX_set_verify_depth(ctx,
				 c->verify_depth > 0 ? c->verify_depth : 9);
	return RC_OK;
}

static enum rc digest_find(struct tls_context *context, struct fault *fault)
{
	const char *name = is_set(context->config.fingerprint_digest)
				   ? context->config.fingerprint_digest
				   : "sha256";

	context->fingerprint_md = EVP_get_digestbyname(name);
	if (context->fingerprint_md == NULL)
		return fault_set(fault, RC_CONF, "4.7.5",
				 "%s_tls_fingerprint_digest: unknown digest "
				 "\"%s\"",
				 context->config.prefix, name);
	return RC_OK;
}

static enum rc strength_apply(struct tls_context *context, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const struct tls_config *c = &context->config;
	const char *protocols =
		c->strength.protocols != NULL ? c->strength.protocols : "";
	struct tls_versions versions;
	char *ciphers, *groups;
	enum rc rc;

	rc = tls_versions_parse(protocols, &versions, fault);
	if (rc != RC_OK)
		return fault_add(fault, "%s", c->prefix);
	SSL_CTX_set_options(context->ctx, versions.options);
	SSL_CTX_set_min_proto_version(context->ctx, versions.min);
	SSL_CTX_set_max_proto_version(context->ctx, versions.max);
	/* Who wants to see certificates shows one. */
	rc = tls_ciphers_make(tmp, c, &c->strength, c->ask_client_cert,
			      &ciphers, fault);
	if (rc != RC_OK)
		return fault_add(fault, "%s", c->prefix);
	if (SSL_CTX_set_cipher_list(context->ctx, ciphers) != 1)
		return setting_bad(context, "ciphers", ciphers, fault);
	rc = tls_groups_make(tmp, c, &groups, fault);
	if (rc != RC_OK)
		return rc;
	if (groups[0] != '\0' &&
	    SSL_CTX_set1_groups_list(context->ctx, groups) != 1)
		return setting_bad(context, "eecdh_grade", groups, fault);
	return RC_OK;
}

static enum rc options_apply(struct tls_context *context, struct fault *fault)
{
	const struct tls_config *c = &context->config;
	uint64_t options, workarounds;
	enum rc rc;

	rc = tls_options_parse("tls_ssl_options", c->ssl_options, &options,
			       fault);
	if (rc == RC_OK)
		rc = tls_options_parse("tls_disable_workarounds",
				       c->disable_workarounds, &workarounds,
				       fault);
	if (rc != RC_OK)
		return rc;
	SSL_CTX_set_options(context->ctx,
			    SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
				    SSL_OP_IGNORE_UNEXPECTED_EOF |
				    (SSL_OP_ALL & ~workarounds) | options);
	return RC_OK;
}

/* The configuration outlives the snapshot it came from. */
static void config_keep(struct tls_context *context,
			const struct tls_config *config, TALLOC_CTX *mem)
{
	struct tls_config *c = &context->config;
	const char **texts[] = {
		&c->prefix,
		&c->chain_files,
		&c->cert_file,
		&c->key_file,
		&c->dcert_file,
		&c->dkey_file,
		&c->eccert_file,
		&c->eckey_file,
		&c->ca_file,
		&c->ca_path,
		&c->high_ciphers,
		&c->medium_ciphers,
		&c->null_ciphers,
		&c->curves,
		&c->ffdhe_groups,
		&c->ssl_options,
		&c->disable_workarounds,
		&c->trust_anchor_files,
		&c->dh_param_file,
		&c->ticket_cipher,
		&c->fingerprint_digest,
		&c->fingerprint_match,
		&c->verify_match,
		&c->secure_match,
		&c->strength.protocols,
		&c->strength.grade,
		&c->strength.exclude,
		&c->strength.exclude_more,
	};

	*c = *config;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (*texts[i] != NULL)
			*texts[i] = mem_strdup(mem, *texts[i]);
}

enum rc tls_context_setup(TALLOC_CTX *mem, struct tls_context *context,
			  const struct tls_config *config,
			  const SSL_METHOD *method, struct fault *fault)
{
	enum rc rc;

	config_keep(context, config, mem);
	/* Also a peer that is gone shows as an error of write(2). */
	signal(SIGPIPE, SIG_IGN);
	context->ctx = SSL_CTX_new(method);
	if (context->ctx == NULL)
		return setting_bad(context, "context", "new", fault);
	/* The lists of main.cf decide, not the level of openssl.cnf: a weak
	 * cipher beats none where TLS is optional. */
	SSL_CTX_set_security_level(context->ctx, 0);
	SSL_CTX_set_mode(context->ctx,
			 SSL_MODE_RELEASE_BUFFERS |
				 SSL_MODE_ENABLE_PARTIAL_WRITE |
				 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(context->ctx, 1);
	rc = options_apply(context, fault);
	if (rc == RC_OK)
		rc = strength_apply(context, fault);
	if (rc == RC_OK)
		rc = digest_find(context, fault);
	if (rc == RC_OK)
		rc = authorities_load(context, fault);
	if (rc == RC_OK)
		rc = certificates_load(context, fault);
	return rc;
}

static int server_close(struct tls_server *server)
{
	SSL_CTX_free(server->context.ctx);
	return 0;
}

static int client_close(struct tls_client *client)
{
	SSL_CTX_free(client->context.ctx);
	return 0;
}

/* Whatever certificate the client has: the session decides afterwards. */
static int any_certificate(int good, X509_STORE_CTX *store)
{
	return 1;
}

static void client_certificates_ask(struct tls_context *context)
{
	const struct tls_config *c = &context->config;

	if (!c->ask_client_cert)
		return;
	SSL_CTX_set_verify(context->ctx,
			   SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE,
			   any_certificate);
	if (is_set(c->ca_file))
		SSL_CTX_set_client_CA_list(context->ctx,
					   SSL_load_client_CA_file(c->ca_file));
	ERR_clear_error();
}

static enum rc server_sessions_setup(TALLOC_CTX *mem,
				     struct tls_context *context,
				     struct fault *fault)
{
	const struct tls_config *c = &context->config;
	SSL_CTX *ctx = context->ctx;

	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)c->prefix,
				       (unsigned)strlen(c->prefix));
	if (!c->sessions) {
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(ctx, 0);
		return RC_OK;
	}
	SSL_CTX_set_timeout(ctx, c->session_timeout_s);
	SSL_CTX_set_num_tickets(ctx, 1);
	return tls_tickets_use(mem, ctx, c->ticket_cipher, c->session_timeout_s,
			       fault);
}

/* The parameters of the file; without one, those that fit the key. */
static enum rc dh_setup(struct tls_context *context, struct fault *fault)
{
	const char *path = context->config.dh_param_file;
	EVP_PKEY *params = NULL;
	BIO *file;

	if (!is_set(path) || strcmp(path, "auto") == 0) {
		SSL_CTX_set_dh_auto(context->ctx, 1);
		return RC_OK;
	}
	ERR_clear_error();
	file = BIO_new_file(path, "r");
	if (file != NULL)
		params = PEM_read_bio_Parameters(file, NULL);
	BIO_free(file);
	if (params != NULL &&
	    SSL_CTX_set0_tmp_dh_pkey(context->ctx, params) == 1)
		return RC_OK;
	EVP_PKEY_free(params);
	return setting_bad(context, "dh1024_param_file", path, fault);
}

enum rc tls_server_open(TALLOC_CTX *mem, const struct tls_config *config,
			struct tls_server **ret_server, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct tls_server *server = mem_new(tmp, struct tls_server);
	bool no_cert = is_set(config->cert_file) &&
		       strcmp(config->cert_file, "none") == 0;
	enum rc rc;

	talloc_set_destructor(server, server_close);
	if (!no_cert && !is_set(config->chain_files) &&
	    !is_set(config->cert_file) && !is_set(config->eccert_file) &&
	    !is_set(config->dcert_file))
		return fault_set(fault, RC_CONF, "4.7.5",
				 "No server certs available. TLS won't be "
				 "enabled");
	rc = tls_context_setup(server, &server->context, config,
			       TLS_server_method(), fault);
	if (rc != RC_OK)
		return rc;
	rc = dh_setup(&server->context, fault);
	if (rc == RC_OK)
		rc = server_sessions_setup(server, &server->context, fault);
	if (rc != RC_OK)
		return rc;
	if (config->prefer_server_ciphers)
		SSL_CTX_set_options(server->context.ctx,
				    SSL_OP_CIPHER_SERVER_PREFERENCE);
	client_certificates_ask(&server->context);
	*ret_server = talloc_steal(mem, server);
	return RC_OK;
}

enum rc tls_client_open(TALLOC_CTX *mem, const struct tls_config *config,
			struct tls_client **ret_client, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct tls_client *client = mem_new(tmp, struct tls_client);
	enum rc rc;

	talloc_set_destructor(client, client_close);
	rc = tls_context_setup(client, &client->context, config,
			       TLS_client_method(), fault);
	if (rc != RC_OK)
		return rc;
	if (config->sessions)
		client->sessions = tls_sessions_new(client, client->context.ctx,
						    config->session_timeout_s);
	else
		SSL_CTX_set_session_cache_mode(client->context.ctx,
					       SSL_SESS_CACHE_OFF);
	*ret_client = talloc_steal(mem, client);
	return RC_OK;
}
