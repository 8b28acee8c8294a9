/* SPDX-License-Identifier: Apache-2.0 */
/* From accept to the greeting: who is it, and may it speak at all? */
#include "arrive/smtpd/client_name.h"
#include "arrive/smtpd/rehearsal.h"
#include "arrive/smtpd/session.h"
#include "sys/log.h"

/* Words of local_header_rewrite_clients that are no tables. */
static bool is_local_client(const struct smtpd_session *s)
{
	const struct smtpd_server *server = s->server;
	struct span name = span_from(s->client_name);
	struct span address = span_from(s->client_address);
	struct fault fault = { 0 };

	if (server->local_is_inet &&
	    (span_starts(address, "127.") || span_is(address, "::1") ||
	     span_is(address, s->server_address)))
		return true;
	return server->local_is_mynetworks &&
	       match_list_client(server->mynetworks, name, address, &fault) ==
		       RC_OK;
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
	s->is_local = is_local_client(s);
	session_limits_learn(s);
	settle_lf_rules(s);
}

/* Where the client connected to. */
static void learn_server(struct smtpd_session *s)
{
	char local_text[NET_ADDRESS_TEXT_MAX];
	struct net_address local;
	bool known = net_address_local(s->ws.fd, &local);

	session_set_text(s, &s->server_address,
			 known ? net_address_text(&local, local_text) : "");
	talloc_free(s->server_port);
	s->server_port = mem_printf(
		s, "%u", known ? (unsigned)net_address_port(&local) : 0);
	if (s->server->rehearsal != NULL)
		rehearsal_learn(s);
}

/* Its address is known: is there room for one more of it? Asked before its
 * name is, so that nobody makes us wait for his name too often. */
static enum session_start start_address(struct smtpd_session *s)
{
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
		[START_ADDRESS] = start_address,
		[START_NAME] = start_name,
		[START_RULES] = start_rules,
	};

	s->phase = PHASE_START;
	while (s->start != START_DONE && s->waits_until_ms == 0)
		s->start = steps[s->start](s);
	if (s->start == START_DONE && s->phase == PHASE_START)
		s->phase = PHASE_COMMAND;
}

void session_greet_again(struct smtpd_session *s)
{
	s->start = START_RULES;
	session_start_go_on(s);
}
