/* SPDX-License-Identifier: Apache-2.0 */
/* From accept to the greeting: who is it, and may it speak at all? */
#include <errno.h>
#include <sys/socket.h>

#include "arrive/smtpd/client_name.h"
#include "arrive/smtpd/haproxy.h"
#include "arrive/smtpd/debug_peer.h"
#include "arrive/smtpd/rehearsal.h"
#include "arrive/smtpd/session.h"
#include "sys/log.h"

/* An error in a table is as "not in it": headers stay as they are. */
static bool is_in_table(struct maps *maps, const char *key)
{
	SCRATCH TALLOC_CTX *tmp = NULL;
	struct fault fault = { 0 };
	struct span value;
	enum rc rc;

	if (maps == NULL || key == NULL || key[0] == '\0' ||
	    maps_is_empty(maps))
		return false;
	tmp = talloc_new(NULL);
	rc = maps_lookup(maps, tmp, span_from(key), &value, &fault);
	if (rc != RC_OK && rc != RC_NONE)
		log_warning("local_header_rewrite_clients: %s", fault.text);
	return rc == RC_OK;
}

static bool is_local_by_tls(const struct smtpd_session *s)
{
	const struct smtpd_server *server = s->server;
	const struct tls_facts *facts;

	if (s->tls == NULL || s->phase == PHASE_HANDSHAKE)
		return false;
	facts = tls_facts(s->tls);
	if ((server->local_words & LOCAL_TLS_ALL) &&
	    facts->trust >= TLS_TRUSTED)
		return true;
	return (server->local_words & LOCAL_TLS_CLIENTCERTS) &&
	       (is_in_table(server->relay_clientcerts, facts->fingerprint) ||
		is_in_table(server->relay_clientcerts, facts->key_fingerprint));
}

/* local_header_rewrite_clients */
static bool is_local_client(const struct smtpd_session *s)
{
	const struct smtpd_server *server = s->server;
	struct span address = span_from(s->client_address);
	int words = server->local_words;
	struct fault fault = { 0 };

	if ((words & LOCAL_LOGGED_IN) && s->sasl_username != NULL)
		return true;
	if ((words & LOCAL_INET_INTERFACES) &&
	    (span_starts(address, "127.") || span_is(address, "::1") ||
	     span_is(address, s->server_address)))
		return true;
	if ((words & LOCAL_MYNETWORKS) &&
	    match_list_client(server->mynetworks, span_from(s->client_name),
			      address, &fault) == RC_OK)
		return true;
	return is_in_table(server->local_addresses, s->client_address) ||
	       ((words & (LOCAL_TLS_ALL | LOCAL_TLS_CLIENTCERTS)) &&
		is_local_by_tls(s));
}

static void settle_lf_rules(struct smtpd_session *s)
{
	struct fault fault = { 0 };

	s->strict_lf = s->server->bare_lf != BARE_LF_ACCEPT &&
		       match_list_client(s->server->bare_lf_exclusions,
					 span_from(s->client_name),
					 span_from(s->client_address),
					 &fault) != RC_OK;
}

/* Which EHLO keywords this client does not get. */
static void settle_keywords(struct smtpd_session *s)
{
	struct maps *maps = s->server->discard_maps;
	SCRATCH TALLOC_CTX *tmp = NULL;
	struct fault fault = { 0 };
	struct span value;
	enum rc rc;

	s->discard = s->server->discard;
	if (maps == NULL)
		return;
	tmp = talloc_new(NULL);
	rc = maps_lookup(maps, tmp, span_from(s->client_address), &value,
			 &fault);
	if (rc == RC_OK)
		s->discard = ehlo_keywords_parse(mem_span_dup(tmp, value));
	else if (rc != RC_NONE)
		log_warning("smtpd_discard_ehlo_keyword_address_maps: %s",
			    fault.text);
}

void session_login_changed(struct smtpd_session *s)
{
	s->is_local = is_local_client(s);
}

void session_client_changed(struct smtpd_session *s)
{
	const struct conf_values *v = &s->server->conf->v;
	char *old = s->client_text;

	s->client_text = v->smtpd_client_port_logging
				 ? mem_printf(s, "%s[%s]:%s", s->client_name,
					      s->client_address, s->client_port)
				 : mem_printf(s, "%s[%s]", s->client_name,
					      s->client_address);
	talloc_free(old);
	debug_peer_learn(s);
	s->is_local = is_local_client(s);
	session_limits_learn(s);
	settle_lf_rules(s);
	settle_keywords(s);
}

static void set_port(struct smtpd_session *s, char **text,
		     const struct net_address *address)
{
	talloc_free(*text);
	*text = mem_printf(s, "%u", net_address_port(address));
}

/* ---- haproxy ---- */

void session_proxy_failed(struct smtpd_session *s, const char *why)
{
	struct buf bytes;

	buf_init(&bytes, s, 4096);
	session_add_escaped(&bytes, s->input);
	log_warning("haproxy read: %s%s%s", why, bytes.len > 0 ? ": " : "",
		    buf_text(&bytes));
	buf_done(&bytes);
	client_name_unknown(s);
	session_client_changed(s);
	log_info("connect from %s", s->client_text);
	session_reply(s, "421 4.3.0 %s Server local error",
		      s->server->conf->v.myhostname);
	session_end(s);
}

static void take_proxy(struct smtpd_session *s, const struct haproxy *haproxy)
{
	char text[NET_ADDRESS_TEXT_MAX];

	s->input = (struct span){ NULL, 0 };
	if (haproxy->is_local)
		return;
	session_set_text(s, &s->client_address,
			 net_address_text(&haproxy->client, text));
	session_set_text(s, &s->server_address,
			 net_address_text(&haproxy->server, text));
	set_port(s, &s->client_port, &haproxy->client);
	set_port(s, &s->server_port, &haproxy->server);
}

/* Nothing behind the header may be read: it can be TLS. So bytes are looked at
 * first, and then taken as far as they belong to the header. */
static enum session_start start_proxy(struct smtpd_session *s)
{
	char *room = s->thread->input + s->input.len;
	struct haproxy haproxy;
	struct fault fault = { 0 };
	size_t size, have = s->input.len;
	enum rc rc;
	ssize_t n;

	if (!s->server->haproxy || s->server->rehearsal != NULL)
		return START_ADDRESS;
	if (have > 0 && s->input.ptr != s->thread->input)
		memmove(s->thread->input, s->input.ptr, have);
	n = recv(s->ws.fd, room, HAPROXY_MAX_BYTES - have,
		 MSG_PEEK | MSG_DONTWAIT);
	s->input = (struct span){ s->thread->input,
				  have + (size_t)MAX_OF(n, (ssize_t)0) };
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return START_PROXY;
	rc = n <= 0 ? fault_set(&fault, RC_PERM, "4.3.0", "EOF") :
		      haproxy_parse(s->input, &haproxy, &size, &fault);
	if (rc == RC_OK)
		s->input.len = size;
	if (n > 0 && recv(s->ws.fd, room, s->input.len - have, MSG_DONTWAIT) !=
			     (ssize_t)(s->input.len - have))
		rc = fault_set(&fault, RC_PERM, "4.3.0", "EOF");
	if (rc == RC_NONE)
		return START_PROXY;
	if (rc != RC_OK) {
		session_proxy_failed(s, fault.text);
		return START_DONE;
	}
	take_proxy(s, &haproxy);
	return START_ADDRESS;
}

/* ---- who it is ---- */

/* Where the client connected to, unless a proxy has said it. */
static void learn_server(struct smtpd_session *s)
{
	char local_text[NET_ADDRESS_TEXT_MAX];
	struct net_address local = { 0 };
	bool known = net_address_local(s->ws.fd, &local);

	if (s->server_address != NULL)
		return;
	session_set_text(s, &s->server_address,
			 known ? net_address_text(&local, local_text) : "");
	set_port(s, &s->server_port, &local);
	if (s->server->rehearsal != NULL)
		rehearsal_learn(s);
}

/* Its address is known: is there room for one more of it? Asked before its
 * name is, so that nobody makes us wait for his name too often. */
static enum session_start start_address(struct smtpd_session *s)
{
	session_instance_new(s);
	client_name_unknown(s);
	learn_server(s);
	session_limits_learn(s);
	session_limits_enter(s);
	if (session_limits_refuse(s))
		return START_DONE;
	return START_NAME;
}

static enum session_start start_name(struct smtpd_session *s)
{
	if (!client_name_find(s))
		return START_NAME;
	session_client_changed(s);
	log_info("connect from %s", s->client_text);
	if (session_limits_refuse(s))
		return START_DONE;
	if (s->server->tls_wrapper && s->server->rehearsal == NULL) {
		if (session_tls_is_refused(s))
			session_end(s);
		else
			session_tls_begin(s);
		return START_DONE;
	}
	return START_RULES;
}

static enum session_start start_rules(struct smtpd_session *s)
{
	bool allowed = session_allowed(s, AT_CONNECT, "CONNECT", NULL, NULL);

	if (s->waits_until_ms != 0)
		return START_RULES;
	s->access_denied = !allowed;
	if (allowed)
		session_reply(s, "220 %s", s->server->conf->v.smtpd_banner);
	return START_DONE;
}

void session_start_go_on(struct smtpd_session *s)
{
	static enum session_start (*const steps[])(struct smtpd_session * s) = {
		[START_PROXY] = start_proxy,
		[START_ADDRESS] = start_address,
		[START_NAME] = start_name,
		[START_RULES] = start_rules,
	};

	s->phase = s->start == START_PROXY ? PHASE_PROXY : PHASE_START;
	while (s->start != START_DONE && s->waits_until_ms == 0) {
		s->start = steps[s->start](s);
		if (s->start == START_PROXY)
			return;
		if (s->phase == PHASE_PROXY)
			s->phase = PHASE_START;
	}
	if (s->start == START_DONE && s->phase == PHASE_START)
		s->phase = PHASE_COMMAND;
}

void session_greet(struct smtpd_session *s)
{
	s->start = START_RULES;
	session_start_go_on(s);
}
