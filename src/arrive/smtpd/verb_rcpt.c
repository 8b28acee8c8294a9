/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/command.h"
#include "arrive/smtpd/proxy.h"
#include "sys/log.h"

static bool parse(struct smtpd_session *s, TALLOC_CTX *mem, struct span args,
		  struct smtp_rcpt *rcpt)
{
	const struct conf_values *v = &s->server->conf->v;
	int flags = (v->strict_rfc821_envelopes ? SMTP_STRICT : 0) |
		    (v->smtputf8_enable ? SMTP_UTF8_ENABLED : 0) |
		    (v->allow_min_user ? SMTP_MINUS_OK : 0);
	struct fault fault = { 0 };
	int code = 0;

	if (smtp_rcpt_parse(mem, args, flags, rcpt, &code, &fault) != RC_OK) {
		if (span_is(span_from(fault.dsn), "5.1.3"))
			session_log_bad_address(s, "RCPT", args);
		session_reply(s, "%d %s %s", code, fault.dsn, fault.text);
		return false;
	}
	if ((s->discard & EHLO_DSN) &&
	    (rcpt->notify != 0 || rcpt->orcpt.ptr != NULL)) {
		session_reply(s, "501 5.7.1 DSN support is disabled");
		return false;
	}
	if (v->smtputf8_enable && v->strict_smtputf8 &&
	    !s->transaction->mail.smtputf8 && !text_is_ascii(rcpt->address)) {
		session_reply(s, "553 5.6.7 Must declare SMTPUTF8 to permit "
				 "unicode address");
		return false;
	}
	return true;
}

static enum verb_result refuse_too_many(struct smtpd_session *s)
{
	struct smtpd_transaction *t = s->transaction;
	unsigned int limit = (unsigned int)s->server->conf->v
				     .smtpd_recipient_overshoot_limit;

	session_reply(s, "452 4.5.3 Error: too many recipients");
	return t->overshoot++ < limit ? VERB_DONE : VERB_FAILED;
}

static enum verb_result accept_recipient(struct smtpd_session *s,
					 struct span args,
					 const struct smtp_rcpt *rcpt)
{
	struct smtpd_transaction *t = s->transaction;
	struct fault fault = { 0 };

	if (s->server->proxy != NULL && s->server->rehearsal == NULL) {
		if (!proxy_recipient(s, args))
			return VERB_FAILED;
	} else if (transaction_recipient(s, rcpt, &fault) != RC_OK) {
		session_reply_fault(s, &fault);
		return VERB_FAILED;
	}
	if (t->recipients++ == 0)
		t->first_recipient = mem_span_dup(t, rcpt->address);
	session_reply(s, "250 2.1.5 Ok");
	return VERB_DONE;
}

enum verb_result verb_rcpt(struct smtpd_session *s, struct span args)
{
	struct smtpd_transaction *t = s->transaction;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	enum verb_result result = VERB_FAILED; /* until it is accepted */
	struct smtp_rcpt rcpt = { 0 };

	if (s->bdat.seen) {
		session_reply(s, "503 5.5.1 Error: RCPT after BDAT");
		return VERB_FAILED;
	}
	if (s->waiter.memo == NULL &&
	    session_event_is_refused(s, CLIENT_ADDRESSES))
		return VERB_FAILED;
	if (!parse(s, tmp, args, &rcpt))
		return VERB_FAILED;
	if (t->recipients >=
	    (unsigned int)s->server->conf->v.smtpd_recipient_limit)
		return refuse_too_many(s);
	if (session_allowed(s, AT_RCPT, "RCPT", mem_span_dup(tmp, rcpt.address),
			    NULL))
		result = accept_recipient(s, args, &rcpt);
	return result;
}
