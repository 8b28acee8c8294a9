/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>

#include "net/dns.h"
#include "net/tls_priv.h"

enum { SESSIONS_KEPT_MAX = 5000 };

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

enum rc tls_setting_bad(const struct tls_context *context, const char *setting,
			const char *value, struct fault *fault)
{
	char why[256];

	tls_error_text(why, sizeof(why));
	return fault_set(fault, RC_CONF, "4.7.5", "%s_tls_%s = %s: %s",
			 context->config.prefix, setting, value, why);
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
			return tls_setting_bad(context, "trust_anchor_file",
					       path, fault);
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
	if (tls_is_set(c->trust_anchor_files))
		return anchors_load(context, fault);
	if (tls_is_set(c->ca_file) &&
	    SSL_CTX_load_verify_file(ctx, c->ca_file) != 1)
		return tls_setting_bad(context, "CAfile", c->ca_file, fault);
	if (tls_is_set(c->ca_path) &&
	    SSL_CTX_load_verify_dir(ctx, c->ca_path) != 1)
		return tls_setting_bad(context, "CApath", c->ca_path, fault);
	if (c->append_default_ca && SSL_CTX_set_default_verify_paths(ctx) != 1)
		return tls_setting_bad(context, "append_default_CA", "yes",
				       fault);
	SSL_CTX_set_verify_depth(ctx,
				 c->verify_depth > 0 ? c->verify_depth : 9);
	return RC_OK;
}

static enum rc digest_find(struct tls_context *context, struct fault *fault)
{
	const char *name = tls_is_set(context->config.fingerprint_digest)
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

static bool shows_certificate(const struct tls_config *c)
{
	return strcmp(c->prefix, "smtpd") == 0 &&
	       !(tls_is_set(c->cert_file) && strcmp(c->cert_file, "none") == 0);
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
	/* A server that has a certificate shows it. */
	rc = tls_ciphers_make(tmp, c, &c->strength, shows_certificate(c),
			      &ciphers, fault);
	if (rc != RC_OK)
		return fault_add(fault, "%s", c->prefix);
	if (SSL_CTX_set_cipher_list(context->ctx, ciphers) != 1) {
		ERR_clear_error();
		return fault_set(fault, RC_CONF, "4.7.5",
				 "%s_tls_ciphers = %s: the list \"%s\" selects "
				 "no cipher",
				 c->prefix,
				 tls_is_set(c->strength.grade)
					 ? c->strength.grade
					 : "medium",
				 ciphers);
	}
	rc = tls_groups_make(tmp, c, &groups, fault);
	if (rc != RC_OK)
		return rc;
	if (groups[0] != '\0' &&
	    SSL_CTX_set1_groups_list(context->ctx, groups) != 1)
		return tls_setting_bad(context, "eecdh_grade", groups, fault);
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

/* tls_config_file and tls_config_name, before the library reads its own. The
 * first context of a process decides. */
static enum rc library_begin(const struct tls_config *c, struct fault *fault)
{
	const char *file =
		tls_is_set(c->library_file) ? c->library_file : "default";
	bool is_default = strcmp(file, "default") == 0;
	OPENSSL_INIT_SETTINGS *settings;
	uint64_t options = OPENSSL_INIT_LOAD_CONFIG;
	char why[256];
	int done;

	if (is_default && !tls_is_set(c->library_section))
		return RC_OK;
	settings = OPENSSL_INIT_new();
	if (settings == NULL)
		return fault_set(fault, RC_TEMP, "4.3.0", "out of memory");
	if (strcmp(file, "none") == 0)
		options = OPENSSL_INIT_NO_LOAD_CONFIG;
	else if (!is_default)
		OPENSSL_INIT_set_config_filename(settings, file);
	if (tls_is_set(c->library_section))
		OPENSSL_INIT_set_config_appname(settings, c->library_section);
	OPENSSL_INIT_set_config_file_flags(settings, 0);
	ERR_clear_error();
	done = OPENSSL_init_ssl(options, settings);
	OPENSSL_INIT_free(settings);
	if (done == 1)
		return RC_OK;
	tls_error_text(why, sizeof(why));
	return fault_set(
		fault, RC_CONF, "4.7.5",
		"tls_config_file = %s, tls_config_name = %s: %s", file,
		tls_is_set(c->library_section) ? c->library_section : "", why);
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
		&c->library_file,
		&c->library_section,
		&c->dane_digests,
		&c->session_context,
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

	rc = library_begin(config, fault);
	if (rc != RC_OK)
		return rc;
	config_keep(context, config, mem);
	/* Also a peer that is gone shows as an error of write(2). */
	signal(SIGPIPE, SIG_IGN);
	context->ctx = SSL_CTX_new(method);
	if (context->ctx == NULL)
		return tls_setting_bad(context, "context", "new", fault);
	/* The lists of main.cf decide, not the level of openssl.cnf: a weak
	 * cipher beats none where TLS is optional. */
	SSL_CTX_set_security_level(context->ctx, 0);
	SSL_CTX_set_mode(context->ctx,
			 SSL_MODE_RELEASE_BUFFERS |
				 SSL_MODE_ENABLE_PARTIAL_WRITE |
				 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(context->ctx, 1);
	tls_trace_context(context);
	rc = options_apply(context, fault);
	if (rc == RC_OK)
		rc = strength_apply(context, fault);
	if (rc == RC_OK)
		rc = digest_find(context, fault);
	if (rc == RC_OK)
		rc = authorities_load(context, fault);
	if (rc == RC_OK)
		rc = tls_certificates_load(context, fault);
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
	if (c->trust_server_certs)
		SSL_CTX_set_purpose(context->ctx, X509_PURPOSE_ANY);
	SSL_CTX_set_verify(context->ctx,
			   SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE,
			   any_certificate);
	if (tls_is_set(c->ca_file))
		SSL_CTX_set_client_CA_list(context->ctx,
					   SSL_load_client_CA_file(c->ca_file));
	ERR_clear_error();
}

/* What a session of one service may be used for is not what another one's may:
 * it asks for certificates, or does not. */
static void session_context_set(const struct tls_config *c, SSL_CTX *ctx)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char text[256];
	unsigned size;
	int len = snprintf(text, sizeof(text), "%s %s %d", c->prefix,
			   tls_is_set(c->session_context) ? c->session_context
							  : "",
			   c->ask_client_cert);

	len = MIN_OF(len, (int)sizeof(text) - 1);
	if (EVP_Digest(text, (size_t)len, digest, &size, EVP_sha256(), NULL) ==
	    1)
		SSL_CTX_set_session_id_context(
			ctx, digest,
			MIN_OF(size, (unsigned)SSL_MAX_SID_CTX_LENGTH));
}

/* A session is in its ticket; who takes none (TLS 1.2) may come back by the id
 * of one that is kept here. */
static void server_ids_setup(const struct tls_config *c, SSL_CTX *ctx)
{
	long mode = SSL_SESS_CACHE_OFF;

	if (c->keep_sessions)
		mode = SSL_SESS_CACHE_SERVER;
	else if (c->session_ids) /* given out, and nothing behind them */
		mode = SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL |
		       SSL_SESS_CACHE_NO_AUTO_CLEAR;
	SSL_CTX_set_session_cache_mode(ctx, mode);
	SSL_CTX_sess_set_cache_size(ctx, SESSIONS_KEPT_MAX);
}

static enum rc server_sessions_setup(TALLOC_CTX *mem,
				     struct tls_context *context,
				     struct fault *fault)
{
	const struct tls_config *c = &context->config;
	SSL_CTX *ctx = context->ctx;

	server_ids_setup(c, ctx);
	session_context_set(c, ctx);
	if (!c->sessions) {
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(ctx, 0);
		return RC_OK;
	}
	SSL_CTX_set_timeout(ctx, c->session_timeout_s);
	SSL_CTX_set_num_tickets(ctx, 1);
	return tls_tickets_use(mem, ctx, c, fault);
}

/* The chain for the name that the client asks for. 1 go on, 0 give up. */
static int name_choose(SSL *ssl, void *arg)
{
	const struct tls_server *server = arg;
	const struct tls_config *c = &server->context.config;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct tls *tls = SSL_get_app_data(ssl);
	struct fault fault = { 0 };
	struct span pem;
	enum rc rc;

	if (name == NULL || !dns_name_is_valid(span_from(name)))
		return 1;
	rc = c->sni_find(c->sni_arg, tmp, name, &pem, &fault);
	if (rc == RC_NONE)
		return 1;
	if (rc != RC_OK || !tls_chain_use(ssl, pem))
		return 0;
	if (tls != NULL && tls->sni_name == NULL)
		tls->sni_name = mem_strdup(tls, name);
	return 1;
}

/* The parameters of the file; without one, those that fit the key. */
static enum rc dh_setup(struct tls_context *context, struct fault *fault)
{
	const char *path = context->config.dh_param_file;
	EVP_PKEY *params = NULL;
	BIO *file;

	if (!tls_is_set(path) || strcmp(path, "auto") == 0) {
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
	return tls_setting_bad(context, "dh1024_param_file", path, fault);
}

bool tls_config_has_certificate(const struct tls_config *c)
{
	return tls_is_set(c->chain_files) || tls_is_set(c->cert_file) ||
	       tls_is_set(c->eccert_file) || tls_is_set(c->dcert_file);
}

static enum rc server_setup(struct tls_server *server, struct fault *fault)
{
	struct tls_context *context = &server->context;
	const struct tls_config *c = &context->config;
	enum rc rc = dh_setup(context, fault);

	if (rc == RC_OK)
		rc = server_sessions_setup(server, context, fault);
	if (rc != RC_OK)
		return rc;
	if (c->prefer_server_ciphers)
		SSL_CTX_set_options(context->ctx,
				    SSL_OP_CIPHER_SERVER_PREFERENCE);
	if (c->sni_find != NULL)
		SSL_CTX_set_cert_cb(context->ctx, name_choose, server);
	client_certificates_ask(context);
	return RC_OK;
}

enum rc tls_server_open(TALLOC_CTX *mem, const struct tls_config *config,
			struct tls_server **ret_server, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct tls_server *server = mem_new(tmp, struct tls_server);
	enum rc rc;

	talloc_set_destructor(server, server_close);
	/* "none" in their place is a decision. */
	if (!tls_config_has_certificate(config))
		return fault_set(fault, RC_CONF, "4.7.5",
				 "No server certs available. TLS won't be "
				 "enabled");
	rc = tls_context_setup(server, &server->context, config,
			       TLS_server_method(), fault);
	if (rc == RC_OK)
		rc = server_setup(server, fault);
	if (rc != RC_OK)
		return rc;
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
	if (rc == RC_OK)
		rc = tls_dane_enable(&client->context, fault);
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
