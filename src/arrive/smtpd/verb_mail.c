/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/command.h"
#include "sys/log.h"

/* Why this sender cannot be taken, though it is well formed. */
static const char *refusal(const struct smtpd_session *s,
			   const struct smtp_mail *mail)
{
	const struct conf_values *v = &s->server->conf->v;

	if (mail->has_size && v->message_size_limit > 0 &&
	    mail->size_bytes > (uint64_t)v->message_size_limit)
		return "552 5.3.4 Message size exceeds fixed limit";
	if ((s->discard & EHLO_DSN) &&
	    (mail->ret != SMTP_RET_NONE || mail->envid.ptr != NULL))
		return "501 5.7.1 DSN support is disabled";
	if (v->smtputf8_enable && v->strict_smtputf8 && !mail->smtputf8 &&
	    !text_is_ascii(mail->address))
		return "553 5.6.7 Must declare SMTPUTF8 to permit unicode "
		       "address";
	return NULL;
}

static bool is_acceptable(struct smtpd_session *s)
{
	const char *no = refusal(s, &s->transaction->mail);

	if (no == NULL)
		return session_allowed(s, AT_MAIL, "MAIL", NULL, NULL);
	session_log(s, "reject", "MAIL", no);
	session_reply(s, "%s", no);
	return false;
}

/* As the client wrote it; NULL: "<>", nobody in particular. */
static char *xtext_of(TALLOC_CTX *mem, struct span text)
{
	struct buf out;

	if (span_is(text, "<>"))
		return NULL;
	buf_init(&out, mem, (size_t)3 * SMTP_XTEXT_MAX_BYTES + 1);
	xtext_encode_add(&out, text);
	return mem_strdup(mem, buf_text(&out));
}

enum verb_result verb_mail(struct smtpd_session *s, struct span args)
{
	const struct conf_values *v = &s->server->conf->v;
	int flags = (v->strict_rfc821_envelopes ? SMTP_STRICT : 0) |
		    (v->smtputf8_enable ? SMTP_UTF8_ENABLED : 0) |
		    (v->allow_min_user ? SMTP_MINUS_OK : 0);
	struct smtpd_transaction *t;
	struct fault fault = { 0 };
	int code = 0;

	if (v->smtpd_helo_required && s->helo == NULL) {
		session_reply(s, "503 5.5.1 Error: send HELO/EHLO first");
		return VERB_FAILED;
	}
	if (s->bdat.seen) {
		session_reply(s, "503 5.5.1 Error: MAIL after BDAT");
		return VERB_FAILED;
	}
	if (s->waiter.memo == NULL && session_event_is_refused(s, CLIENT_SENDS))
		return VERB_FAILED;
	t = mem_new(s, struct smtpd_transaction);
	if (smtp_mail_parse(t, args, flags, &t->mail, &code, &fault) != RC_OK) {
		if (span_is(span_from(fault.dsn), "5.1.7"))
			session_log_bad_address(s, "MAIL", args);
		session_reply(s, "%d %s %s", code, fault.dsn, fault.text);
		talloc_free(t);
		return VERB_FAILED;
	}
	t->sender = mem_span_dup(t, t->mail.address);
	if (t->mail.auth.ptr != NULL && s->sasl_username != NULL)
		t->sasl_sender = xtext_of(t, t->mail.auth);
	if (s->server->proxy != NULL)
		t->mail_args = mem_span_dup(t, args);
	s->transaction = t;
	if (!is_acceptable(s)) {
		if (s->waits_until_ms == 0)
			session_reset(s);
		else /* XFORWARD is still about this message */
			TALLOC_FREE(s->transaction);
		return VERB_FAILED;
	}
	if (!v->smtpd_delay_open_until_valid_rcpt && s->server->proxy == NULL &&
	    transaction_open(s, &fault) != RC_OK) {
		session_reply_fault(s, &fault);
		session_reset(s);
		return VERB_FAILED;
	}
	session_reply(s, "250 2.1.0 Ok");
	return VERB_DONE;
}
