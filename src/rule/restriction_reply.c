/* SPDX-License-Identifier: Apache-2.0 */
/* What restrictions say: refusals, deferrals, notes for the log. */
#include "base/buf.h"
#include "rule/restriction_priv.h"
#include "rule/restriction_trace.h"

static const char *const class_names[] = {
	[CLASS_OF_CLIENT] = "Client host",
	[CLASS_OF_HELO] = "Helo command",
	[CLASS_OF_SENDER] = "Sender address",
	[CLASS_OF_RECIPIENT] = "Recipient address",
	[CLASS_OF_DATA] = "Data command",
	[CLASS_OF_END_OF_DATA] = "End-of-data",
	[CLASS_OF_ETRN] = "Etrn command",
	[CLASS_OF_REVERSE_CLIENT] = "Unverified Client host",
	[CLASS_OF_CERT] = "Client certificate",
	[CLASS_OF_LOGIN] = "SASL login name",
};

const char *rule_class_name(enum rule_class class)
{
	return class_names[class];
}

const char *rule_subject(struct evaluation *ev, enum rule_class class)
{
	const struct restriction_request *req = ev->request;
	const char *text = NULL;

	switch (class) {
	case CLASS_OF_CERT:
		if (req->cert_subject != NULL && req->cert_subject[0] != '\0')
			return req->cert_subject;
		return mem_printf(ev->mem, "%s[%s]", req->client_name,
				  req->client_address);
	case CLASS_OF_CLIENT:
		return mem_printf(ev->mem, "%s[%s]", req->client_name,
				  req->client_address);
	case CLASS_OF_HELO:
		text = req->helo;
		break;
	case CLASS_OF_SENDER:
		text = req->sender;
		break;
	case CLASS_OF_RECIPIENT:
		text = req->recipient;
		break;
	case CLASS_OF_DATA:
		return "DATA";
	case CLASS_OF_END_OF_DATA:
		return "END-OF-MESSAGE";
	case CLASS_OF_ETRN:
		text = req->etrn_domain;
		break;
	case CLASS_OF_REVERSE_CLIENT:
		text = req->reverse_name;
		break;
	case CLASS_OF_LOGIN:
		text = req->sasl_username;
		break;
	}
	return text == NULL ? "" : text;
}

void rule_note(struct evaluation *ev, const char *what, const char *format, ...)
{
	struct restriction_note *note = mem_new(ev->mem, struct restriction_note);
	va_list args;
	struct buf text;

	buf_init(&text, note, 4096);
	va_start(args, format);
	buf_vaddf(&text, format, args);
	va_end(args);
	note->what = what;
	note->text = buf_text(&text);
	rule_trace_says(what, note->text);
	if (ev->verdict->last_note == NULL)
		ev->verdict->notes = note;
	else
		ev->verdict->last_note->next = note;
	ev->verdict->last_note = note;
}

/* Tables, policy servers, and clients say what no reply may hold. */
static void keep_one_line(struct buf *text)
{
	for (size_t i = 0; i < text->len; i++)
		if (!ascii_is_print(text->data[i]) &&
		    (unsigned char)text->data[i] < 128)
			text->data[i] = ' ';
}

/* The whole reply; soft_bounce turns 5xx into 4xx. */
static const char *reply_text(struct evaluation *ev, int *code, const char *dsn,
			      const char *format, va_list args)
{
	struct buf text;
	bool soft = ev->set->conf->v.soft_bounce && *code / 100 == 5;

	if (*code < 400 || *code > 599)
		*code = 450;
	if (soft)
		*code -= 100;
	buf_init(&text, ev->mem, 4096);
	/* the class of the status follows the code */
	buf_addf(&text, "%d %c%s ", *code, '0' + *code / 100, dsn + 1);
	buf_vaddf(&text, format, args);
	keep_one_line(&text);
	return buf_text(&text);
}

static enum rule_result refuse(struct evaluation *ev, int code,
			       const char *text)
{
	/* "later" beats "never" once a permit would have been in doubt */
	rule_trace_says("reject", text);
	if (ev->defer_if_reject != NULL && code >= 500) {
		rule_trace_says("deferred reject", ev->defer_if_reject);
		text = ev->defer_if_reject;
		code = 450;
	}
	ev->verdict->code = code;
	ev->verdict->text = text;
	ev->verdict->close = code == 421 || code == 521;
	ev->rc = code / 100 == 5 ? RC_PERM : RC_TEMP;
	return RULE_REJECT;
}

enum rule_result rule_reject(struct evaluation *ev, int code, const char *dsn,
			     const char *format, ...)
{
	const char *text;
	va_list args;

	va_start(args, format);
	text = reply_text(ev, &code, dsn, format, args);
	va_end(args);
	if (ev->warn_depth > 0) {
		rule_note(ev, "reject_warning", "%s", text);
		return RULE_DUNNO;
	}
	return refuse(ev, code, text);
}

enum rule_result rule_error(struct evaluation *ev, int code, const char *dsn,
			    const char *format, ...)
{
	const char *text;
	va_list args;

	va_start(args, format);
	text = reply_text(ev, &code, dsn, format, args);
	va_end(args);
	return refuse(ev, code, text);
}

enum rule_result rule_config_error(struct evaluation *ev)
{
	return rule_error(ev, 451, "4.3.5", "Server configuration error");
}

enum rule_result rule_lookup_failed(struct evaluation *ev, const char *text,
				    const struct fault *fault)
{
	if (fault != NULL && fault->text[0] != '\0')
		rule_note(ev, "warning", "%s", fault->text);
	return rule_error(ev, 451, "4.3.0", "<%s>: Temporary lookup failure",
			  text);
}

void rule_defer_if_permit(struct evaluation *ev, int code, const char *dsn,
			  const char *format, ...)
{
	const char **slot = &ev->state->defer_if_permit[ev->defer_stage];
	const char *text;
	va_list args;

	va_start(args, format);
	text = reply_text(ev, &code, dsn, format, args);
	va_end(args);
	if (ev->warn_depth > 0) {
		rule_note(ev, "reject_warning", "%s", text);
		return;
	}
	rule_trace_says("defer_if_permit", text);
	if (*slot == NULL) /* the first reason stays */
		*slot = text;
}

void rule_defer_if_reject(struct evaluation *ev, const char *text)
{
	struct buf clean;

	buf_init(&clean, ev->mem, 4096);
	buf_add(&clean, span_take(span_from(text), 4096));
	keep_one_line(&clean);
	rule_trace_says("defer_if_reject", buf_text(&clean));
	if (ev->defer_if_reject == NULL)
		ev->defer_if_reject = buf_text(&clean);
}

void rule_state_add(struct evaluation *ev, struct restriction_text **list,
		    struct span text)
{
	struct restriction_text *one =
		mem_new(ev->mem, struct restriction_text);

	one->text = mem_span_dup(one, text);
	one->next = *list; /* who has the list of before keeps it */
	*list = one;
}

void rule_log_permit(struct evaluation *ev, const char *action,
		     enum rule_class class, const char *subject,
		     const char *source)
{
	if (match_list_is_empty(ev->set->log_permit) ||
	    match_list_domain(ev->set->log_permit, span_from(action), NULL) !=
		    RC_OK)
		return;
	rule_note(ev, "permit", "action=%s for %s=%s %s%s", action,
		  rule_class_name(class), subject,
		  source == NULL ? "" : "from ", source == NULL ? "" : source);
}
