/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/smtp/transaction.h"

#include "base/clock.h"
#include "deliver/smtp/content.h"
#include "deliver/smtp/generic.h"
#include "mail/address.h"
#include "mail/smtp_command.h"

enum { PIPELINE_BYTES = 8 * 1024, REPLY_TEXT_MAX_BYTES = 900 };

enum step { STEP_RSET, STEP_MAIL, STEP_RCPT, STEP_DATA };

struct pending {
	enum step step;
	size_t recipient;
};

struct transaction {
	struct smtp_client *client;
	struct delivery *d;
	struct smtp_session *s;
	bool last_host;
	struct outcome *why;
	TALLOC_CTX *mem; /* of the delivery */
	struct pending *pending;
	size_t pending_count, pending_bytes;
	bool *accepted;
	size_t accepted_count;
	struct span *header; /* rewritten, or NULL */
	bool mail_refused, data_ready, lost, stale;
};

static void lost(struct transaction *t)
{
	smtp_session_broken(t->s, t->mem, t->why);
	t->lost = true;
}

/* Settle it, or leave it for the next host. */
static void recipient_failed(struct transaction *t, size_t i,
			     const struct outcome *why)
{
	*t->why = *why;
	if (delivery_is_open(t->d, i) &&
	    (why->action == DELIVERY_BOUNCED || t->last_host))
		delivery_settle(t->d, i, why);
}

static void all_failed(struct transaction *t, const struct outcome *why)
{
	for (size_t i = 0; i < t->d->request->recipient_count; i++)
		if (delivery_is_open(t->d, i))
			recipient_failed(t, i, why);
}

static bool replied(struct transaction *t, int timeout_s, const char *doing)
{
	t->s->doing = doing;
	net_stream_set_timeout(t->s->stream, timeout_s * 1000);
	if (smtp_session_reply(t->s, t->mem, t->why))
		return true;
	t->lost = true;
	return false;
}

static void mail_replied(struct transaction *t)
{
	struct outcome why;

	if (!replied(t, t->s->settings->mail_timeout, "sending MAIL FROM")) {
		t->stale = t->s->uses > 1;
		return;
	}
	if (t->s->reply->code / 100 == 2)
		return;
	if (t->s->reply->code == 421 && t->s->uses > 1) {
		t->stale = t->lost = t->s->broken = true;
		return;
	}
	t->mail_refused = true;
	smtp_session_refused(t->s, t->mem, "MAIL FROM command", &why);
	all_failed(t, &why);
}

static void rcpt_replied(struct transaction *t, size_t i)
{
	struct outcome why;

	if (!replied(t, t->s->settings->rcpt_timeout, "sending RCPT TO") ||
	    t->mail_refused)
		return;
	if (t->s->reply->code / 100 == 2) {
		t->accepted[i] = true;
		t->accepted_count++;
		return;
	}
	smtp_session_refused(t->s, t->mem, "RCPT TO command", &why);
	/* Too many recipients, said in the old way (RFC 5321 4.5.3.1.10). */
	if (t->s->reply->code == 552)
		why.action = DELIVERY_DEFERRED;
	recipient_failed(t, i, &why);
}

static void accepted_failed(struct transaction *t, const char *command)
{
	struct outcome why;

	smtp_session_refused(t->s, t->mem, command, &why);
	for (size_t i = 0; i < t->d->request->recipient_count; i++)
		if (t->accepted[i])
			recipient_failed(t, i, &why);
}

static void data_replied(struct transaction *t)
{
	if (!replied(t, t->s->settings->data_init_timeout,
		     "sending DATA command"))
		return;
	t->data_ready = t->s->reply->code / 100 == 3;
	if (!t->data_ready && t->accepted_count > 0)
		accepted_failed(t, "DATA command");
}

/* Send what was collected and take the reply to each command. */
static bool pipeline_drain(struct transaction *t)
{
	struct fault fault;

	if (t->lost)
		return false;
	if (net_stream_flush(t->s->stream, &fault) != RC_OK) {
		t->stale = t->s->uses > 1 && t->pending_count > 0 &&
			   t->pending[0].step <= STEP_MAIL;
		lost(t);
	}
	for (size_t i = 0; i < t->pending_count && !t->lost; i++) {
		const struct pending *p = &t->pending[i];

		switch (p->step) {
		case STEP_RSET:
			if (!replied(t, t->s->settings->rset_timeout,
				     "sending RSET"))
				t->stale = t->s->uses > 1;
			break;
		case STEP_MAIL:
			mail_replied(t);
			break;
		case STEP_RCPT:
			rcpt_replied(t, p->recipient);
			break;
		case STEP_DATA:
			data_replied(t);
			break;
		}
	}
	t->pending_count = t->pending_bytes = 0;
	return !t->lost;
}

/* false: do not go on. */
static bool command_add(struct transaction *t, enum step step,
			size_t recipient, struct buf *line)
{
	const bool pipelining = (t->s->features & SMTP_PIPELINING) != 0;
	struct fault fault;

	buf_add(line, SPAN_OF("\r\n"));
	t->s->doing = step == STEP_RCPT ? "sending RCPT TO" :
					  "sending MAIL FROM";
	if (net_stream_write(t->s->stream, buf_span(line), &fault) != RC_OK) {
		t->stale = t->s->uses > 1 && step <= STEP_MAIL;
		lost(t);
		return false;
	}
	t->pending[t->pending_count++] =
		(struct pending){ .step = step, .recipient = recipient };
	t->pending_bytes += line->len;
	buf_clear(line);
	if (!pipelining || t->pending_bytes > PIPELINE_BYTES)
		return pipeline_drain(t) && !t->mail_refused;
	return true;
}

static void xtext_parameter(struct buf *line, const char *name,
			    const char *value)
{
	if (value == NULL || *value == '\0')
		return;
	buf_addf(line, " %s=", name);
	xtext_encode_add(line, span_from(value));
}

static bool mail_line(struct transaction *t, struct buf *line)
{
	const struct envelope *env = t->d->image->env;
	const unsigned can = t->s->features;
	const char *sender;

	if (!generic_address(t->client, t->mem, env->sender, &sender, t->why))
		return false;
	buf_add_text(line, "MAIL FROM:<");
	if (*sender != '\0' && t->s->settings->quote_rfc821_envelope)
		address_quote_add(line, span_from(sender));
	else
		buf_add_text(line, sender);
	buf_add_char(line, '>');
	if (can & SMTP_SIZE)
		buf_addf(line, " SIZE=%llu",
			 (unsigned long long)(t->d->image->header_length +
					      t->d->image->body_length));
	if ((can & SMTP_8BITMIME) && (env->flags & ENVELOPE_8BIT))
		buf_add_text(line, " BODY=8BITMIME");
	if ((can & SMTP_SMTPUTF8) && (env->flags & ENVELOPE_SMTPUTF8))
		buf_add_text(line, " SMTPUTF8");
	if (can & SMTP_DSN) {
		if (env->dsn_ret != DSN_RET_DEFAULT)
			buf_addf(line, " RET=%s",
				 env->dsn_ret == DSN_RET_FULL ? "FULL" : "HDRS");
		xtext_parameter(line, "ENVID", env->dsn_envid);
	}
	return true;
}

static void notify_parameter(struct buf *line, uint8_t notify)
{
	static const struct {
		uint8_t bit;
		const char *name;
	} names[] = { { DSN_NOTIFY_NEVER, "NEVER" },
		      { DSN_NOTIFY_SUCCESS, "SUCCESS" },
		      { DSN_NOTIFY_FAILURE, "FAILURE" },
		      { DSN_NOTIFY_DELAY, "DELAY" } };
	const char *before = " NOTIFY=";

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (notify & names[i].bit) {
			buf_addf(line, "%s%s", before, names[i].name);
			before = ",";
		}
}

/* "rfc822;jo@example.test": the type as it is, the address as xtext. */
static void orcpt_parameter(struct buf *line, const char *orcpt)
{
	struct span rest, type;

	if (orcpt == NULL || *orcpt == '\0')
		return;
	rest = span_from(orcpt);
	if (!span_cut(&rest, ';', &type) || rest.ptr == NULL)
		return;
	buf_addf(line, " ORCPT=%.*s;", SPAN_FMT(type));
	xtext_encode_add(line, rest);
}

static bool rcpt_line(struct transaction *t, size_t i, struct buf *line)
{
	const struct recipient *to = &t->d->request->recipients[i];
	const char *address;

	if (!generic_address(t->client, t->mem, to->address, &address, t->why))
		return false;
	buf_add_text(line, "RCPT TO:<");
	if (t->s->settings->quote_rfc821_envelope)
		address_quote_add(line, span_from(address));
	else
		buf_add_text(line, address);
	buf_add_char(line, '>');
	if (t->s->features & SMTP_DSN) {
		notify_parameter(line, to->notify);
		orcpt_parameter(line, to->dsn_orcpt);
	}
	return true;
}

/* An address that would break out of its command, or a line that is too long
 * to be one, never leaves. */
static bool line_is_sound(const struct buf *line)
{
	const struct span text = buf_span(line);

	return !line->full && memchr(text.ptr, '\r', text.len) == NULL &&
	       memchr(text.ptr, '\n', text.len) == NULL &&
	       memchr(text.ptr, '\0', text.len) == NULL;
}

static bool line_unsound(struct transaction *t, struct outcome *why)
{
	*why = (struct outcome){ .action = DELIVERY_BOUNCED,
				 .dsn = "5.1.3",
				 .text = "the address cannot be sent by SMTP",
				 .relay = t->s->relay,
				 .tls = t->s->tls_text };
	return false;
}

/* MAIL, RCPT... and, when pipelining, DATA. */
static void envelope_send(struct transaction *t)
{
	struct buf line;
	struct outcome why;

	buf_init(&line, t->mem, 8192);
	if (t->s->needs_reset) {
		buf_add_text(&line, "RSET");
		if (!command_add(t, STEP_RSET, 0, &line))
			return;
	}
	t->s->needs_reset = true;
	if (!mail_line(t, &line)) {
		all_failed(t, t->why);
		return;
	}
	if (!line_is_sound(&line)) {
		line_unsound(t, &why);
		all_failed(t, &why);
		return;
	}
	if (!command_add(t, STEP_MAIL, 0, &line))
		return;
	for (size_t i = 0; i < t->d->request->recipient_count; i++) {
		if (!delivery_is_open(t->d, i))
			continue;
		if (!rcpt_line(t, i, &line)) {
			recipient_failed(t, i, t->why);
			buf_clear(&line);
			continue;
		}
		if (!line_is_sound(&line)) {
			line_unsound(t, &why);
			recipient_failed(t, i, &why);
			buf_clear(&line);
			continue;
		}
		if (!command_add(t, STEP_RCPT, i, &line))
			return;
	}
	if (t->pending_count > 0 || t->accepted_count > 0) {
		buf_add_text(&line, "DATA");
		if (command_add(t, STEP_DATA, 0, &line))
			pipeline_drain(t);
	}
}

static bool content_send(struct transaction *t)
{
	const struct smtp_settings *set = t->s->settings;
	const struct smtp_content content = {
		.image = t->d->image,
		.line_limit = (size_t)set->line_length_limit,
		.header = t->header,
	};
	struct outcome why;
	struct fault fault;
	bool image_bad;

	t->s->doing = "sending message body";
	/* Each other time-out is a system call or two. */
	net_stream_set_timeout(t->s->stream,
			       (smtp_content_is_small(&content) ?
					set->data_done_timeout :
					set->data_xfer_timeout) *
				       1000);
	if (smtp_content_send(&content, t->s->stream, &image_bad, &fault) ==
	    RC_OK)
		return true;
	lost(t);
	if (image_bad) {
		why = (struct outcome){ .action = DELIVERY_DEFERRED,
					.dsn = "4.3.0",
					.text = mem_printf(
						t->mem,
						"queue file read error: %s",
						fault.text) };
		*t->why = why;
	}
	return false;
}

static void recipient_sent(struct transaction *t, size_t i)
{
	const bool dsn_passed_on = (t->s->features & SMTP_DSN) != 0;
	char *said = smtp_reply_text(t->mem, t->s->reply, REPLY_TEXT_MAX_BYTES);
	char dsn[DSN_MAX_BYTES];
	struct outcome out = {
		.action = DELIVERY_SENT,
		.dsn = dsn,
		.text = said,
		.relay = t->s->relay,
		.conn_use = t->s->uses,
		.tls = t->s->tls_text,
		.remote_mta = t->s->name,
		.diag_type = "smtp",
		.diag_text = said,
		.dsn_action = dsn_passed_on ? "" : "relayed",
	};

	smtp_reply_dsn(t->s->reply, dsn);
	if (t->s->settings->lmtp && t->s->settings->conf->v.lmtp_assume_final)
		out.dsn_action = "delivered";
	delivery_settle(t->d, i, &out);
}

/* SMTP: one reply for all; LMTP: one for each that was accepted. */
static void end_replied(struct transaction *t)
{
	const struct smtp_settings *set = t->s->settings;
	const char *doing = "sending end of data -- message may be sent more "
			    "than once";
	struct outcome why;
	bool first = true;

	for (size_t i = 0; i < t->d->request->recipient_count; i++) {
		if (!t->accepted[i])
			continue;
		if ((first || set->lmtp) &&
		    !replied(t, set->data_done_timeout, doing))
			return;
		first = false;
		if (t->s->reply->code / 100 == 2) {
			recipient_sent(t, i);
			continue;
		}
		smtp_session_refused(t->s, t->mem, "end of DATA command", &why);
		recipient_failed(t, i, &why);
	}
	t->s->needs_reset = false;
}

/* The server waits for a message that has no recipient left. */
static void content_cancel(struct transaction *t)
{
	struct fault fault;

	if (net_stream_write(t->s->stream, SPAN_OF(".\r\n"), &fault) != RC_OK ||
	    net_stream_flush(t->s->stream, &fault) != RC_OK)
		lost(t);
	else
		replied(t, t->s->settings->data_done_timeout,
			"sending end of data");
}

static bool header_has_utf8(struct transaction *t)
{
	struct span header;
	struct fault fault;

	return image_header(t->mem, t->d->image, &header, &fault) != RC_OK ||
	       !text_is_ascii(header);
}

static bool needs_smtputf8(struct transaction *t)
{
	const struct envelope *env = t->d->image->env;

	if ((env->flags & ENVELOPE_SMTPUTF8) == 0)
		return false;
	if (!text_is_ascii(span_from(env->sender)))
		return true;
	for (size_t i = 0; i < t->d->request->recipient_count; i++)
		if (!text_is_ascii(
			    span_from(t->d->request->recipients[i].address)))
			return true;
	return header_has_utf8(t);
}

/* What this server cannot take at all. */
static bool message_fits(struct transaction *t)
{
	struct outcome why = { .action = DELIVERY_BOUNCED,
			       .relay = t->s->relay,
			       .conn_use = t->s->uses,
			       .tls = t->s->tls_text,
			       .remote_mta = t->s->name };
	const uint64_t size = t->d->image->header_length +
			      t->d->image->body_length;

	if (t->s->size_limit_bytes > 0 && size > t->s->size_limit_bytes) {
		why.dsn = "5.3.4";
		why.text = mem_printf(
			t->mem,
			"message size %llu exceeds size limit %llu of server %s",
			(unsigned long long)size,
			(unsigned long long)t->s->size_limit_bytes, t->s->peer);
	} else if ((t->s->features & SMTP_SMTPUTF8) == 0 &&
		   needs_smtputf8(t)) {
		why.dsn = "5.6.7";
		why.text = mem_printf(t->mem,
				      "SMTPUTF8 is required, but was not "
				      "offered by host %s",
				      t->s->peer);
	} else {
		return true;
	}
	all_failed(t, &why);
	return false;
}

enum smtp_transaction_end smtp_transaction_run(struct smtp_client *client,
					       struct delivery *d,
					       struct smtp_session *s,
					       bool last_host,
					       struct outcome *why)
{
	const size_t count = d->request->recipient_count;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct transaction t = {
		.client = client,
		.d = d,
		.s = s,
		.last_host = last_host,
		.why = why,
		.mem = d,
		.pending = mem_array(tmp, struct pending, count + 3),
		.accepted = mem_array(tmp, bool, count + 1),
	};

	if (!message_fits(&t))
		return SMTP_TRANSACTION_DONE;
	if (!generic_header(client, d, &t.header, why)) {
		all_failed(&t, why);
		return SMTP_TRANSACTION_DONE;
	}
	envelope_send(&t);
	if (t.stale)
		return SMTP_TRANSACTION_STALE;
	if (!t.lost && t.data_ready && t.accepted_count == 0)
		content_cancel(&t);
	else if (!t.lost && t.data_ready && content_send(&t))
		end_replied(&t);
	if (!t.lost)
		return SMTP_TRANSACTION_DONE;
	if (last_host)
		delivery_settle_open(d, why);
	return SMTP_TRANSACTION_LOST;
}
