/* SPDX-License-Identifier: Apache-2.0 */
#include "report/notice.h"

#include "mail/address.h"
#include "mail/date.h"
#include "mail/header.h"
#include "mail/message_id.h"

enum {
	WRAP_COLUMN = 79,
	WRAP_INDENT = 4,
	LINE_MAX_BYTES = 64 * 1024,
};

/* Where lines go, and room to make one. */
struct writer {
	const struct notice *notice;
	notice_put_fn *put;
	void *arg;
	bool stopped;
	struct buf line;
	TALLOC_CTX *mem;
};

static void put_span(struct writer *w, struct span line)
{
	if (!w->stopped)
		w->stopped = !w->put(w->arg, line);
}

static void put_text(struct writer *w, const char *line)
{
	put_span(w, span_from(line));
}

/* Addresses, envelope ids and replies are others' text: no line ends in it. */
static void line_clean(struct writer *w, char instead)
{
	for (size_t i = 0; i < w->line.len; i++) {
		unsigned char c = (unsigned char)w->line.data[i];

		if ((c < ' ' && c != '\t') || c == 127)
			w->line.data[i] = instead;
	}
}

static void putf(struct writer *w, const char *format, ...) PRINTF(2, 3);
static void putf(struct writer *w, const char *format, ...)
{
	va_list args;

	buf_clear(&w->line);
	va_start(args, format);
	buf_vaddf(&w->line, format, args);
	va_end(args);
	line_clean(w, '?');
	put_span(w, buf_span(&w->line));
}

/* Break what is in w->line at blanks; more lines begin with four blanks. */
static void put_wrapped(struct writer *w)
{
	struct span rest = buf_span(&w->line);
	bool first = true;
	struct buf out;

	line_clean(w, ' ');
	buf_init(&out, w->mem, LINE_MAX_BYTES);
	do {
		size_t room = WRAP_COLUMN - (first ? 0 : WRAP_INDENT);
		size_t len = rest.len;

		if (len > room) {
			ssize_t blank =
				span_rfind(span_take(rest, room + 1), ' ');

			if (blank <= 0)
				blank = span_find(rest, ' ');
			len = blank <= 0 ? rest.len : (size_t)blank;
		}
		buf_clear(&out);
		if (!first)
			buf_add_text(&out, "    ");
		buf_add(&out, span_take(rest, len));
		put_span(w, buf_span(&out));
		rest = span_skip(rest, len);
		while (rest.len > 0 && rest.ptr[0] == ' ')
			rest = span_skip(rest, 1);
		first = false;
	} while (rest.len > 0);
	buf_done(&out);
}

static void put_wrappedf(struct writer *w, const char *format, ...)
	PRINTF(2, 3);
static void put_wrappedf(struct writer *w, const char *format, ...)
{
	va_list args;

	buf_clear(&w->line);
	va_start(args, format);
	buf_vaddf(&w->line, format, args);
	va_end(args);
	put_wrapped(w);
}

static const char *quoted(struct writer *w, const char *address)
{
	return address_quote(w->mem, span_from(address));
}

/* The null sender has a name where an address is needed. */
static const char *sender_text(struct writer *w)
{
	const struct notice *notice = w->notice;

	if (notice->env->sender[0] != '\0')
		return quoted(w, notice->env->sender);
	return mem_printf(w->mem, "MAILER-DAEMON@%s", notice->conf->v.myorigin);
}

static const char *boundary(struct writer *w)
{
	return mem_printf(w->mem, "%s.%lld/%s", w->notice->queue_id,
			  (long long)w->notice->now,
			  w->notice->conf->v.myhostname);
}

/* Valid UTF-8 above ASCII in an address of a message that needs SMTPUTF8. */
static bool is_utf8_address(const struct notice *notice, const char *address)
{
	return (notice->env->flags & ENVELOPE_SMTPUTF8) != 0 &&
	       !text_is_ascii(span_from(address)) &&
	       text_is_utf8(span_from(address));
}

bool notice_needs_utf8(const struct notice *notice)
{
	return (notice->env->flags & ENVELOPE_SMTPUTF8) != 0;
}

static void put_from(struct writer *w)
{
	const struct notice *notice = w->notice;
	const char *origin = notice->conf->v.myorigin;

	if (notice->template->from != NULL)
		putf(w, "From: %s", notice->template->from);
	else if (strcmp(notice->conf->v.header_from_format, "obsolete") == 0)
		putf(w, "From: MAILER-DAEMON@%s (Mail Delivery System)",
		     origin);
	else
		putf(w, "From: Mail Delivery System <MAILER-DAEMON@%s>",
		     origin);
}

static void put_headers(struct writer *w)
{
	const struct notice *notice = w->notice;
	char date[DATE_MAX_BYTES];

	putf(w, "Date: %s", date_rfc5322(date, notice->now));
	put_from(w);
	putf(w, "Subject: %s",
	     notice->to_postmaster ? notice->template->postmaster_subject
				   : notice->template->subject);
	putf(w, "To: %s", quoted(w, notice->to));
	if (notice->message_id != NULL) {
		putf(w, "References: %s", notice->message_id);
		putf(w, "In-Reply-To: %s", notice->message_id);
	}
	putf(w, "Auto-Submitted: %s",
	     notice->to_postmaster ? "auto-generated" : "auto-replied");
	put_text(w, "MIME-Version: 1.0");
	putf(w, "Content-Type: multipart/report; report-type=%s;",
	     notice_needs_utf8(notice) ? "global-delivery-status"
				       : "delivery-status");
	putf(w, "\tboundary=\"%s\"", boundary(w));
	put_text(w, "Content-Transfer-Encoding: 8bit");
	put_text(w, "");
	put_text(w, "This is a MIME-encapsulated message.");
}

static void put_part(struct writer *w, const char *description,
		     const char *type)
{
	put_text(w, "");
	putf(w, "--%s", boundary(w));
	putf(w, "Content-Description: %s", description);
	putf(w, "Content-Type: %s", type);
}

static const struct recipient *
recipient_of(const struct notice *notice, const struct delivery_status *status)
{
	return &notice->env->recipients[status->recipient];
}

static bool was_expanded(const struct recipient *recipient)
{
	return recipient->original != NULL && recipient->original[0] != '\0' &&
	       strcasecmp(recipient->original, recipient->address) != 0;
}

static void put_text_part(struct writer *w)
{
	const struct notice *notice = w->notice;
	const char *charset = notice->template->charset;
	char *text = template_expand(w->mem, notice->conf, notice->template);
	struct span rest = span_from(text), line;

	if (strcasecmp(charset, "us-ascii") == 0)
		charset = "utf-8"; /* what remote hosts say may be UTF-8 */
	put_part(w, "Notification",
		 mem_printf(w->mem, "text/plain; charset=%s", charset));
	put_text(w, "Content-Transfer-Encoding: 8bit");
	put_text(w, "");
	if (notice->to_postmaster)
		rest = (struct span){ NULL, 0 };
	while (rest.len > 0 && span_cut(&rest, '\n', &line))
		put_span(w, line);
	for (size_t i = 0; i < notice->count; i++) {
		const struct delivery_status *status = &notice->statuses[i];
		const struct recipient *rcpt = recipient_of(notice, status);

		put_text(w, "");
		if (was_expanded(rcpt))
			put_wrappedf(w, "<%s> (expanded from <%s>): %s",
				     quoted(w, rcpt->address),
				     quoted(w, rcpt->original), status->reason);
		else
			put_wrappedf(w, "<%s>: %s", quoted(w, rcpt->address),
				     status->reason);
	}
}

static const char *action_text(const struct notice *notice,
			       const struct delivery_status *status)
{
	if (notice->kind == NOTICE_FAILURE)
		return "failed";
	if (notice->kind == NOTICE_DELAY)
		return "delayed";
	return status->dsn_action == NULL || status->dsn_action[0] == '\0'
		       ? "delivered"
		       : status->dsn_action;
}

static const char *address_type(const struct notice *notice,
				const char *address)
{
	return is_utf8_address(notice, address) ? "utf-8" : "rfc822";
}

static void put_original(struct writer *w, const struct recipient *rcpt)
{
	const char *original = rcpt->original;

	if (original == NULL || original[0] == '\0')
		original = rcpt->address;
	if (rcpt->dsn_orcpt != NULL && rcpt->dsn_orcpt[0] != '\0')
		putf(w, "Original-Recipient: %s", rcpt->dsn_orcpt);
	else
		putf(w, "Original-Recipient: %s;%s",
		     address_type(w->notice, original), quoted(w, original));
}

static void put_status(struct writer *w, const struct delivery_status *status)
{
	const struct notice *notice = w->notice;
	const struct recipient *rcpt = recipient_of(notice, status);
	char date[DATE_MAX_BYTES];

	put_text(w, "");
	putf(w, "Final-Recipient: %s; %s", address_type(notice, rcpt->address),
	     quoted(w, rcpt->address));
	put_original(w, rcpt);
	putf(w, "Action: %s", action_text(notice, status));
	putf(w, "Status: %s", status->dsn);
	if (status->remote_mta != NULL && status->remote_mta[0] != '\0')
		putf(w, "Remote-MTA: dns; %s", status->remote_mta);
	if (status->diag_text != NULL && status->diag_text[0] != '\0')
		put_wrappedf(w, "Diagnostic-Code: %s; %s",
			     status->diag_type == NULL ? "X-Postfix"
						       : status->diag_type,
			     status->diag_text);
	else
		put_wrappedf(w, "Diagnostic-Code: X-Postfix; %s",
			     status->reason);
	if (notice->kind == NOTICE_DELAY)
		putf(w, "Will-Retry-Until: %s",
		     date_rfc5322(
			     date,
			     (time_t)(notice->env->arrival_us / 1000000) +
				     notice->conf->v.maximal_queue_lifetime));
}

static void put_report_part(struct writer *w)
{
	const struct notice *notice = w->notice;
	char date[DATE_MAX_BYTES];

	put_part(w, "Delivery report",
		 notice_needs_utf8(notice) ? "message/global-delivery-status"
					   : "message/delivery-status");
	if (notice_needs_utf8(notice))
		put_text(w, "Content-Transfer-Encoding: 8bit");
	put_text(w, "");
	putf(w, "Reporting-MTA: dns; %s", notice->conf->v.myhostname);
	if (notice->env->dsn_envid != NULL && notice->env->dsn_envid[0] != '\0')
		putf(w, "Original-Envelope-Id: %s", notice->env->dsn_envid);
	putf(w, "X-Postfix-Queue-ID: %s", notice->queue_id);
	putf(w, "X-Postfix-Sender: %s; %s",
	     address_type(notice, notice->env->sender), sender_text(w));
	putf(w, "Arrival-Date: %s",
	     date_rfc5322(date, (time_t)(notice->env->arrival_us / 1000000)));
	for (size_t i = 0; i < notice->count; i++)
		put_status(w, &notice->statuses[i]);
}

static void put_message_part(struct writer *w)
{
	const struct notice *notice = w->notice;
	bool utf8 = notice_needs_utf8(notice);
	const char *what = notice->kind == NOTICE_SUCCESS ||
					   notice->kind == NOTICE_TRACE
				   ? "Message"
				   : "Undelivered Message";

	if (notice->header_only)
		put_part(w, mem_printf(w->mem, "%s Headers", what),
			 utf8 ? "message/global-headers"
			      : "text/rfc822-headers");
	else
		put_part(w, what, utf8 ? "message/global" : "message/rfc822");
	put_text(w, "Content-Transfer-Encoding: 8bit");
	put_text(w, "");
	putf(w, "Return-Path: <%s>", sender_text(w));
}

static void writer_init(struct writer *w, const struct notice *notice,
			notice_put_fn *put, void *arg)
{
	*w = (struct writer){ .notice = notice, .put = put, .arg = arg };
	w->mem = talloc_new(NULL);
	buf_init(&w->line, w->mem, LINE_MAX_BYTES);
}

void notice_write_front(const struct notice *notice, notice_put_fn *put,
			void *arg)
{
	struct writer w;

	writer_init(&w, notice, put, arg);
	put_headers(&w);
	put_text_part(&w);
	put_report_part(&w);
	put_message_part(&w);
	talloc_free(w.mem);
}

void notice_write_back(const struct notice *notice, notice_put_fn *put,
		       void *arg)
{
	struct writer w;

	writer_init(&w, notice, put, arg);
	put_text(&w, "");
	putf(&w, "--%s--", boundary(&w));
	talloc_free(w.mem);
}

const char *notice_message_id(TALLOC_CTX *mem, struct span header)
{
	struct header found;
	struct span id;

	if (!header_find(header, "Message-Id", &found))
		return NULL;
	id = message_id_of_value(found.value);
	if (id.len == 0 || id.len > 900 || span_find(id, '\n') >= 0)
		return NULL;
	return mem_span_dup(mem, id);
}
