/* SPDX-License-Identifier: Apache-2.0 */
/* What a session says: to the client, and to the log. */
#include "arrive/smtpd/command.h"
#include "arrive/smtpd/debug_peer.h"
#include "arrive/smtpd/footer.h"
#include "arrive/smtpd/session.h"
#include "base/clock.h"
#include "sys/log.h"

static bool has_footer(const struct smtpd_session *s, const char *reply)
{
	return (reply[0] == '4' || reply[0] == '5') &&
	       (s->server->conf->v.smtpd_reject_footer[0] != '\0' ||
		s->server->footer_maps != NULL);
}

/* soft_bounce: every "never" becomes a "not now". */
static void soften(struct buf *output, size_t begin)
{
	char *reply = output->data + begin;

	if (output->len - begin < 4 || reply[0] != '5')
		return;
	reply[0] = '4';
	if (output->len - begin > 5 && reply[4] == '5' && reply[5] == '.')
		reply[4] = '4';
}

void session_reply(struct smtpd_session *s, const char *format, ...)
{
	const struct conf_values *v = &s->server->conf->v;
	struct buf *output = &s->thread->output;
	size_t begin = output->len;
	va_list args;

	va_start(args, format);
	buf_vaddf(output, format, args);
	va_end(args);
	if (v->soft_bounce)
		soften(output, begin);
	if (output->len > begin && has_footer(s, output->data + begin)) {
		char *reply = mem_strdup(s, output->data + begin);

		output->len = begin;
		if (!footer_add(s, span_from(reply), output))
			buf_addf(output, "%s\r\n", reply);
		talloc_free(reply);
	} else {
		buf_add_text(output, "\r\n");
	}
	if (s->debugged)
		debug_peer_reply(s, span_skip(buf_span(output), begin));
	/* who makes errors hears everything late */
	if (s->errors >= v->smtpd_soft_error_limit &&
	    v->smtpd_error_sleep_time > 0)
		s->sleep_until_ms =
			clock_mono_ms() +
			(uint64_t)v->smtpd_error_sleep_time * 1000;
}

void session_add_escaped(struct buf *text, struct span bytes)
{
	for (size_t i = 0; i < bytes.len; i++) {
		char c = bytes.ptr[i];

		if (c == '\r' || c == '\n')
			buf_add_text(text, c == '\r' ? "\\r" : "\\n");
		else if (c == '\\')
			buf_add_text(text, "\\\\");
		else if (ascii_is_print(c))
			buf_add_char(text, c);
		else
			buf_addf(text, "\\%03o", (unsigned char)c);
	}
}

const char *session_id(const struct smtpd_session *s)
{
	if (s->transaction == NULL || s->transaction->queue_id == NULL)
		return "NOQUEUE";
	return s->transaction->queue_id;
}

static void add_address(struct buf *line, const char *name, const char *address)
{
	buf_addf(line, " %s=<", name);
	address_quote_add(line, span_from(address));
	buf_add_char(line, '>');
}

void session_log(struct smtpd_session *s, const char *what, const char *stage,
		 const char *text)
{
	const struct smtpd_transaction *t = s->transaction;
	const char *to = NULL;
	struct buf line;

	buf_init(&line, s, 8192);
	if (s->asked != NULL)
		to = s->asked;
	else if (t != NULL && t->recipients == 1)
		to = t->first_recipient;
	if (t != NULL && t->sender != NULL)
		add_address(&line, "from", t->sender);
	if (to != NULL)
		add_address(&line, "to", to);
	buf_addf(&line, " proto=%s", s->esmtp ? "ESMTP" : "SMTP");
	if (s->helo != NULL)
		buf_addf(&line, " helo=<%s>", s->helo);
	log_info("%s: %s: %s from %s: %s;%s", session_id(s), what, stage,
		 s->client_text, text, buf_text(&line));
	buf_done(&line);
}

void session_log_proxy(struct smtpd_session *s, bool accepted,
		       const char *reply)
{
	const struct smtpd_transaction *t = s->transaction;
	struct buf line;

	buf_init(&line, s, 8192);
	add_address(&line, "from", t->sender);
	if (t->recipients == 1)
		add_address(&line, "to", t->first_recipient);
	buf_addf(&line, " proto=%s", s->esmtp ? "ESMTP" : "SMTP");
	if (s->helo != NULL)
		buf_addf(&line, " helo=<%s>", s->helo);
	log_info("proxy-%s: END-OF-MESSAGE: %s;%s",
		 accepted ? "accept" : "reject", reply, buf_text(&line));
	buf_done(&line);
}

void session_log_bad_address(struct smtpd_session *s, const char *verb,
			     struct span args)
{
	if (span_starts_nocase(args, "FROM:"))
		args = span_skip(args, 5);
	else if (span_starts_nocase(args, "TO:"))
		args = span_skip(args, 3);
	args = span_trim(args);
	log_warning("Illegal address syntax from %s in %s command: %.*s",
		    s->client_text, verb, SPAN_FMT(args));
}

static int fault_code(const struct fault *fault)
{
	static const struct {
		const char *dsn;
		int code;
	} codes[] = {
		{ "5.3.4", 552 }, { "4.3.1", 452 }, { "5.4.0", 554 },
		{ "5.6.0", 550 }, { "5.7.1", 550 }, { "5.6.7", 550 },
	};

	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (span_is(span_from(fault->dsn), codes[i].dsn))
			return codes[i].code;
	return fault->rc == RC_PERM ? 550 : 451;
}

void session_reply_fault(struct smtpd_session *s, const struct fault *fault)
{
	int code = fault_code(fault);
	const char *dsn = fault->dsn[0] != '\0' ? fault->dsn :
			  code >= 500		? "5.0.0" :
						  "4.3.0";

	if (code / 100 != dsn[0] - '0') /* a 4xx must not say 5.x.x */
		dsn = code >= 500 ? "5.0.0" : "4.3.0";
	if (code >= 500) {
		session_reply(s, "%d %s %s", code, dsn, fault->text);
		return;
	}
	/* what went wrong inside is for the log, not for the client */
	log_warning("%s: %s", session_id(s), fault->text);
	session_reply(s, "%d %s %s", code, dsn,
		      code == 452 ? "Insufficient system storage" :
		      span_starts(span_from(fault->text), "Error: ") ||
				      span_ends(span_from(fault->text),
						"expansion error") ?
				    fault->text :
				    "Error: queue file write error");
}

void session_log_abort(struct smtpd_session *s, const char *what)
{
	const struct smtpd_transaction *t = s->transaction;
	char bytes[40] = "";

	if (span_is(span_from(s->where), "END-OF-MESSAGE") &&
	    span_is(span_from(what), "lost connection"))
		return;
	if (t != NULL && (s->phase == PHASE_DATA || s->phase == PHASE_BDAT))
		snprintf(bytes, sizeof(bytes), " (%llu bytes)",
			 (unsigned long long)t->content_bytes);
	log_info("%s: %s after %s%s from %s", session_id(s), what, s->where,
		 bytes, s->client_text);
}

static void add_count(struct buf *line, const char *name,
		      struct session_count count)
{
	if (count.total == 0)
		return;
	buf_add_char(line, ' ');
	for (; *name != '\0'; name++)
		buf_add_char(line, ascii_lower(*name));
	buf_addf(line, "=%u", count.good);
	if (count.good != count.total)
		buf_addf(line, "/%u", count.total);
}

void session_log_disconnect(struct smtpd_session *s)
{
	struct session_count all = s->unknown;
	struct buf line;

	if (s->client_text == NULL)
		return; /* nothing was ever said */
	buf_init(&line, s, 2048);
	for (size_t i = 0; i < smtp_verb_count(); i++) {
		add_count(&line, smtp_verb_name(i), s->counts[i]);
		all.good += s->counts[i].good;
		all.total += s->counts[i].total;
	}
	add_count(&line, "unknown", s->unknown);
	if (all.total == 0)
		buf_add_text(&line, " commands=0/0");
	else
		add_count(&line, "commands", all);
	if (s->bare_lf_seen && s->server->bare_lf_note)
		buf_add_text(&line, " notes=bare_lf");
	log_info("disconnect from %s%s", s->client_text, buf_text(&line));
	buf_done(&line);
}
