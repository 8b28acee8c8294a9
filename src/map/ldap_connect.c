/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of the ldap table. */
#include "map/ldap_priv.h"

/* The questions of the SASL library, as libsasl2 lays them out. */
struct sasl_question {
	unsigned long id;
	const char *challenge, *prompt, *defresult;
	const void *result;
	unsigned int len;
};

enum {
	SASL_END = 0,
	SASL_AUTHORIZE_AS = 0x4001,
	SASL_LOGIN = 0x4002,
	SASL_PASSWORD = 0x4004,
	SASL_REALM = 0x4008,
};

static bool is_host_error(int error)
{
	switch (error) {
	case LDAP_SERVER_DOWN:
	case LDAP_TIMEOUT:
	case LDAP_CONNECT_ERROR:
	case LDAP_LOCAL_ERROR:
	case LDAP_ENCODING_ERROR:
	case LDAP_DECODING_ERROR:
	case LDAP_BUSY:
	case LDAP_UNAVAILABLE:
	case LDAP_UNWILLING_TO_PERFORM:
	case LDAP_PROTOCOL_ERROR:
		return true;
	default:
		return false;
	}
}

enum rc ldap_fault(const struct ldap_connection *c, const char *what, int error,
		   bool *ret_broken, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const struct ldap_client *client = &c->map->client;
	const char *more = "", *hint = "";
	char *message = NULL;

	*ret_broken |= is_host_error(error);
	if (is_host_error(error) && c->with_tls &&
	    c->map->conf.tls_require_cert)
		hint = "; is its certificate for this name, and from "
		       "tls_ca_cert_file or tls_ca_cert_dir?";
	client->ldap_get_option(c->ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &message);
	if (message != NULL && message[0] != '\0')
		more = mem_printf(tmp, ": %s", db_message(tmp, message));
	if (message != NULL)
		client->ldap_memfree(message);
	return fault_set(fault, RC_TEMP, "4.3.0", "host %s: %s: %d: %s%s%s",
			 c->host, what, error, client->ldap_err2string(error),
			 more, hint);
}

static int connection_close(struct ldap_connection *c)
{
	if (c->ld != NULL)
		c->map->client.ldap_unbind_ext_s(c->ld, NULL, NULL);
	return 0;
}

/* A name or address becomes a URL. */
static char *url_of(TALLOC_CTX *mem, const struct map_ldap *m, const char *host)
{
	struct db_address address;
	bool is_v6;

	if (m->client.ldap_is_ldap_url(host))
		return mem_strdup(mem, host);
	db_address_parse(mem, host, &address);
	is_v6 = strchr(address.host, ':') != NULL;
	if (address.port[0] == '\0')
		address.port = mem_printf(mem, "%d", m->conf.server_port);
	return mem_printf(mem, "ldap://%s%s%s:%s", is_v6 ? "[" : "",
			  address.host, is_v6 ? "]" : "", address.port);
}

static int text_option(struct ldap_connection *c, int option, const char *text)
{
	if (text[0] == '\0')
		return LDAP_OPT_SUCCESS;
	return c->map->client.ldap_set_option(c->ld, option, text);
}

static int int_option(struct ldap_connection *c, int option, int value)
{
	return c->map->client.ldap_set_option(c->ld, option, &value);
}

static bool tls_options(struct ldap_connection *c)
{
	const struct table_conf_ldap *conf = &c->map->conf;
	int error = LDAP_OPT_SUCCESS;

	error |= int_option(c, LDAP_OPT_X_TLS_REQUIRE_CERT,
			    conf->tls_require_cert ? LDAP_OPT_X_TLS_DEMAND
						   : LDAP_OPT_X_TLS_NEVER);
	error |=
		text_option(c, LDAP_OPT_X_TLS_CACERTDIR, conf->tls_ca_cert_dir);
	error |= text_option(c, LDAP_OPT_X_TLS_CACERTFILE,
			     conf->tls_ca_cert_file);
	error |= text_option(c, LDAP_OPT_X_TLS_CERTFILE, conf->tls_cert);
	error |= text_option(c, LDAP_OPT_X_TLS_KEYFILE, conf->tls_key);
	error |= text_option(c, LDAP_OPT_X_TLS_CIPHER_SUITE,
			     conf->tls_cipher_suite);
	error |= text_option(c, LDAP_OPT_X_TLS_RANDOM_FILE,
			     conf->tls_random_file);
	error |= int_option(c, LDAP_OPT_X_TLS_NEWCTX, 0);
	return error == LDAP_OPT_SUCCESS;
}

static bool options_set(struct ldap_connection *c)
{
	const struct ldap_client *client = &c->map->client;
	const struct table_conf_ldap *conf = &c->map->conf;
	struct timeval limit = { .tv_sec = conf->timeout };
	int error = LDAP_OPT_SUCCESS;

	error |= int_option(c, LDAP_OPT_PROTOCOL_VERSION, conf->version);
	error |= int_option(c, LDAP_OPT_DEREF, conf->dereference);
	error |= client->ldap_set_option(c->ld, LDAP_OPT_NETWORK_TIMEOUT,
					 &limit);
	error |= client->ldap_set_option(c->ld, LDAP_OPT_TIMEOUT, &limit);
	error |= client->ldap_set_option(
		c->ld, LDAP_OPT_REFERRALS,
		conf->chase_referrals ? &conf->chase_referrals : LDAP_OPT_OFF);
	return error == LDAP_OPT_SUCCESS && (!c->with_tls || tls_options(c));
}

static int simple_bind(struct ldap_connection *c)
{
	const struct ldap_client *client = &c->map->client;
	const struct table_conf_ldap *conf = &c->map->conf;
	struct timeval limit = { .tv_sec = conf->timeout };
	struct berval password = { strlen(conf->bind_pw),
				   (char *)conf->bind_pw };
	LDAPMessage *result = NULL;
	int id, error, code;

	error = client->ldap_sasl_bind(c->ld, conf->bind_dn, LDAP_SASL_SIMPLE,
				       &password, NULL, NULL, &id);
	if (error != LDAP_SUCCESS)
		return error;
	code = client->ldap_result(c->ld, id, LDAP_MSG_ALL, &limit, &result);
	if (code == 0)
		return LDAP_TIMEOUT;
	if (code < 0 || result == NULL) {
		client->ldap_get_option(c->ld, LDAP_OPT_RESULT_CODE, &error);
		return error == LDAP_SUCCESS ? LDAP_SERVER_DOWN : error;
	}
	error = client->ldap_parse_result(c->ld, result, &code, NULL, NULL,
					  NULL, NULL, 1);
	return error == LDAP_SUCCESS ? code : error;
}

static int sasl_answer(LDAP *ld, unsigned int flags, void *arg, void *list)
{
	const struct table_conf_ldap *conf = arg;

	for (struct sasl_question *q = list; q->id != SASL_END; q++) {
		const char *text = NULL;

		if (q->id == SASL_LOGIN)
			text = conf->bind_dn;
		else if (q->id == SASL_PASSWORD)
			text = conf->bind_pw;
		else if (q->id == SASL_AUTHORIZE_AS)
			text = conf->sasl_authz_id;
		else if (q->id == SASL_REALM)
			text = conf->sasl_realm;
		if (text == NULL || text[0] == '\0')
			text = q->defresult != NULL ? q->defresult : "";
		q->result = text;
		q->len = (unsigned int)strlen(text);
	}
	return LDAP_SUCCESS;
}

static int sasl_bind(struct ldap_connection *c)
{
	const struct table_conf_ldap *conf = &c->map->conf;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *security =
		mem_printf(tmp, "minssf=%d", MAX_OF(conf->sasl_minssf, 0));
	int error = c->map->client.ldap_set_option(
		c->ld, LDAP_OPT_X_SASL_SECPROPS, security);

	if (error != LDAP_OPT_SUCCESS)
		return LDAP_LOCAL_ERROR;
	return c->map->client.ldap_sasl_interactive_bind_s(
		c->ld, NULL, conf->sasl_mechs[0] ? conf->sasl_mechs : NULL,
		NULL, NULL, LDAP_SASL_QUIET, sasl_answer, (void *)conf);
}

static enum rc log_in(struct ldap_connection *c, struct fault *fault)
{
	bool broken = false;
	int error = LDAP_SUCCESS;

	if (c->map->conf.start_tls) {
		error = c->map->client.ldap_start_tls_s(c->ld, NULL, NULL);
		if (error != LDAP_SUCCESS)
			return ldap_fault(c, "STARTTLS", error, &broken, fault);
	}
	if (c->map->bind == LDAP_BIND_SIMPLE)
		error = simple_bind(c);
	else if (c->map->bind == LDAP_BIND_SASL)
		error = sasl_bind(c);
	if (error != LDAP_SUCCESS)
		return ldap_fault(c, "bind", error, &broken, fault);
	return RC_OK;
}

enum rc ldap_connect_host(void *arg, const char *host, void **ret_connection,
			  struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct map_ldap *m = arg;
	struct ldap_connection *c = mem_new(tmp, struct ldap_connection);
	char *url = url_of(tmp, m, host);
	int error;

	c->map = m;
	c->with_tls = m->conf.start_tls ||
		      span_starts_nocase(span_from(url), "ldaps:");
	c->host = mem_strdup(c, host);
	talloc_set_destructor(c, connection_close);
	error = m->client.ldap_initialize(&c->ld, url);
	if (error != LDAP_SUCCESS)
		return fault_set(fault, RC_TEMP, "4.3.0", "host %s: %s", host,
				 m->client.ldap_err2string(error));
	if (!options_set(c))
		return fault_set(
			fault, RC_TEMP, "4.3.0",
			"host %s: the LDAP library does not take the "
			"settings%s",
			host,
			c->with_tls ? "; can the files of tls_ca_cert_file, "
				      "tls_cert and tls_key be read?"
				    : "");
	if (log_in(c, fault) != RC_OK)
		return RC_TEMP;
	*ret_connection = talloc_steal(NULL, c);
	return RC_OK;
}

bool ldap_connection_is_good(void *connection)
{
	struct ldap_connection *c = connection;
	int fd = -1;

	c->map->client.ldap_get_option(c->ld, LDAP_OPT_DESC, &fd);
	return db_is_quiet(fd);
}
