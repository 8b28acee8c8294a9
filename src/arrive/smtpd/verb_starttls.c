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
	session_reset(s);
	talloc_free(s->helo);
	s->helo = NULL;
	s->esmtp = false;
	if (tls_accept(s, s->server->tls, s->ws.fd, &s->tls, &fault) == RC_OK) {
		s->phase = PHASE_HANDSHAKE;
		return;
	}
	log_warning("TLS for %s: %s", s->client_text, fault.text);
	session_end(s);
}

enum tls_io session_tls_go_on(struct smtpd_session *s)
{
	struct fault fault = { 0 };
	enum tls_io io;
	char *summary;

	io = tls_handshake(s->tls, &fault);
	switch (io) {
	case TLS_WANT_READ:
	case TLS_WANT_WRITE:
		return io;
	case TLS_DONE:
		break;
	default:
		log_info("SSL_accept error from %s: %s", s->client_text,
			 io == TLS_CLOSED ? "lost connection" : "-1");
		if (fault.text[0] != '\0')
			log_warning("TLS library problem: %s", fault.text);
		session_log_abort(s, "lost connection");
		if (s->verb >= 0) /* the command was not a success after all */
			s->counts[s->verb].good--;
		TALLOC_FREE(s->tls);
		session_end(s);
		return io;
	}
	if (s->server->conf->v.smtpd_tls_loglevel[0] > '0') {
		summary = tls_summary(s, s->tls, "from", s->client_text);
		log_info("%s", summary);
		talloc_free(summary);
	}
	s->phase = PHASE_COMMAND;
	if (!tls_facts(s->tls)->resumed && session_new_tls_is_refused(s)) {
		if (s->verb >= 0)
			s->counts[s->verb].good--;
		return TLS_DONE;
	}
	if (s->server->tls_wrapper)
		session_reply(s, "220 %s", s->server->conf->v.smtpd_banner);
	return TLS_DONE;
}
