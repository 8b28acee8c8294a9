/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AUTH: the mechanism runs at the authentication server; here its words are
 * passed on, one line each way. While the server thinks, and while the client
 * does, the session is parked.
 */
#include "arrive/smtpd/command.h"
#include "arrive/smtpd/sasl.h"
#include "base/clock.h"
#include "mail/smtp_command.h"
#include "sys/log.h"

enum { SERVER_WAIT_MS = 30 * 1000 };

struct session_login {
	struct sasl_request *request;
	char *mechanism; /* as the client wrote it */
	bool client_is_next;
	uint64_t until_ms; /* for the server to say something */
};

static void wake(void *arg)
{
	struct smtpd_session *s = arg;

	if (s->server->workers != NULL)
		workers_wake(s->server->workers, s->ws.handle);
}

void session_login_forget(struct smtpd_session *s)
{
	if (s->login != NULL)
		talloc_free(s->login->request);
	TALLOC_FREE(s->login);
}

bool session_may_login(const struct smtpd_session *s)
{
	return s->server->sasl != NULL &&
	       !(s->server->conf->v.smtpd_tls_auth_only && s->tls == NULL);
}

static void log_failure(const struct smtpd_session *s, const char *mechanism,
			const char *why, const char *user)
{
	struct span name = span_take(span_from(mechanism), 40);
	struct buf text;

	buf_init(&text, NULL, 2048);
	session_add_escaped(&text, name);
	log_warning("%s: SASL %s authentication failed: %s, sasl_username=%s",
		    s->client_text, buf_text(&text), why,
		    user != NULL ? user : "(unavailable)");
	buf_done(&text);
}

/* It is over: back to commands. */
static void finish(struct smtpd_session *s, bool good)
{
	session_login_forget(s);
	s->phase = PHASE_COMMAND;
	session_verb_done(s, good);
}

static void refuse(struct smtpd_session *s, bool later, const char *why,
		   const char *user)
{
	log_failure(s, s->login->mechanism, why, user);
	if (later)
		session_reply(s,
			      "454 4.7.0 Temporary authentication failure: %s",
			      why);
	else
		session_reply(s, "535 5.7.8 Error: authentication failed: %s",
			      why);
	finish(s, false);
}

static void grant(struct smtpd_session *s, const char *user)
{
	char *clean = mem_strdup(s, user);

	for (char *c = clean; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 127)
			*c = '?';
	session_set_text(s, &s->sasl_username, clean);
	session_set_text(s, &s->sasl_method, s->login->mechanism);
	talloc_free(clean);
	session_login_changed(s);
	session_reply(s, "235 2.7.0 Authentication successful");
	finish(s, true);
}

/* Has the server said anything? */
static bool hear_server(struct smtpd_session *s)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct session_login *login = s->login;
	char *text, *user;

	switch (sasl_request_state(login->request, tmp, &text, &user)) {
	case SASL_WAITS:
		if (clock_mono_ms() < login->until_ms)
			s->waits_until_ms = login->until_ms;
		else
			refuse(s, true,
			       "Connection lost to authentication "
			       "server",
			       NULL);
		break;
	case SASL_CHALLENGE:
		login->client_is_next = true;
		session_reply(s, "334 %s", text);
		break;
	case SASL_GRANTED:
		grant(s, user);
		break;
	case SASL_DENIED:
		refuse(s, false, text, user);
		break;
	case SASL_UNDECIDED:
		refuse(s, true, text, user);
		break;
	}
	return true;
}

static void ask_server(struct smtpd_session *s, struct span response)
{
	struct session_login *login = s->login;
	struct fault fault = { 0 };
	enum rc rc;

	login->client_is_next = false;
	login->until_ms = clock_mono_ms() + SERVER_WAIT_MS;
	rc = sasl_request_go_on(login->request, response, &fault);
	if (rc != RC_OK)
		refuse(s, rc == RC_TEMP, fault.text, NULL);
}

static void take_response(struct smtpd_session *s, struct span line)
{
	if (span_is(line, "*")) {
		log_warning("%s: SASL %s authentication aborted",
			    s->client_text, s->login->mechanism);
		session_reply(s, "501 5.7.0 Authentication aborted");
		finish(s, false);
		return;
	}
	ask_server(s, line);
}

static void response_too_long(struct smtpd_session *s, struct span line,
			      size_t max)
{
	log_warning("%s: request longer than %zu: %.*s...", s->client_text, max,
		    SPAN_FMT(span_take(line, 30)));
	session_reply(s, "500 5.5.6 SASL response limit exceeded");
	finish(s, false);
}

bool session_take_auth(struct smtpd_session *s)
{
	size_t max =
		(size_t)MIN_OF(s->server->conf->v.smtpd_sasl_response_limit,
			       SMTPD_INPUT_BYTES / 2);
	ssize_t lf = span_find(s->input, '\n');
	struct span line;

	if (!s->login->client_is_next)
		return hear_server(s);
	if (lf < 0 && s->input.len <= max + 2)
		return false;
	line = span_take(s->input, lf < 0 ? s->input.len : (size_t)lf);
	s->input = span_skip(s->input, lf < 0 ? line.len : (size_t)lf + 1);
	while (span_ends(line, "\r"))
		line = span_take(line, line.len - 1);
	if (line.len > max) {
		s->skip_line = lf < 0;
		response_too_long(s, line, max);
	} else {
		take_response(s, line);
	}
	return true;
}

/* Why nobody can log in now; NULL: go on. */
static const char *refusal(const struct smtpd_session *s)
{
	const struct conf_values *v = &s->server->conf->v;

	if (v->smtpd_helo_required && s->helo == NULL)
		return "503 5.5.1 Error: send HELO/EHLO first";
	if (s->server->sasl == NULL)
		return "503 5.5.1 Error: authentication not enabled";
	if (!session_may_login(s))
		return "504 5.5.4 Encryption required for requested "
		       "authentication mechanism";
	if (s->transaction != NULL)
		return "503 5.5.1 Error: MAIL transaction in progress";
	if (s->sasl_username != NULL)
		return "503 5.5.1 Error: already authenticated";
	return NULL;
}

static enum verb_result begin(struct smtpd_session *s, struct span mechanism,
			      struct span response)
{
	const struct sasl_client client = {
		.client_address = s->client_address,
		.client_port = s->client_port,
		.server_address = s->server_address,
		.server_port = s->server_port,
		.tls = s->tls != NULL,
	};
	struct session_login *login = mem_new(s, struct session_login);
	struct fault fault = { 0 };
	enum rc rc;

	s->login = login;
	login->mechanism = mem_span_dup(login, mechanism);
	login->until_ms = clock_mono_ms() + SERVER_WAIT_MS;
	s->phase = PHASE_AUTH;
	if (!sasl_mechanism_is_good(s->server->sasl, client.tls, mechanism))
		rc = fault_set(&fault, RC_PERM, "5.7.8",
			       "Invalid authentication mechanism");
	else
		rc = sasl_request_begin(login, s->server->sasl, mechanism,
					response, &client, wake, s,
					&login->request, &fault);
	if (rc != RC_OK)
		refuse(s, rc == RC_TEMP, fault.text, NULL);
	return VERB_REPLACED; /* counted when it is over */
}

enum verb_result verb_auth(struct smtpd_session *s, struct span args)
{
	struct span mechanism, response = { NULL, 0 }, more;
	const char *no = refusal(s);

	if (no != NULL) {
		session_reply(s, "%s", no);
		return VERB_FAILED;
	}
	if (!span_token(&args, " \t", &mechanism) ||
	    (span_token(&args, " \t", &response) &&
	     span_token(&args, " \t", &more))) {
		session_reply(s, "501 5.5.4 Syntax: AUTH mechanism");
		return VERB_FAILED;
	}
	if (session_event_is_refused(s, CLIENT_LOGS_IN))
		return VERB_FAILED;
	return begin(s, mechanism, response);
}
