/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/server.h"

#include "arrive/smtpd/client_table.h"
#include "arrive/smtpd/sasl.h"
#include "net/endpoint.h"
#include "sys/log.h"

struct smtpd_thread *smtpd_thread_new(TALLOC_CTX *mem)
{
	struct smtpd_thread *thread = mem_new(mem, struct smtpd_thread);

	/* what a batch may add after the half at which it is sent */
	buf_init(&thread->output, thread, SMTPD_OUTPUT_BYTES);
	return thread;
}

static const struct {
	const char *name;
	int bit;
} ehlo_names[] = {
	{ "pipelining", EHLO_PIPELINING },
	{ "size", EHLO_SIZE },
	{ "vrfy", EHLO_VRFY },
	{ "etrn", EHLO_ETRN },
	{ "starttls", EHLO_STARTTLS },
	{ "auth", EHLO_AUTH },
	{ "verp", EHLO_VERP },
	{ "xclient", EHLO_XCLIENT },
	{ "xforward", EHLO_XFORWARD },
	{ "enhancedstatuscodes", EHLO_ENHANCEDSTATUSCODES },
	{ "8bitmime", EHLO_8BITMIME },
	{ "dsn", EHLO_DSN },
	{ "smtputf8", EHLO_SMTPUTF8 },
	{ "chunking", EHLO_CHUNKING },
	{ "requiretls", EHLO_REQUIRETLS },
	{ "silent-discard", EHLO_SILENT },
};

void ehlo_keywords_add(int bits, struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(ehlo_names); i++)
		if (bits & ehlo_names[i].bit)
			buf_addf(out, " %s", ehlo_names[i].name);
}

int ehlo_keywords_parse(const char *text)
{
	struct span rest = span_from(text), word;
	int bits = 0;

	while (span_token(&rest, ", \t\r\n", &word))
		for (size_t i = 0; i < ARRAY_LEN(ehlo_names); i++)
			if (span_is_nocase(word, ehlo_names[i].name))
				bits |= ehlo_names[i].bit;
	return bits;
}

static enum rc configure_bare_lf(struct smtpd_server *server,
				 struct fault *fault)
{
	struct span mode = span_from(server->conf->v.smtpd_forbid_bare_newline);

	if (span_is_nocase(mode, "no")) {
		server->bare_lf = BARE_LF_ACCEPT;
	} else if (span_is_nocase(mode, "normalize") ||
		   span_is_nocase(mode, "yes")) {
		server->bare_lf = BARE_LF_NORMALIZE;
	} else if (span_is_nocase(mode, "note")) {
		server->bare_lf = BARE_LF_NORMALIZE;
		server->bare_lf_note = true;
	} else if (span_is_nocase(mode, "reject")) {
		server->bare_lf = BARE_LF_REJECT;
	} else {
		return fault_set(fault, RC_CONF, "4.3.5",
				 "parameter smtpd_forbid_bare_newline: \"%.*s\" "
				 "is not no, normalize, note or reject",
				 SPAN_FMT(mode));
	}
	return RC_OK;
}

/* local_header_rewrite_clients: words, and tables of addresses. */
static enum rc configure_local_clients(struct smtpd_server *server,
				       struct fault *fault)
{
	static const struct {
		const char *word;
		enum local_client bit;
	} words[] = {
		{ "permit_inet_interfaces", LOCAL_INET_INTERFACES },
		{ "permit_mynetworks", LOCAL_MYNETWORKS },
		{ "permit_sasl_authenticated", LOCAL_LOGGED_IN },
		{ "permit_tls_clientcerts", LOCAL_TLS_CLIENTCERTS },
		{ "permit_tls_all_clientcerts", LOCAL_TLS_ALL },
		{ "check_address_map", 0 }, /* a table follows */
	};
	const struct conf_values *v = &server->conf->v;
	struct span rest = span_from(v->local_header_rewrite_clients), word;
	struct buf tables;
	enum rc rc;

	buf_init(&tables, server, 64 * 1024);
	while (span_token(&rest, ", \t\r\n", &word)) {
		size_t i = 0;

		while (i < ARRAY_LEN(words) &&
		       !span_is_nocase(word, words[i].word))
			i++;
		if (i < ARRAY_LEN(words))
			server->local_words |= words[i].bit;
		else if (span_find(word, ':') > 0)
			buf_addf(&tables, " %.*s", SPAN_FMT(word));
		else
			return fault_set(fault, RC_CONF, "4.3.5",
					 "parameter "
					 "local_header_rewrite_clients: bad "
					 "word \"%.*s\"",
					 SPAN_FMT(word));
	}
	rc = maps_open(server, server->conf, "local_header_rewrite_clients",
		       buf_text(&tables), MAP_FOLD, &server->local_addresses,
		       fault);
	if (rc == RC_OK && (server->local_words & LOCAL_TLS_CLIENTCERTS))
		rc = maps_open(server, server->conf, "relay_clientcerts",
			       v->relay_clientcerts, MAP_FOLD,
			       &server->relay_clientcerts, fault);
	return rc;
}

/* Some word of a list of clients may be about names. */
static bool names_hosts(const char *text)
{
	struct span rest = span_from(text), word;

	while (span_token(&rest, ", \t\r\n", &word)) {
		while (span_starts(word, "!"))
			word = span_skip(word, 1);
		if (word.len > 0 && !ascii_is_digit(word.ptr[0]) &&
		    word.ptr[0] != '[')
			return true;
	}
	return false;
}

static enum rc open_maps(struct smtpd_server *server, struct fault *fault)
{
	const struct conf_values *v = &server->conf->v;
	const struct {
		const char *parameter, *text;
		struct maps **maps;
	} all[] = {
		{ "smtpd_reject_footer_maps", v->smtpd_reject_footer_maps,
		  &server->footer_maps },
		{ "smtpd_command_filter", v->smtpd_command_filter,
		  &server->command_filter },
		{ "smtpd_discard_ehlo_keyword_address_maps",
		  v->smtpd_discard_ehlo_keyword_address_maps,
		  &server->discard_maps },
	};
	enum rc rc = RC_OK;

	for (size_t i = 0; rc == RC_OK && i < ARRAY_LEN(all); i++)
		if (all[i].text[0] != '\0')
			rc = maps_open(server, server->conf, all[i].parameter,
				       all[i].text, MAP_FOLD, all[i].maps,
				       fault);
	return rc;
}

static enum rc configure_proxy(struct smtpd_server *server, struct fault *fault)
{
	struct span protocol =
		span_from(server->conf->v.smtpd_upstream_proxy_protocol);

	server->haproxy = span_is(protocol, "haproxy");
	if (server->haproxy || protocol.len == 0)
		return RC_OK;
	return fault_set(fault, RC_CONF, "4.3.5",
			 "parameter smtpd_upstream_proxy_protocol: \"%.*s\" is "
			 "not haproxy",
			 SPAN_FMT(protocol));
}

static enum rc configure_filter(struct smtpd_server *server,
				struct fault *fault)
{
	const struct conf_values *v = &server->conf->v;
	struct span filter = span_from(v->smtpd_proxy_filter);
	enum rc rc;

	if (span_find(filter, ':') < 0) /* a port alone is one of this host */
		filter = span_from(mem_printf(server, "localhost:%.*s",
					      SPAN_FMT(filter)));
	rc = net_endpoint_parse(server, filter, 0,
				v->smtpd_proxy_timeout * 1000, &server->proxy,
				fault);
	return rc == RC_OK ? rc :
			     fault_add(fault, "parameter smtpd_proxy_filter");
}

enum rc smtpd_server_configure(struct smtpd_server *server, struct fault *fault)
{
	const struct conf_values *v = &server->conf->v;
	const struct {
		const char *parameter, *text;
		struct match_list **list;
	} lists[] = {
		{ "mynetworks", v->mynetworks, &server->mynetworks },
		{ "debug_peer_list", v->debug_peer_list, &server->debug_peers },
		{ "smtpd_client_event_limit_exceptions",
		  v->smtpd_client_event_limit_exceptions,
		  &server->limit_exceptions },
		{ "smtpd_forbid_bare_newline_exclusions",
		  v->smtpd_forbid_bare_newline_exclusions,
		  &server->bare_lf_exclusions },
		{ "fast_flush_domains", v->fast_flush_domains,
		  &server->flush_domains },
		{ "smtpd_forbidden_commands", v->smtpd_forbidden_commands,
		  &server->forbidden },
		{ "smtpd_noop_commands", v->smtpd_noop_commands,
		  &server->noop_words },
		{ "smtpd_sasl_exceptions_networks",
		  v->smtpd_sasl_exceptions_networks, &server->sasl_exceptions },
		{ "smtpd_authorized_xclient_hosts",
		  v->smtpd_authorized_xclient_hosts, &server->xclient_hosts },
		{ "smtpd_authorized_xforward_hosts",
		  v->smtpd_authorized_xforward_hosts, &server->xforward_hosts },
	};
	enum rc rc;

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		rc = match_list_open(server, server->conf, lists[i].parameter,
				     lists[i].text, lists[i].list, fault);
		if (rc != RC_OK)
			return rc;
	}
	server->discard = ehlo_keywords_parse(v->smtpd_discard_ehlo_keywords);
	server->clients = client_table_new(server,
					   v->smtpd_client_ipv4_prefix_length,
					   v->smtpd_client_ipv6_prefix_length,
					   v->anvil_rate_time_unit);
	server->exceptions_name_hosts =
		names_hosts(v->smtpd_client_event_limit_exceptions);
	rc = configure_local_clients(server, fault);
	if (rc == RC_OK)
		rc = open_maps(server, fault);
	if (rc == RC_OK)
		rc = configure_proxy(server, fault);
	if (rc == RC_OK)
		rc = configure_bare_lf(server, fault);
	if (rc == RC_OK && v->smtpd_proxy_filter[0] != '\0')
		rc = configure_filter(server, fault);
	if (rc == RC_OK && v->smtpd_sasl_auth_enable)
		rc = sasl_open(server, server->conf, &server->sasl, fault);
	return rc;
}

enum rc smtpd_server_open_rules(struct smtpd_server *server,
				struct fault *fault)
{
	struct recipient_lists *recipients;
	struct resolver *resolver;
	enum rc rc;

	rc = resolver_open(server, server->conf, &resolver, fault);
	if (rc == RC_OK)
		rc = recipient_lists_open(server, server->conf, resolver,
					  &recipients, fault);
	if (rc == RC_OK)
		rc = restrictions_open(server, server->conf, resolver,
				       recipients, &server->restrictions,
				       fault);
	if (rc == RC_OK)
		rc = smtpd_server_configure(server, fault);
	if (rc == RC_OK)
		rc = dns_open(server, &(struct dns_config){ 0 }, &server->dns,
			      fault);
	return rc;
}

enum rc smtpd_server_tls_level(struct smtpd_server *server, struct fault *fault)
{
	const struct conf_values *v = &server->conf->v;
	enum rc rc;

	server->tls_wrapper = v->smtpd_tls_wrappermode;
	if (v->smtpd_tls_security_level[0] != '\0') {
		rc = tls_level_parse(v->smtpd_tls_security_level,
				     &server->tls_level, fault);
		if (rc != RC_OK)
			return fault_add(fault, "smtpd_tls_security_level");
		if (server->tls_level > TLS_ENCRYPT) {
			log_warning("smtpd_tls_security_level: unsupported "
				    "level \"%s\", using \"encrypt\"",
				    v->smtpd_tls_security_level);
			server->tls_level = TLS_ENCRYPT;
		}
	} else {
		server->tls_level = v->smtpd_enforce_tls ? TLS_ENCRYPT
				    : v->smtpd_use_tls	 ? TLS_MAY
							 : TLS_NONE;
	}
	if (server->tls_wrapper && server->tls_level < TLS_ENCRYPT)
		server->tls_level = TLS_ENCRYPT;
	return RC_OK;
}
