/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/command.h"

#include "arrive/smtpd/debug_peer.h"
#include "sys/log.h"

/* clang-format off */
static const struct smtp_verb {
	const char *name;
	enum verb_state legal;
	const char *not_now; /* reply, when it is not */
	int traits;
	smtp_verb_fn *run;
} verbs[] = { /* in the order of the "disconnect from" line */
	{ "HELO", ANY_TIME, NULL, ENDS_PIPELINE | BEFORE_TLS, verb_helo },
	{ "EHLO", ANY_TIME, NULL, ENDS_PIPELINE | BEFORE_TLS, verb_ehlo },
	{ "XCLIENT", ANY_TIME, NULL, BEFORE_TLS, verb_xclient },
	{ "XFORWARD", ANY_TIME, NULL, 0, verb_xforward },
	{ "STARTTLS", ANY_TIME, NULL, BEFORE_TLS, verb_starttls },
	{ "AUTH", ANY_TIME, NULL, 0, verb_auth },
	{ "MAIL", NO_SENDER, "503 5.5.1 Error: nested MAIL command", 0, verb_mail },
	{ "RCPT", HAS_SENDER, "503 5.5.1 Error: need MAIL command", 0, verb_rcpt },
	{ "DATA", HAS_RCPT, "503 5.5.1 Error: need RCPT command", ENDS_PIPELINE, verb_data },
	{ "BDAT", ANY_TIME, NULL, 0, verb_bdat }, /* its chunk follows in any case */
	{ "RSET", ANY_TIME, NULL, IS_JUNK, verb_rset },
	{ "NOOP", ANY_TIME, NULL, ENDS_PIPELINE | BEFORE_TLS | IS_JUNK, verb_noop },
	{ "VRFY", ANY_TIME, NULL, ENDS_PIPELINE | IS_JUNK, verb_vrfy },
	{ "ETRN", ANY_TIME, NULL, IS_JUNK, verb_etrn },
	{ "HELP", ANY_TIME, NULL, BEFORE_TLS, verb_help },
	{ "QUIT", ANY_TIME, NULL, BEFORE_TLS, verb_quit },
};
/* clang-format on */
_Static_assert(ARRAY_LEN(verbs) <= SESSION_VERBS_MAX, "counters");

size_t smtp_verb_count(void)
{
	return ARRAY_LEN(verbs);
}

const char *smtp_verb_name(size_t i)
{
	return verbs[i].name;
}

static const struct smtp_verb *verb_find(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (span_is_nocase(name, verbs[i].name))
			return &verbs[i];
	return NULL;
}

static bool is_legal(const struct smtpd_session *s, enum verb_state legal)
{
	const struct smtpd_transaction *t = s->transaction;

	switch (legal) {
	case ANY_TIME:
		return true;
	case NO_SENDER:
		return t == NULL;
	case HAS_SENDER:
		return t != NULL;
	case HAS_RCPT:
		return t != NULL; /* none accepted: 554, by the verb */
	}
	return false;
}

size_t session_line_max(const struct smtpd_session *s)
{
	size_t limit = (size_t)s->server->conf->v.line_length_limit;

	return MIN_OF(limit, (size_t)SMTPD_INPUT_BYTES / 4);
}

bool session_tls_required(const struct smtpd_session *s)
{
	return s->server->tls_level == TLS_ENCRYPT &&
	       session_tls_facts(s) == NULL;
}

/* More input came with a command after which the client has to wait. */
static bool is_out_of_step(const struct smtpd_session *s, int traits)
{
	if (s->input.len == 0)
		return false;
	return (traits & ENDS_PIPELINE) ||
	       (!s->esmtp && s->verb >= 0 &&
		!span_is(span_from(verbs[s->verb].name), "QUIT"));
}

/* True: the session ends for it. Where that is allowed it stays known, for
 * reject_unauth_pipelining. */
static bool note_out_of_step(struct smtpd_session *s)
{
	bool ends = s->server->conf->v.smtpd_forbid_unauth_pipelining;
	struct buf text;

	if (s->out_of_step && !ends)
		return false;
	s->out_of_step = true;
	buf_init(&text, s, 1024);
	session_add_escaped(&text, span_take(s->input, 100));
	log_info("improper command pipelining after %s from %s: %s", s->where,
		 s->client_text, buf_text(&text));
	buf_done(&text);
	if (!ends)
		return false;
	session_reply(s, "554 5.5.0 Error: SMTP protocol synchronization");
	session_end(s);
	return true;
}

static void unknown_command(struct smtpd_session *s, struct span verb,
			    struct span line)
{
	struct fault fault = { 0 };

	s->where = "UNKNOWN";
	if (match_list_domain(s->server->noop_words, verb, &fault) == RC_OK) {
		session_reply(s, "250 2.0.0 Ok");
		if (s->junk++ > s->server->conf->v.smtpd_junk_command_limit)
			s->errors++;
		return;
	}
	s->unknown.total++;
	if (verb.len > 0 &&
	    match_list_domain(s->server->forbidden, verb, &fault) == RC_OK) {
		log_warning("non-SMTP command from %s: %.*s", s->client_text,
			    SPAN_FMT(span_take(line, 100)));
		session_reply(s, "221 2.7.0 Error: I can break rules, too. "
				 "Goodbye.");
		session_end(s);
		return;
	}
	session_reply(s, line.len == 0 ?
				 "500 5.5.2 Error: bad syntax" :
				 "500 5.5.2 Error: command not recognized");
	s->errors++;
}

/* Why this command cannot run now; NULL: it can. */
static const char *refusal(const struct smtpd_session *s,
			   const struct smtp_verb *verb)
{
	if (session_tls_required(s) && !(verb->traits & BEFORE_TLS))
		return "530 5.7.0 Must issue a STARTTLS command first";
	if (!is_legal(s, verb->legal))
		return verb->not_now;
	return NULL;
}

/* The command waits for an answer. In other phases it is not the command that
 * does: the greeting after an XCLIENT, a login. */
static bool is_to_run_again(const struct smtpd_session *s)
{
	return s->waits_until_ms != 0 && s->phase == PHASE_COMMAND;
}

static void run_verb(struct smtpd_session *s, const struct smtp_verb *verb,
		     struct span args)
{
	const struct conf_values *v = &s->server->conf->v;
	struct session_count *count = &s->counts[verb - verbs];
	const char *no = refusal(s, verb);
	enum verb_result result = VERB_FAILED;

	s->verb = (int)(verb - verbs);
	s->where = verb->name;
	count->total++;
	if (is_out_of_step(s, verb->traits) && note_out_of_step(s))
		return;
	if (s->access_denied && verb->run != verb_quit) {
		session_reply(s, "503 5.7.0 Error: access denied for %s",
			      s->client_text);
		s->errors++;
		return;
	}
	if (no != NULL)
		session_reply(s, "%s", no);
	else
		result = verb->run(s, args);
	if (is_to_run_again(s)) {
		count->total--;
		return;
	}
	if ((verb->traits & IS_JUNK) && s->junk++ > v->smtpd_junk_command_limit)
		s->errors++;
	/* else its content comes first */
	if (result != VERB_REPLACED &&
	    (s->phase == PHASE_COMMAND || s->phase == PHASE_END ||
	     s->phase == PHASE_HANDSHAKE))
		session_verb_done(s, result == VERB_DONE);
}

static void end_after_many_errors(struct smtpd_session *s)
{
	if (s->errors >= s->server->conf->v.smtpd_hard_error_limit &&
	    s->phase == PHASE_COMMAND) {
		log_info("%s: too many errors after %s from %s", session_id(s),
			 s->where, s->client_text);
		session_reply(s, "421 4.7.0 %s Error: too many errors",
			      s->server->conf->v.myhostname);
		session_end(s);
	}
}

void session_verb_done(struct smtpd_session *s, bool good)
{
	if (good)
		s->counts[s->verb].good++;
	else
		s->errors++;
	end_after_many_errors(s);
}

/* Why the line is no command at all; NULL: it may be one. */
static const char *line_fault(const struct smtpd_session *s, struct span line)
{
	if (memchr(line.ptr, '\0', line.len) != NULL)
		return "500 5.5.2 Error: bad syntax";
	if (s->server->conf->v.smtputf8_enable && !text_is_ascii(line) &&
	    !text_is_utf8(line))
		return "500 5.5.2 Error: bad UTF-8 syntax";
	return NULL;
}

/* smtpd_command_filter: false: it cannot say, the reply is made. */
static bool filter_command(struct smtpd_session *s, TALLOC_CTX *tmp,
			   struct span *line)
{
	struct fault fault = { 0 };
	struct span other;
	enum rc rc;

	rc = maps_lookup(s->server->command_filter, tmp, *line, &other, &fault);
	if (rc == RC_NONE)
		return true;
	if (rc != RC_OK) {
		log_warning("%s: smtpd_command_filter: %s", s->client_text,
			    fault.text);
		session_reply(s, "451 4.3.0 Error: temporary lookup failure");
		s->errors++;
		return false;
	}
	if (s->waiter.memo == NULL)
		log_info("%s: replacing command \"%.*s\" with \"%.*s\"",
			 s->client_text, SPAN_FMT(span_take(*line, 100)),
			 SPAN_FMT(span_take(other, 100)));
	*line = other;
	return true;
}

void session_command(struct smtpd_session *s, struct span line)
{
	const struct smtp_verb *verb;
	struct smtp_command command;
	SCRATCH TALLOC_CTX *tmp = NULL;
	const char *bad = line_fault(s, line);

	if (s->debugged && s->waiter.memo == NULL)
		debug_peer_command(s, line);
	if (s->cert_denied != NULL) {
		session_reply(s, "421 4.7.1 %s Error: %s",
			      s->server->conf->v.myhostname, s->cert_denied);
		session_end(s);
		return;
	}
	if (bad == NULL && s->server->command_filter != NULL) {
		tmp = talloc_new(NULL);
		if (!filter_command(s, tmp, &line)) {
			end_after_many_errors(s);
			return;
		}
		bad = line_fault(s, line);
	}
	if (bad != NULL) {
		s->where = "UNKNOWN";
		s->unknown.total++;
		s->errors++;
		session_reply(s, "%s", bad);
		end_after_many_errors(s);
		return;
	}
	smtp_command_split(line, &command);
	verb = verb_find(command.verb);
	if (verb != NULL) {
		run_verb(s, verb, command.args);
		return;
	}
	unknown_command(s, command.verb, line);
	end_after_many_errors(s);
}

static void line_too_long(struct smtpd_session *s, struct span line)
{
	log_warning("%s: request longer than %zu: %.*s...", s->client_text,
		    session_line_max(s), SPAN_FMT(span_take(line, 30)));
}

static bool is_bare_lf_refused(struct smtpd_session *s, bool crlf)
{
	if (crlf)
		return false;
	s->bare_lf_seen = true;
	if (s->server->bare_lf != BARE_LF_REJECT || !s->strict_lf)
		return false;
	session_log(s, "reject", s->where, "bare <LF> received");
	session_reply(s, "%d 5.5.2 %s Error: bare <LF> received",
		      s->server->conf->v.smtpd_forbid_bare_newline_reject_code,
		      s->server->conf->v.myhostname);
	session_end(s);
	return true;
}

/* One command line off the front of the input; false: more is needed. What is
 * too long is cut: the rest of the line is dropped. */
static bool take_command(struct smtpd_session *s)
{
	const struct span before = s->input;
	const bool skipped_before = s->skip_line;
	size_t max = session_line_max(s);
	ssize_t lf = span_find(s->input, '\n');
	struct span line;

	if (lf < 0 && s->input.len <= max + 2)
		return false;
	line = span_take(s->input, lf < 0 ? s->input.len : (size_t)lf);
	s->input = span_skip(s->input, lf < 0 ? line.len : (size_t)lf + 1);
	if (s->skip_line) {
		s->skip_line = lf < 0;
		return true;
	}
	if (is_bare_lf_refused(s, lf < 0 || span_ends(line, "\r")))
		return true;
	while (span_ends(line, "\r"))
		line = span_take(line, line.len - 1);
	if (line.len > max) {
		line_too_long(s, line);
		line = span_take(line, max);
		s->skip_line = lf < 0;
	}
	s->request_ends_ms = 0;
	session_command(s, line);
	if (is_to_run_again(s)) {
		s->input = before;
		s->skip_line = skipped_before;
	}
	return true;
}

bool session_consume(struct smtpd_session *s)
{
	bool more = true;

	while (more && s->sleep_until_ms == 0 && s->waits_until_ms == 0) {
		if (s->thread->output.len > SMTPD_OUTPUT_BYTES / 2)
			return true;
		switch (s->phase) {
		case PHASE_COMMAND:
			more = take_command(s);
			break;
		case PHASE_AUTH:
			more = session_take_auth(s);
			break;
		case PHASE_DATA:
			more = session_take_data(s);
			break;
		case PHASE_BDAT:
		case PHASE_DISCARD:
			more = session_take_chunk(s);
			break;
		default:
			return false;
		}
	}
	return false;
}
