/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/footer.h"

#include "arrive/smtpd/session.h"
#include "base/clock.h"
#include "conf/expand.h"
#include "mail/date.h"
#include "sys/log.h"

struct names {
	struct smtpd_session *s;
	TALLOC_CTX *mem;
};

static struct span address_part(struct span address, bool domain)
{
	ssize_t at = span_rfind(address, '@');

	if (at < 0)
		return domain ? SPAN_OF("") : address;
	return domain ? span_skip(address, (size_t)at + 1)
		      : span_take(address, (size_t)at);
}

static struct span value_of(const struct names *names, struct span name)
{
	const struct smtpd_session *s = names->s;
	const struct smtpd_transaction *t = s->transaction;
	char date[DATE_MAX_BYTES];
	struct span sender =
		span_from(t != NULL && t->sender != NULL ? t->sender : "");
	struct span rcpt = span_from(s->asked != NULL ? s->asked : "");
	const struct {
		const char *name;
		struct span value;
	} values[] = {
		{ "client", span_from(s->client_text) },
		{ "client_address", span_from(s->client_address) },
		{ "client_name", span_from(s->client_name) },
		{ "client_port", span_from(s->client_port) },
		{ "helo_name", span_from(s->helo != NULL ? s->helo : "") },
		{ "server_name", span_from(s->server->conf->v.myhostname) },
		{ "sender", sender },
		{ "sender_name", address_part(sender, false) },
		{ "sender_domain", address_part(sender, true) },
		{ "recipient", rcpt },
		{ "recipient_name", address_part(rcpt, false) },
		{ "recipient_domain", address_part(rcpt, true) },
	};

	if (span_is(name, "localtime"))
		return span_from(mem_strdup(
			names->mem,
			date_log(date, (time_t)(clock_wall_us() / 1000000))));
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		if (span_is(name, values[i].name))
			return values[i].value;
	log_warning("unknown macro name \"%.*s\" in expansion request",
		    SPAN_FMT(name));
	return SPAN_OF("");
}

static enum rc give_value(void *arg, struct span name, int depth,
			  struct span *ret_value, struct fault *fault)
{
	*ret_value = value_of(arg, name);
	return RC_OK;
}

/* The template for this reply; false: none. */
static bool find_template(struct smtpd_session *s, TALLOC_CTX *tmp,
			  struct span reply, struct span *ret_template)
{
	struct smtpd_server *server = s->server;
	const char *usual = server->conf->v.smtpd_reject_footer;
	struct fault fault = { 0 };
	enum rc rc = RC_NONE;

	if (server->footer_maps != NULL && !maps_is_empty(server->footer_maps))
		rc = maps_lookup(server->footer_maps, tmp, reply, ret_template,
				 &fault);
	if (rc == RC_OK)
		return true;
	if (rc != RC_NONE)
		log_warning("smtpd_reject_footer_maps: %s", fault.text);
	*ret_template = span_from(usual);
	return usual[0] != '\0';
}

/* "550 5.7.1 ": what each line begins with, and its length up to the text. */
static size_t head_size(struct span reply)
{
	struct span rest = span_skip(reply, 4), word;
	size_t dsn = 4;

	if (reply.len < 4 || !span_token(&rest, " ", &word))
		return 4;
	if (word.len >= 5 && word.ptr[1] == '.' && ascii_is_digit(*word.ptr))
		dsn += word.len + 1;
	return dsn;
}

static void add_line(struct buf *out, struct span head, struct span text,
		     bool last)
{
	buf_add(out, span_take(head, 3));
	buf_add_char(out, last ? ' ' : '-');
	buf_add(out, span_skip(head, 4));
	buf_add(out, text);
	buf_add_text(out, "\r\n");
}

/* The template's next line: up to "\\n", two characters. */
static bool cut_line(struct span *rest, struct span *ret_line)
{
	size_t i = 0;

	if (rest->ptr == NULL)
		return false;
	while (i < rest->len && !span_starts(span_skip(*rest, i), "\\n"))
		i++;
	*ret_line = span_take(*rest, i);
	*rest = i < rest->len ? span_skip(*rest, i + 2)
			      : (struct span){ NULL, 0 };
	return true;
}

/* One line of the template, with nothing in it that could end a line. */
static bool add_expanded(struct names *names, struct span template,
			 struct buf *line)
{
	const struct expand expand = { give_value, names };
	struct fault fault = { 0 };

	if (expand_text(&expand, template, 0, line, &fault) != RC_OK ||
	    line->full) {
		log_warning("reject footer \"%.*s\": %s",
			    SPAN_FMT(span_take(template, 100)),
			    line->full ? "too long" : fault.text);
		return false;
	}
	for (size_t i = 0; i < line->len; i++)
		if ((unsigned char)line->data[i] < ' ')
			line->data[i] = ' ';
	return true;
}

bool footer_add(struct smtpd_session *s, struct span reply, struct buf *out)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct names names = { s, tmp };
	struct span head = span_take(reply, head_size(reply));
	struct span template, part;
	size_t begin = out->len;
	struct buf line;
	bool good = true;

	if (!find_template(s, tmp, reply, &template))
		return false;
	buf_init(&line, tmp, FOOTER_MAX_BYTES);
	buf_add(&line, span_skip(reply, head.len));
	if (span_starts(template, "\\c")) {
		template = span_skip(template, 2);
		good = cut_line(&template, &part) &&
		       add_expanded(&names, part, &line);
	}
	add_line(out, head, buf_span(&line), template.ptr == NULL);
	while (good && cut_line(&template, &part)) {
		buf_clear(&line);
		good = add_expanded(&names, part, &line);
		add_line(out, head, buf_span(&line), template.ptr == NULL);
	}
	if (!good) /* then without it */
		out->len = begin;
	return good;
}
