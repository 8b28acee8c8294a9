/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/smtp/transaction_priv.h"

#include "base/clock.h"
#include "deliver/smtp/content.h"
#include "deliver/smtp/downgrade.h"
#include "deliver/smtp/generic.h"
#include "mail/address.h"

enum {
	PIPELINE_BYTES = 8 * 1024,
	REPLY_TEXT_MAX_BYTES = 900,
	CONVERT_MAX_BYTES = 128 * 1024 * 1024,
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
		if (t->to_rcpt)
			recipient_sent(t, i);
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
static bool command_add(struct transaction *t, enum step step, size_t recipient,
			struct buf *line)
{
	const bool pipelining = (t->s->features & SMTP_PIPELINING) != 0;
	struct fault fault;

	buf_add(line, SPAN_OF("\r\n"));
	t->s->doing =
	    step == STEP_RCPT ? "sending RCPT TO" : "sending MAIL FROM";
	if (net_stream_write(t->s->stream, buf_span(line), &fault) != RC_OK) {
		t->stale = t->s->uses > 1 && step <= STEP_MAIL;
		lost(t);
		return false;
	}
	t->pending[t->pending_count++] =
	    (struct pending){.step = step, .recipient = recipient};
	t->pending_bytes += line->len;
	buf_clear(line);
	if (!pipelining || t->pending_bytes > PIPELINE_BYTES)
		return pipeline_drain(t) && !t->mail_refused;
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
	*why = (struct outcome){.action = DELIVERY_BOUNCED,
				.dsn = "5.1.3",
				.text = "the address cannot be sent by SMTP",
				.relay = t->s->relay,
				.tls = t->s->tls_text};
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
	if (!smtp_mail_line(t, &line)) {
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
		if (!smtp_rcpt_line(t, i, &line)) {
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
	if (t->to_rcpt) {
		pipeline_drain(t);
	} else if (t->pending_count > 0 || t->accepted_count > 0) {
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
	    .whole = t->whole,
	};
	struct outcome why;
	struct fault fault;
	bool image_bad;

	t->s->doing = "sending message body";
	/* Each other time-out is a system call or two. */
	net_stream_set_timeout(t->s->stream, (smtp_content_is_small(&content)
						  ? set->data_done_timeout
						  : set->data_xfer_timeout) *
						 1000);
	if (smtp_content_send(&content, t->s->stream, &image_bad, &fault) ==
	    RC_OK)
		return true;
	lost(t);
	if (image_bad) {
		why = (struct outcome){
		    .action = DELIVERY_DEFERRED,
		    .dsn = "4.3.0",
		    .text = mem_printf(t->mem, "queue file read error: %s",
				       fault.text)};
		*t->why = why;
	}
	return false;
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

/* The server waits for a message that never comes: only leaving is left. */
static void probe_succeeded(struct transaction *t)
{
	for (size_t i = 0; i < t->d->request->recipient_count; i++)
		if (t->accepted[i])
			recipient_sent(t, i);
	t->s->broken = true;
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
	struct outcome why = {.action = DELIVERY_BOUNCED,
			      .relay = t->s->relay,
			      .conn_use = t->s->uses,
			      .tls = t->s->tls_text,
			      .remote_mta = t->s->name};
	const uint64_t size = smtp_content_size(t);

	if (t->s->size_limit_bytes > 0 && size > t->s->size_limit_bytes) {
		why.dsn = "5.3.4";
		why.text = mem_printf(
		    t->mem,
		    "message size %llu exceeds size limit %llu of server %s",
		    (unsigned long long)size,
		    (unsigned long long)t->s->size_limit_bytes, t->s->peer);
	} else if ((t->s->features & SMTP_SMTPUTF8) == 0 && needs_smtputf8(t)) {
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

static bool convert_failed(struct transaction *t, enum delivery_action action,
			   const char *dsn, const char *text)
{
	*t->why = (struct outcome){
	    .action = action,
	    .dsn = dsn,
	    .text = mem_printf(t->mem, "%s %s", text, t->s->peer),
	    .relay = t->s->relay,
	    .conn_use = t->s->uses,
	    .tls = t->s->tls_text};
	return false;
}

/* The server does not take what the message is made of: make it 7-bit. */
static bool content_convert(struct transaction *t)
{
	const struct image *image = t->d->image;
	const uint64_t size = image->header_length + image->body_length;
	struct span header;
	struct fault fault;
	struct buf all, out;
	size_t got;

	if ((t->s->features & SMTP_8BITMIME) != 0 ||
	    (image->env->flags & ENVELOPE_8BIT) == 0 ||
	    t->s->settings->conf->v.disable_mime_output_conversion)
		return true;
	if (size > CONVERT_MAX_BYTES)
		return convert_failed(t, DELIVERY_BOUNCED, "5.6.1",
				      "message is too large to be converted "
				      "to 7 bits for host");
	buf_init(&all, t->mem, SIZE_MAX / 2);
	buf_init(&out, t->mem, 4 * CONVERT_MAX_BYTES);
	if (t->header != NULL)
		header = *t->header;
	else if (image_header(t->mem, image, &header, &fault) != RC_OK)
		return convert_failed(t, DELIVERY_DEFERRED, "4.3.0",
				      "queue file read error for host");
	buf_add(&all, header);
	if (!buf_reserve(&all, image->body_length) ||
	    image_content_read(image, image->header_length, all.data + all.len,
			       image->body_length, &got, &fault) != RC_OK ||
	    got != image->body_length)
		return convert_failed(t, DELIVERY_DEFERRED, "4.3.0",
				      "queue file read error for host");
	all.len += got;
	downgrade_message(t->mem, buf_span(&all), &out);
	if (out.full)
		return convert_failed(t, DELIVERY_BOUNCED, "5.6.1",
				      "message cannot be converted to 7 bits "
				      "for host");
	buf_done(&all);
	t->whole = mem_new(t->mem, struct span);
	*t->whole = buf_span(&out);
	return true;
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

	if (delivery_is_probe(d)) {
		t.to_data = span_is_nocase(
		    span_from(client->settings.address_verify_target), "data");
		t.to_rcpt = !t.to_data;
	}
	if (!generic_header(client, d, &t.header, why) ||
	    !content_convert(&t)) {
		all_failed(&t, why);
		return SMTP_TRANSACTION_DONE;
	}
	if (!message_fits(&t))
		return SMTP_TRANSACTION_DONE;
	envelope_send(&t);
	if (t.stale)
		return SMTP_TRANSACTION_STALE;
	if (t.to_data && t.data_ready && t.accepted_count > 0) {
		probe_succeeded(&t);
		return SMTP_TRANSACTION_LOST;
	}
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
