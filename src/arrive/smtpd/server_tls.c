/* SPDX-License-Identifier: Apache-2.0 */
/* TLS of the server: smtpd_tls_security_level, certificates, names. */
#include "arrive/smtpd/server.h"
#include "map/map_build.h"
#include "sys/log.h"

static void log_line(const char *line)
{
	log_info("%s", line);
}

/* The name, then its parents with a dot. Any thread. */
static enum rc name_find(void *arg, TALLOC_CTX *mem, const char *name,
			 struct span *ret_pem, struct fault *fault)
{
	struct smtpd_server *server = arg;
	struct span key = span_from(name), value;
	enum rc rc = maps_lookup(server->tls_names, mem, key, &value, fault);

	while (rc == RC_NONE && key.len > 1) {
		ssize_t dot = span_find(span_skip(key, 1), '.');

		if (dot < 0)
			break;
		key = span_skip(key, (size_t)dot + 1);
		rc = maps_lookup(server->tls_names, mem, key, &value, fault);
	}
	if (rc == RC_OK)
		rc = map_value_decode(mem, value, ret_pem, fault);
	if (rc != RC_OK && rc != RC_NONE)
		log_warning("tls_server_sni_maps: %s: %s", name, fault->text);
	return rc;
}

static enum rc names_open(struct smtpd_server *server,
			  struct tls_config *config, struct fault *fault)
{
	const char *tables = server->conf->v.tls_server_sni_maps;
	enum rc rc;

	if (tables[0] == '\0')
		return RC_OK;
	rc = maps_open(server, server->conf, "tls_server_sni_maps", tables,
		       MAP_FOLD, &server->tls_names, fault);
	config->sni_find = name_find;
	config->sni_arg = server;
	return rc;
}

static enum rc context_open(struct smtpd_server *server,
			    struct tls_config *config, struct fault *fault)
{
	enum rc rc = names_open(server, config, fault);

	if (rc != RC_OK)
		return rc;
	if (config->log_level >= 2)
		log_info("initializing the server-side TLS engine");
	return tls_server_open(server, config, &server->tls, fault);
}

/* Nobody asked for TLS 1.0, which RFC 8996 forbids: it is offered only where
 * main.cf or master.cf says so. */
static bool is_preset(const struct conf *conf, const char *parameter)
{
	struct conf_place place;

	conf_locate(conf, parameter, 0, &place);
	return place.file == NULL && !place.is_override;
}

enum rc smtpd_server_tls_open(struct smtpd_server *server, int ticket_fd,
			      struct fault *fault)
{
	const struct conf_values *v = &server->conf->v;
	struct tls_config config;
	enum rc rc = smtpd_server_tls_level(server, fault);

	if (rc != RC_OK || server->tls_level == TLS_NONE)
		return rc;
	tls_config_load(server->conf, "smtpd",
			server->tls_level == TLS_ENCRYPT, &config);
	if (is_preset(server->conf, server->tls_level == TLS_ENCRYPT
					    ? "smtpd_tls_mandatory_protocols"
					    : "smtpd_tls_protocols"))
		config.strength.protocols = ">=TLSv1.2";
	if (v->smtpd_tls_req_ccert && !config.require_client_cert)
		log_warning("Can't require client certs unless TLS is "
			    "required: smtpd_tls_req_ccert needs "
			    "smtpd_tls_security_level = encrypt");
	server->tls_cert_required = config.require_client_cert;
	config.log = log_line;
	config.session_context = server->service_name;
	config.ticket_fd = ticket_fd;
	rc = context_open(server, &config, fault);
	if (rc == RC_OK)
		return RC_OK;
	if (server->tls_wrapper)
		return rc;
	/* the others can still be served: at "may" in clear, at "encrypt" by
	 * a 454 to STARTTLS; never in clear where it must not be */
	log_warning("%s", fault->text);
	log_warning("TLS is not available: %s",
		    server->tls_level == TLS_ENCRYPT ? "mail is refused" :
						       "STARTTLS is refused");
	return RC_OK;
}
