/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/proxy.h"

#include "arrive/smtpd/session.h"
#include "mail/smtp_command.h"
#include "mail/smtp_reply.h"
#include "net/endpoint.h"
#include "sys/log.h"

struct proxy {
	struct net_stream *stream;
	bool xforward;
	bool broken;	 /* no more is said to it */
	bool in_line;	 /* content: the last piece was a part of a line */
	bool in_content; /* it waits for the end: QUIT would be content */
};

static int proxy_close(struct proxy *proxy)
{
	struct fault fault;

	if (!proxy->broken && !proxy->in_content &&
	    net_stream_writef(proxy->stream, &fault, "QUIT\r\n") == RC_OK)
		(void)!net_stream_flush(proxy->stream, &fault);
	return 0;
}

static void log_trouble(const struct smtpd_session *s, const char *what,
			const struct fault *fault)
{
	log_warning("%s proxy filter %s: %s", what,
		    s->server->conf->v.smtpd_proxy_filter, fault->text);
}

/* One reply of the filter; NULL: none came. */
static struct smtp_reply *read_reply(struct smtpd_session *s,
				     struct proxy *proxy, TALLOC_CTX *mem)
{
	struct smtp_reply *reply;
	struct fault fault = { 0 };
	struct span line, rest;
	struct buf all;
	enum rc rc = RC_NONE;

	buf_init(&all, mem, (size_t)64 * 1024);
	while (rc == RC_NONE) {
		if (net_stream_read_line(proxy->stream,
					 SMTP_REPLY_LINE_MAX_BYTES, &line,
					 &fault) != RC_OK)
			break;
		buf_add(&all, line);
		buf_add_text(&all, "\r\n");
		rest = buf_span(&all);
		rc = all.full ? RC_PERM
			      : smtp_reply_parse(mem, &rest, &reply, &fault);
	}
	if (rc == RC_OK)
		return reply;
	log_trouble(s, "lost connection with", &fault);
	proxy->broken = true;
	return NULL;
}

/* Say it and hear the answer; NULL: the filter is gone. */
static struct smtp_reply *ask(struct smtpd_session *s, struct proxy *proxy,
			      TALLOC_CTX *mem, struct span line)
{
	struct fault fault = { 0 };

	if (!proxy->broken &&
	    net_stream_writef(proxy->stream, &fault, "%.*s\r\n",
			      SPAN_FMT(line)) == RC_OK &&
	    net_stream_flush(proxy->stream, &fault) == RC_OK)
		return read_reply(s, proxy, mem);
	if (!proxy->broken)
		log_trouble(s, "lost connection with", &fault);
	proxy->broken = true;
	return NULL;
}

static void say_broken(struct smtpd_session *s)
{
	session_reply(s, "451 4.3.0 Error: queue file write error");
}

/* What the filter says, to the client. */
static void relay(struct smtpd_session *s, const struct smtp_reply *reply)
{
	struct buf text;

	buf_init(&text, s, SMTPD_OUTPUT_BYTES / 4);
	for (size_t i = 0; i < reply->line_count; i++) {
		if (i > 0)
			buf_add_text(&text, "\r\n");
		buf_add(&text, reply->lines[i]);
	}
	session_reply(s, "%s", buf_text(&text));
	buf_done(&text);
}

/* An answer that is not `class` (2 or 3) is logged, and relayed. */
static bool is_good(struct smtpd_session *s, TALLOC_CTX *tmp,
		    const struct smtp_reply *reply, struct span line, int class)
{
	if (reply == NULL) {
		say_broken(s);
		return false;
	}
	if (reply->code / 100 == class)
		return true;
	log_warning("proxy %s rejected \"%.*s\": \"%s\"",
		    s->server->conf->v.smtpd_proxy_filter,
		    SPAN_FMT(span_take(line, 100)),
		    smtp_reply_text(tmp, reply, 500));
	relay(s, reply);
	return false;
}

/* ---- the beginning ---- */

static void note_keywords(struct proxy *proxy, const struct smtp_reply *reply)
{
	for (size_t i = 1; i < reply->line_count; i++) {
		struct span rest = smtp_reply_line(reply, i), word;

		if (span_token(&rest, " ", &word))
			proxy->xforward |= span_is_nocase(word, "XFORWARD");
	}
}

static bool greet(struct smtpd_session *s, struct proxy *proxy, TALLOC_CTX *tmp)
{
	const char *name = s->server->conf->v.smtpd_proxy_ehlo;
	struct smtp_reply *reply = read_reply(s, proxy, tmp);

	if (reply == NULL || reply->code / 100 != 2)
		return false;
	reply = ask(s, proxy, tmp, span_from(mem_printf(tmp, "EHLO %s", name)));
	if (reply != NULL && reply->code / 100 == 2) {
		note_keywords(proxy, reply);
		return true;
	}
	reply = ask(s, proxy, tmp, span_from(mem_printf(tmp, "HELO %s", name)));
	return reply != NULL && reply->code / 100 == 2;
}

static void add_attribute(struct buf *line, const char *name, const char *value)
{
	buf_addf(line, " %s=", name);
	if (value == NULL || span_is(span_from(value), "unknown"))
		buf_add_text(line, "[UNAVAILABLE]");
	else
		xtext_encode_add(line, span_from(value));
}

/* "IPV6:2001:db8::1" */
static const char *mail_address(TALLOC_CTX *tmp, const char *address)
{
	if (address == NULL || strchr(address, ':') == NULL)
		return address;
	return mem_printf(tmp, "IPV6:%s", address);
}

static void say_forward(struct smtpd_session *s, struct proxy *proxy,
			TALLOC_CTX *tmp)
{
	const struct session_forward *f = s->forward;
	bool other = f != NULL && f->has_client;
	struct buf line;

	if (!proxy->xforward)
		return;
	buf_init(&line, tmp, 8192);
	buf_add_text(&line, "XFORWARD");
	add_attribute(&line, "NAME", other ? f->name : s->client_name);
	add_attribute(
		&line, "ADDR",
		mail_address(tmp, other ? f->address : s->client_address));
	add_attribute(&line, "PORT", other ? f->port : s->client_port);
	add_attribute(&line, "HELO", other ? f->helo : s->helo);
	add_attribute(&line, "IDENT", f != NULL ? f->ident : NULL);
	add_attribute(&line, "PROTO",
		      other ? f->proto : (s->esmtp ? "ESMTP" : "SMTP"));
	add_attribute(&line, "SOURCE", s->is_local ? "LOCAL" : "REMOTE");
	/* without it the message is not worse, only the logs are */
	(void)ask(s, proxy, tmp, buf_span(&line));
}

/* Up to MAIL. NULL: the reply is made. */
static struct proxy *begin(struct smtpd_session *s, TALLOC_CTX *tmp)
{
	struct smtpd_transaction *t = s->transaction;
	struct proxy *proxy = mem_new(t, struct proxy);
	struct fault fault = { 0 };
	struct span mail;

	if (net_endpoint_connect(proxy, s->server->proxy, &proxy->stream,
				 &fault) != RC_OK) {
		log_warning("connect to proxy filter %s",
			    fault.text); /* has the address */
		talloc_free(proxy);
		say_broken(s);
		return NULL;
	}
	talloc_set_destructor(proxy, proxy_close);
	if (!greet(s, proxy, tmp)) {
		talloc_free(proxy);
		say_broken(s);
		return NULL;
	}
	say_forward(s, proxy, tmp);
	mail = span_from(mem_printf(tmp, "MAIL %s", t->mail_args));
	if (is_good(s, tmp, ask(s, proxy, tmp, mail), mail, 2))
		return proxy;
	talloc_free(proxy);
	return NULL;
}

bool proxy_recipient(struct smtpd_session *s, struct span args)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct smtpd_transaction *t = s->transaction;
	struct span line;

	if (t->proxy == NULL) {
		t->proxy = begin(s, tmp);
		if (t->proxy == NULL)
			return false;
		log_info("NOQUEUE: client=%s", s->client_text);
	}
	line = span_from(mem_printf(tmp, "RCPT %.*s", SPAN_FMT(args)));
	return is_good(s, tmp, ask(s, t->proxy, tmp, line), line, 2);
}

/* ---- the content ---- */

bool proxy_data(struct smtpd_session *s)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct proxy *proxy = s->transaction->proxy;
	struct span line = SPAN_OF("DATA");

	if (!is_good(s, tmp, ask(s, proxy, tmp, line), line, 3))
		return false;
	proxy->in_content = true;
	return true;
}

static void put(struct proxy *proxy, struct span bytes)
{
	struct fault fault;

	if (!proxy->broken)
		proxy->broken =
			net_stream_write(proxy->stream, bytes, &fault) != RC_OK;
}

void proxy_text(struct proxy *proxy, struct span lines)
{
	while (lines.len > 0) {
		ssize_t lf = span_find(lines, '\n');
		size_t size = lf < 0 ? lines.len : (size_t)lf + 1;

		if (lines.ptr[0] == '.')
			put(proxy, SPAN_OF("."));
		put(proxy, span_take(lines, size));
		lines = span_skip(lines, size);
	}
}

void proxy_content(struct proxy *proxy, enum content_kind kind,
		   struct span bytes)
{
	if (kind == CONTENT_LINES) {
		proxy_text(proxy, bytes);
		return;
	}
	if (!proxy->in_line && span_starts(bytes, "."))
		put(proxy, SPAN_OF("."));
	put(proxy, bytes);
	proxy->in_line = kind == CONTENT_PART;
	if (!proxy->in_line)
		put(proxy, SPAN_OF("\r\n"));
}

bool proxy_finish(struct smtpd_session *s)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct proxy *proxy = s->transaction->proxy;
	struct smtp_reply *reply = ask(s, proxy, tmp, SPAN_OF("."));
	bool good = reply != NULL && reply->code / 100 == 2;

	proxy->in_content = false;
	if (reply == NULL) {
		say_broken(s);
		return false;
	}
	session_log_proxy(s, good, smtp_reply_text(tmp, reply, 500));
	relay(s, reply);
	return good;
}
