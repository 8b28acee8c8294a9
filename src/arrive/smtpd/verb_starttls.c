/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/command.h"
#include "sys/log.h"

enum verb_result verb_starttls(struct smtpd_session *s, struct span args)
{
	if (args.len > 0) {
		session_reply(s, "501 5.5.4 Syntax: STARTTLS");
		return VERB_FAILED;
	}
	if (s->tls != NULL) {
		session_reply(s, "554 5.5.1 Error: TLS already active");
		return VERB_FAILED;
	}
	if (s->server->tls_level == TLS_NONE ||
	    (s->discard & EHLO_STARTTLS)) {
		session_reply(s, "502 5.5.1 Error: command not implemented");
		return VERB_FAILED;
	}
	if (s->server->tls == NULL) {
		session_reply(s, "454 4.7.0 TLS not available due to local "
				 "problem");
		return VERB_FAILED;
	}
	if (session_tls_is_refused(s))
		return VERB_FAILED;
	session_reply(s, "220 2.0.0 Ready to start TLS");
	session_tls_begin(s);
	return s->phase == PHASE_HANDSHAKE ? VERB_DONE : VERB_FAILED;
}

void session_tls_begin(struct smtpd_session *s)
{
	struct fault fault = { 0 };

	/* What was sent in clear behind the command is not a command: it may
	 * have been slipped in by somebody on the way. */
	s->input = (struct span){ NULL, 0 };
	s->skip_line = false;
	session_reset(s);
	talloc_free(s->helo);
	s->helo = NULL;
	s->esmtp = false;
	session_set_text(s, &s->sasl_username, NULL);
	session_set_text(s, &s->sasl_method, NULL);
	if (tls_accept(s, s->server->tls, s->ws.fd, s->client_text,
		       &s->tls, &fault) == RC_OK) {
		s->phase = PHASE_HANDSHAKE;
		return;
	}
	log_warning("TLS for %s: %s", s->client_text, fault.text);
	session_end(s);
}

static void handshake_failed(struct smtpd_session *s, enum tls_io io,
			     const struct fault *fault)
{
	log_info("SSL_accept error from %s: %s", s->client_text,
		 io == TLS_CLOSED ? "lost connection" : "-1");
	if (io != TLS_CLOSED && fault->text[0] != '\0')
		log_warning("TLS library problem: %s", fault->text);
	session_log_abort(s, "lost connection");
	if (s->verb >= 0) /* the command was not a success after all */
		s->counts[s->verb].good--;
	TALLOC_FREE(s->tls);
	session_end(s);
}

/* Who has to show a certificate has to show a good one. */
static void certificate_check(struct smtpd_session *s)
{
	const struct tls_facts *facts = tls_facts(s->tls);

	if (!s->server->tls_cert_required || facts->trust >= TLS_TRUSTED)
		return;
	s->cert_denied = facts->trust == TLS_ANONYMOUS
				 ? "No client certificate presented"
				 : "Client certificate not trusted";
	log_info("NOQUEUE: abort: TLS from %s: %s", s->client_text,
		 s->cert_denied);
}

static void handshake_log(struct smtpd_session *s)
{
	const struct tls_facts *facts = tls_facts(s->tls);
	const int level = s->server->conf->v.smtpd_tls_loglevel[0] - '0';
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	if (level < 1)
		return;
	if (facts->trust == TLS_UNTRUSTED && facts->why_untrusted != NULL &&
	    (s->server->tls_cert_required || level > 1))
		log_info("certificate verification failed for %s: %s",
			 s->client_text, facts->why_untrusted);
	log_info("%s",
		 tls_summary(tmp, s->tls, "from", s->client_text));
}

enum tls_io session_tls_go_on(struct smtpd_session *s)
{
	struct fault fault = { 0 };
	enum tls_io io;

	io = tls_handshake(s->tls, &fault);
	switch (io) {
	case TLS_WANT_READ:
	case TLS_WANT_WRITE:
		return io;
	case TLS_DONE:
		break;
	default:
		handshake_failed(s, io, &fault);
		return io;
	}
	handshake_log(s);
	certificate_check(s);
	s->phase = PHASE_COMMAND;
	session_login_changed(s);
	if (!tls_facts(s->tls)->resumed && session_new_tls_is_refused(s)) {
		if (s->verb >= 0)
			s->counts[s->verb].good--;
		return TLS_DONE;
	}
	if (s->server->tls_wrapper)
		session_greet(s);
	return TLS_DONE;
}
