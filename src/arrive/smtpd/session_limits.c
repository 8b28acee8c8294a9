/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of counts and rates that hold for one client in all its sessions. */
#include "arrive/smtpd/client_table.h"
#include "arrive/smtpd/session.h"
#include "base/clock.h"
#include "sys/log.h"

static int limit_of(const struct smtpd_session *s, enum client_event event)
{
	const struct conf_values *v = &s->server->conf->v;

	if (s->server->clients == NULL) /* a rehearsal */
		return 0;
	switch (event) {
	case CLIENT_CONNECTS:
		return v->smtpd_client_connection_rate_limit;
	case CLIENT_SENDS:
		return v->smtpd_client_message_rate_limit;
	case CLIENT_ADDRESSES:
		return v->smtpd_client_recipient_rate_limit;
	case CLIENT_BEGINS_TLS:
		return v->smtpd_client_new_tls_session_rate_limit;
	case CLIENT_LOGS_IN:
		return v->smtpd_client_auth_rate_limit;
	default:
		return 0;
	}
}

/* An error in the list is for the limits. */
static bool is_exempt(const struct smtpd_session *s)
{
	return session_in_list(s, s->server->limit_exceptions,
			       "smtpd_client_event_limit_exceptions") == RC_OK;
}

static void log_excess(const struct smtpd_session *s, const char *what,
		       int count)
{
	log_warning("%s limit exceeded: %d from %s for service %s", what, count,
		    s->client_text, s->server->service_name);
}

void session_limits_learn(struct smtpd_session *s)
{
	if (s->server->clients != NULL)
		s->client_key =
			client_key(s->server->clients, s->client_address);
}

void session_limits_enter(struct smtpd_session *s)
{
	const struct conf_values *v = &s->server->conf->v;

	if (s->server->clients == NULL ||
	    (v->smtpd_client_connection_count_limit <= 0 &&
	     v->smtpd_client_connection_rate_limit <= 0))
		return;
	s->counted_key = s->client_key;
	s->counted = client_table_enter(s->server->clients, &s->counted_key,
					clock_mono_ms());
}

void session_limits_leave(struct smtpd_session *s)
{
	if (s->counted.connections > 0)
		client_table_leave(s->server->clients, &s->counted_key,
				   clock_mono_ms());
	s->counted.connections = 0;
}

bool session_limits_refuse(struct smtpd_session *s)
{
	const struct conf_values *v = &s->server->conf->v;
	int most = v->smtpd_client_connection_count_limit;
	int most_rate = v->smtpd_client_connection_rate_limit;
	const char *what = NULL;

	if (most > 0 && s->counted.connections > most)
		what = "Connection concurrency";
	else if (most_rate > 0 && s->counted.rate > most_rate)
		what = "Connection rate";
	if (what == NULL || is_exempt(s))
		return false;
	if (s->client_text == NULL) { /* its name was not even looked for */
		if (s->server->exceptions_name_hosts)
			return false;
		session_client_changed(s);
		log_info("connect from %s", s->client_text);
	}
	log_excess(s, what,
		   most > 0 && s->counted.connections > most
			   ? s->counted.connections
			   : s->counted.rate);
	session_reply(s, "421 4.7.0 %s Error: too many connections from %s",
		      v->myhostname, s->client_address);
	session_end(s);
	return true;
}

bool session_event_is_refused(struct smtpd_session *s, enum client_event event)
{
	static const struct {
		const char *what, *reply;
	} texts[CLIENT_EVENTS] = {
		[CLIENT_SENDS] = { "Message delivery request rate",
				   "450 4.7.1 Error: too much mail from" },
		[CLIENT_ADDRESSES] = { "Recipient address rate",
				       "450 4.7.1 Error: too many recipients "
				       "from" },
		[CLIENT_LOGS_IN] = { "AUTH command rate",
				     "450 4.7.1 Error: too many AUTH commands "
				     "from" },
	};
	int limit = limit_of(s, event), rate;

	if (limit <= 0 || is_exempt(s))
		return false;
	rate = client_table_count(s->server->clients, &s->client_key, event,
				  clock_mono_ms());
	if (rate <= limit)
		return false;
	log_excess(s, texts[event].what, rate);
	session_reply(s, "%s %s", texts[event].reply, s->client_address);
	return true;
}

bool session_tls_is_refused(struct smtpd_session *s)
{
	int limit = limit_of(s, CLIENT_BEGINS_TLS);
	bool wrapper = s->server->tls_wrapper;

	if (limit <= 0 || is_exempt(s) ||
	    client_table_rate(s->server->clients, &s->client_key,
			      CLIENT_BEGINS_TLS, clock_mono_ms()) <= limit)
		return false;
	log_warning("Refusing %s request from %s for service %s",
		    wrapper ? "TLS service" : "STARTTLS", s->client_text,
		    s->server->service_name);
	if (!wrapper)
		session_reply(s,
			      "454 4.7.0 Error: too many new TLS sessions "
			      "from %s",
			      s->client_text);
	return true;
}

bool session_new_tls_is_refused(struct smtpd_session *s)
{
	int limit = limit_of(s, CLIENT_BEGINS_TLS), rate;

	if (limit <= 0 || is_exempt(s))
		return false;
	rate = client_table_count(s->server->clients, &s->client_key,
				  CLIENT_BEGINS_TLS, clock_mono_ms());
	if (rate <= limit)
		return false;
	log_excess(s, "New TLS session rate", rate);
	session_reply(s,
		      "421 4.7.0 %s Error: too many new TLS sessions from %s",
		      s->server->conf->v.myhostname, s->client_text);
	session_end(s);
	return true;
}
