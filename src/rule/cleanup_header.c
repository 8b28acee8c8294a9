/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/evp.h>

#include "mail/address_list.h"
#include "mail/date.h"
#include "mail/header.h"
#include "mail/message_id.h"
#include "rule/cleanup_priv.h"
#include "sys/log.h"

enum { OUT_FLUSH_BYTES = 32 * 1024, QUOTE = 0x22 };

enum rc cleanup_header_flush(struct cleanup *c)
{
	struct fault fault;
	enum rc rc;

	if (c->out.len == 0 || c->rc != RC_OK)
		return c->rc;
	rc = intake_header(c->message, buf_span(&c->out), &fault);
	buf_clear(&c->out);
	if (rc == RC_OK)
		return RC_OK;
	return cleanup_fail(c, cleanup_fault_plain(c, rc, &fault), &fault);
}

static void out_add(struct cleanup *c, struct span text)
{
	if (c->out.len + text.len + 2 > OUT_FLUSH_BYTES)
		cleanup_header_flush(c);
	if (buf_add(&c->out, text))
		buf_add_text(&c->out, "\r\n");
}

static void note_message_id(struct cleanup *c, const char *label,
			    struct span value)
{
	struct span id = message_id_of_value(value);

	log_info_as("cleanup", "%s: %smessage-id=%.*s", c->message->queue_id,
		    label, SPAN_FMT(id));
}

static void note_seen(struct cleanup *c, const struct header *header,
		      int traits)
{
	static const struct {
		const char *name;
		int bit;
	} names[] = {
		{ "From", SEEN_FROM },
		{ "Date", SEEN_DATE },
		{ "Message-Id", SEEN_MESSAGE_ID },
		{ "Resent-From", SEEN_RESENT_FROM },
		{ "Resent-Date", SEEN_RESENT_DATE },
		{ "Resent-Message-Id", SEEN_RESENT_MESSAGE_ID },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (span_is_nocase(header->name, names[i].name))
			c->seen |= names[i].bit;
	if (traits & HEADER_RESENT)
		c->seen |= SEEN_RESENT;
	if (span_is_nocase(header->name, "Message-Id"))
		note_message_id(c, "", header->value);
	else if (span_is_nocase(header->name, "Resent-Message-Id"))
		note_message_id(c, "resent-", header->value);
}

/* One hop each; this host's own is the first. */
static void count_hop(struct cleanup *c, struct span name)
{
	struct fault fault;

	if (!span_is_nocase(name, "Received") ||
	    ++c->hops < c->service->conf->v.hopcount_limit ||
	    (c->flags & CLEANUP_BOUNCE) || c->rc != RC_OK)
		return;
	log_warning_as("cleanup", "%s: message rejected: hopcount exceeded",
		       c->message->queue_id);
	fault_set(&fault, RC_PERM, "5.4.0", "Error: too many hops");
	cleanup_fail(c, RC_PERM, &fault);
}

static void span_push(struct cleanup *c, struct span **list, size_t *count,
		      struct span value)
{
	if (*count % 16 == 0)
		*list = mem_resize(c, *list, struct span, *count + 16);
	(*list)[(*count)++] = mem_span_copy(c, value);
}

static void extract(struct cleanup *c, const struct header *header, int traits)
{
	SCRATCH TALLOC_CTX *scratch = talloc_new(c);
	struct span rest = header->value;
	struct address_item item;

	while (address_list_next(scratch, &rest, &item)) {
		if (item.address.len == 0)
			continue;
		if (traits & HEADER_RESENT)
			span_push(c, &c->resent_extracted,
				  &c->resent_extracted_count, item.address);
		else
			span_push(c, &c->extracted, &c->extracted_count,
				  item.address);
	}
}

static bool is_dropped(const struct cleanup_service *s, struct span name)
{
	for (size_t i = 0; i < s->drop_count; i++)
		if (span_is_nocase(name, s->drop_headers[i]))
			return true;
	return false;
}

struct change {
	struct cleanup *c;
	int class;
};

static enum rc address_change(void *arg, TALLOC_CTX *mem, struct span address,
			      struct span *ret_address, struct fault *fault)
{
	const struct change *change = arg;
	struct cleanup *c = change->c;
	enum rewrite_context context =
		c->flags & CLEANUP_LOCAL ? REWRITE_LOCAL : REWRITE_REMOTE;
	struct span whole = span_from(
		rewrite_address(mem, c->service->conf, context, address));
	enum rc rc = RC_OK;

	if (c->flags & CLEANUP_MAP)
		rc = cleanup_map_address(c->service, mem, change->class, &whole,
					 fault);
	if (rc != RC_OK)
		return rc;
	if (span_eq(whole, address))
		return RC_NONE;
	*ret_address = whole;
	return RC_OK;
}

static bool header_is_rewritten(const struct cleanup *c)
{
	const struct conf_values *v = &c->service->conf->v;

	return (c->flags & CLEANUP_LOCAL) ||
	       v->remote_header_rewrite_domain[0] != '\0';
}

/* The field to the output, with its addresses completed and mapped. */
static void field_put(struct cleanup *c, const struct header *header,
		      size_t value_at, int traits)
{
	struct change change = { .c = c };
	struct span value = span_skip(header->whole, value_at);
	bool changed = false;
	struct fault fault;
	struct buf out;
	enum rc rc;

	if (c->out.len + header->whole.len + 2 > OUT_FLUSH_BYTES)
		cleanup_header_flush(c);
	if (!(traits & (HEADER_SENDER | HEADER_RECIPIENT)) ||
	    !header_is_rewritten(c)) {
		if (value_at == header->name.len + 1) {
			out_add(c, header->whole);
			return;
		}
		buf_add(&c->out, header->name);
		buf_add_char(&c->out, ':');
		out_add(c, value);
		return;
	}
	change.class = traits & HEADER_SENDER ? CLASS_HEADER_SENDER :
						CLASS_HEADER_RECIPIENT;
	buf_init(&out, c, (size_t)c->service->conf->v.header_size_limit * 4);
	rc = address_list_rewrite(value, address_change, &change, &out,
				  &changed, &fault);
	if (rc != RC_OK)
		cleanup_fail(c, cleanup_fault_plain(c, rc, &fault), &fault);
	buf_add(&c->out, header->name);
	buf_add_char(&c->out, ':');
	out_add(c, rc == RC_OK && changed && !out.full ? buf_span(&out) : value);
	buf_done(&out);
}

static void field_accept(struct cleanup *c, struct span text)
{
	struct header header = { .whole = text };
	size_t value_at = 0;
	int traits;

	header.name = span_take(text, header_name_len(text, &value_at));
	if (header.name.len == 0) {
		out_add(c, text); /* a check put something else there */
		return;
	}
	header.value = span_trim(span_skip(text, value_at));
	if ((c->flags & CLEANUP_DETECT_UTF8) && !text_is_ascii(text) &&
	    text_is_utf8(text))
		c->env->flags |= ENVELOPE_SMTPUTF8;
	traits = header_traits(header.name);
	note_seen(c, &header, traits);
	if (c->mime != NULL && (traits & HEADER_MIME))
		mime_header(c->mime, header.name, header.value);
	count_hop(c, header.name);
	if ((c->flags & CLEANUP_EXTRACT_RECIPIENTS) &&
	    (traits & HEADER_EXTRACT))
		extract(c, &header, traits);
	if (is_dropped(c->service, header.name))
		return;
	if (traits & HEADER_RECIPIENT)
		c->seen |= SEEN_RECIPIENT;
	field_put(c, &header, value_at, traits);
}

struct span cleanup_unfold(TALLOC_CTX *mem, struct span text)
{
	char *copy = mem_span_dup(mem, text);
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++)
		if (!(copy[i] == '\r' && i + 1 < text.len &&
		      copy[i + 1] == '\n'))
			copy[len++] = copy[i];
	copy[len] = '\0';
	return (struct span){ copy, len };
}

enum rc cleanup_field(struct cleanup *c)
{
	SCRATCH TALLOC_CTX *scratch = NULL;
	struct span text = buf_span(&c->field), answer;
	size_t name_len = header_name_len(text, NULL);
	bool mime;

	if (!c->service->has_checks || !(c->flags & CLEANUP_FILTER)) {
		field_accept(c, text);
		buf_clear(&c->field);
		return c->rc;
	}
	scratch = talloc_new(NULL);
	mime = header_traits(span_take(text, name_len)) & HEADER_MIME;
	switch (cleanup_check(c, mime ? CHECK_MIME : CHECK_HEADER,
			      cleanup_unfold(scratch, text), scratch, &answer)) {
	case CHECK_PASS:
		field_accept(c, text);
		break;
	case CHECK_REPLACE:
		field_accept(c, answer);
		break;
	case CHECK_PREPEND:
		out_add(c, answer);
		field_accept(c, text);
		break;
	case CHECK_DROP:
	case CHECK_STOP:
		break;
	}
	buf_clear(&c->field);
	return c->rc;
}

/* RFC 2047, base64 words of whole characters. */
static void encoded_add(struct buf *out, const char *charset, const char *name)
{
	enum { WORD_BYTES = 30 };
	struct span rest = span_from(name);

	while (rest.len > 0) {
		unsigned char text[WORD_BYTES / 3 * 4 + 1];
		size_t len = MIN_OF(rest.len, (size_t)WORD_BYTES);

		while (len > 1 && len < rest.len &&
		       (rest.ptr[len] & 0xc0) == 0x80)
			len--; /* not inside a UTF-8 character */
		EVP_EncodeBlock(text, (const unsigned char *)rest.ptr,
				(int)len);
		buf_addf(out, "%s=?%s?B?%s?=",
			 rest.ptr == name ? "" : "\r\n ", charset,
			 (const char *)text);
		rest = span_skip(rest, len);
	}
}

/* A display name as RFC 5322 wants it: atoms, or a quoted string. */
static void phrase_add(struct buf *out, const char *name)
{
	bool plain = true;

	for (const char *p = name; *p != '\0'; p++)
		if (!ascii_is_alnum(*p) && strchr(" #$&'*+-/=?^_`{|}~", *p) ==
						   NULL)
			plain = false;
	if (plain) {
		buf_add_text(out, name);
		return;
	}
	buf_add_char(out, QUOTE);
	for (const char *p = name; *p != '\0'; p++) {
		if (*p == QUOTE || *p == '\\')
			buf_add_char(out, '\\');
		buf_add_char(out, (unsigned char)*p < ' ' ? ' ' : *p);
	}
	buf_add_char(out, QUOTE);
}

static void comment_add(struct buf *out, const char *name)
{
	for (const char *p = name; *p != '\0'; p++) {
		if (strchr("()\\", *p) != NULL)
			buf_add_char(out, '\\');
		buf_add_char(out, (unsigned char)*p < ' ' ? ' ' : *p);
	}
}

static void from_add(struct cleanup *c, const char *label)
{
	SCRATCH TALLOC_CTX *scratch = talloc_new(NULL);
	const char *sender = c->env->sender == NULL ? "" : c->env->sender;
	const struct conf_values *v = &c->service->conf->v;
	bool named = c->full_name != NULL && c->full_name[0] != '\0';
	bool old = span_is_nocase(span_from(v->header_from_format), "obsolete");
	struct buf line;

	buf_init(&line, scratch, OUT_FLUSH_BYTES / 2);
	buf_addf(&line, "%sFrom: ", label);
	if (sender[0] == '\0') {
		buf_add_text(&line, "MAILER-DAEMON");
	} else if (named && old) {
		address_quote_add(&line, span_from(sender));
		buf_add_text(&line, " (");
		comment_add(&line, c->full_name);
		buf_add_char(&line, ')');
	} else if (named) {
		if (text_is_ascii(span_from(c->full_name)) ||
		    (c->env->flags & ENVELOPE_SMTPUTF8))
			phrase_add(&line, c->full_name);
		else
			encoded_add(&line, v->full_name_encoding_charset,
				    c->full_name);
		buf_add_text(&line, " <");
		address_quote_add(&line, span_from(sender));
		buf_add_char(&line, '>');
	} else {
		address_quote_add(&line, span_from(sender));
	}
	out_add(c, buf_span(&line));
}

static void message_id_add(struct cleanup *c, const char *label)
{
	SCRATCH TALLOC_CTX *scratch = talloc_new(NULL);
	char *id = message_id_make(scratch, c->message->queue_id,
				   c->service->conf->v.myhostname,
				   (time_t)(c->env->arrival_us / 1000000));

	out_add(c, span_from(mem_printf(scratch, "%sMessage-Id: %s",
					label[0] == '\0' ? "" : "Resent-",
					id)));
	note_message_id(c, label, span_from(id));
}

static void date_add(struct cleanup *c, const char *label)
{
	SCRATCH TALLOC_CTX *scratch = talloc_new(NULL);
	char date[DATE_MAX_BYTES];

	date_rfc5322(date, (time_t)(c->env->arrival_us / 1000000));
	out_add(c, span_from(mem_printf(scratch, "%sDate: %s", label, date)));
}

static void missing_add(struct cleanup *c)
{
	if (c->seen & SEEN_RESENT) {
		if (!(c->seen & SEEN_RESENT_MESSAGE_ID))
			message_id_add(c, "resent-");
		if (!(c->seen & SEEN_RESENT_DATE))
			date_add(c, "Resent-");
		if (!(c->seen & SEEN_RESENT_FROM))
			from_add(c, "Resent-");
		return;
	}
	if (!(c->seen & SEEN_MESSAGE_ID)) {
		message_id_add(c, "");
		c->seen |= SEEN_MESSAGE_ID;
	}
	if (!(c->seen & SEEN_DATE))
		date_add(c, "");
	if (!(c->seen & SEEN_FROM))
		from_add(c, "");
}

enum rc cleanup_header_end(struct cleanup *c)
{
	const struct conf_values *v = &c->service->conf->v;

	if (c->field.len > 0)
		cleanup_field(c);
	if (c->mime != NULL)
		mime_header_end(c->mime);
	if (c->rc != RC_OK)
		return c->rc;
	if ((c->flags & CLEANUP_LOCAL) || v->always_add_missing_headers)
		missing_add(c);
	if (!(c->seen & SEEN_RECIPIENT) &&
	    v->undisclosed_recipients_header[0] != '\0')
		out_add(c, span_from(v->undisclosed_recipients_header));
	if (!(c->seen & SEEN_MESSAGE_ID))
		note_message_id(c, "", SPAN_OF("<>"));
	return cleanup_header_flush(c);
}
