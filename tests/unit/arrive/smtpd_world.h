/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smtpd_world - an SMTP server without a queue: the session at one end of a
 * socket pair, the test at the other, and a cleanup that only remembers.
 */
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include "../rule/world.h"
#include "arrive/smtpd/session.h"

/* What the last message was made of. The functions of rule/cleanup.h are
 * replaced by these. */
struct cleanup {
	struct smtpd_world *world;
	char id[24];
	bool in_body, discard;
};

struct smtpd_world {
	struct world *w;
	struct smtpd_server *server;
	struct worker worker;
	struct smtpd_session *session; /* NULL: it has ended */
	int client_fd;
	enum workers_next next;
	struct buf said; /* by the server, not looked at yet */
	/* remembered */
	struct buf content;
	char sender[200];
	char recipients[400]; /* "a@b c@d " */
	int begun, finished;
	bool held;
	uint8_t notify;
	int origin_flags;
	/* What cleanup is to answer. */
	enum rc fail_begin, fail_finish;
	const char *fail_dsn, *fail_text;
};

/* The one world of the test that runs. */
static struct smtpd_world *the_world;

enum rc cleanup_begin(TALLOC_CTX *mem, struct cleanup_service *service,
		      const struct cleanup_origin *origin,
		      struct cleanup **ret_cleanup, struct fault *fault)
{
	struct smtpd_world *sw = the_world;
	struct cleanup *c;

	if (sw->fail_begin != RC_OK)
		return fault_set(fault, sw->fail_begin, sw->fail_dsn, "%s",
				 sw->fail_text);
	c = mem_new(mem, struct cleanup);
	c->world = sw;
	snprintf(c->id, sizeof(c->id), "ID%d", ++sw->begun);
	buf_clear(&sw->content);
	sw->recipients[0] = sw->sender[0] = '\0';
	sw->origin_flags = origin->flags;
	*ret_cleanup = c;
	return RC_OK;
}

const char *cleanup_queue_id(const struct cleanup *c)
{
	return c->id;
}

enum rc cleanup_sender(struct cleanup *c, struct span address,
		       struct fault *fault)
{
	snprintf(c->world->sender, sizeof(c->world->sender), "%.*s",
		 SPAN_FMT(address));
	return RC_OK;
}

enum rc cleanup_recipient(struct cleanup *c, struct span address,
			  struct span original, const char *dsn_orcpt,
			  uint8_t notify, struct fault *fault)
{
	size_t len = strlen(c->world->recipients);

	snprintf(c->world->recipients + len, sizeof(c->world->recipients) - len,
		 "%.*s ", SPAN_FMT(address));
	c->world->notify = notify;
	return RC_OK;
}

void cleanup_received(struct cleanup *c, const char *received)
{
	buf_add_text(&c->world->content, received);
}

void cleanup_prepend(struct cleanup *c, const char *field)
{
	buf_add_text(&c->world->content, field);
	buf_add_text(&c->world->content, "\r\n");
}

void cleanup_act(struct cleanup *c, const char *filter, const char *redirect,
		 bool hold, bool discard)
{
	c->world->held = hold;
	c->discard = discard;
}

enum rc cleanup_line(struct cleanup *c, struct span line, bool partial)
{
	buf_add(&c->world->content, line);
	if (!partial)
		buf_add_text(&c->world->content, "\r\n");
	c->in_body |= line.len == 0;
	return RC_OK;
}

bool cleanup_in_body(const struct cleanup *c)
{
	return c->in_body;
}

enum rc cleanup_body(struct cleanup *c, struct span crlf_lines)
{
	assert_true(span_ends(crlf_lines, "\r\n"));
	buf_add(&c->world->content, crlf_lines);
	return RC_OK;
}

enum rc cleanup_finish(struct cleanup *c, bool *ret_discarded,
		       struct fault *fault)
{
	struct smtpd_world *sw = c->world;

	if (sw->fail_finish != RC_OK)
		return fault_set(fault, sw->fail_finish, sw->fail_dsn, "%s",
				 sw->fail_text);
	*ret_discarded = c->discard;
	sw->finished += !c->discard;
	return RC_OK;
}

static inline struct smtpd_world *smtpd_world_new(const char *main_cf)
{
	struct smtpd_world *sw = mem_new(NULL, struct smtpd_world);
	struct recipient_lists *recipients;
	struct resolver *resolver;
	struct fault fault = { 0 };

	the_world = sw;
	sw->w = world_new(main_cf, "");
	sw->server = mem_new(sw, struct smtpd_server);
	sw->server->conf = sw->w->conf;
	sw->server->service_name = "smtp";
	sw->worker.mem = sw;
	sw->worker.local = smtpd_thread_new(sw);
	buf_init(&sw->said, sw, 1024 * 1024);
	buf_init(&sw->content, sw, 16 * 1024 * 1024);
	if (resolver_open(sw, sw->w->conf, &resolver, &fault) != RC_OK ||
	    recipient_lists_open(sw, sw->w->conf, resolver, &recipients,
				 &fault) != RC_OK ||
	    restrictions_open(sw, sw->w->conf, resolver, recipients,
			      &sw->server->restrictions, &fault) != RC_OK ||
	    smtpd_server_configure(sw->server, &fault) != RC_OK)
		fail_msg("%s", fault.text);
	sw->client_fd = -1;
	return sw;
}

/* Everything the server has to say now. */
static inline void smtpd_world_listen(struct smtpd_world *sw)
{
	char bytes[4096];
	ssize_t n;

	while ((n = recv(sw->client_fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		assert_true(buf_add(&sw->said,
				    (struct span){ bytes, (size_t)n }));
}

static inline void smtpd_world_run(struct smtpd_world *sw, unsigned woke)
{
	if (sw->session == NULL)
		return;
	sw->next = smtpd_session_run(&sw->session->ws, &sw->worker, woke);
	if (sw->next == WORKERS_END)
		sw->session = NULL;
	smtpd_world_listen(sw);
}

static inline void smtpd_world_connect(struct smtpd_world *sw)
{
	struct net_address peer;
	int fds[2];

	assert_true(net_address_parse(SPAN_OF("192.0.2.9"), &peer));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	sw->client_fd = fds[0];
	sw->session = smtpd_session_new(sw->server, fds[1], &peer);
	smtpd_world_run(sw, WORKERS_NEW);
}

/* Run as long as there is something to read; sleeps are over at once. */
static inline void smtpd_world_settle(struct smtpd_world *sw)
{
	while (sw->session != NULL) {
		struct pollfd input = { .fd = sw->session->ws.fd,
					.events = POLLIN };

		if (sw->next == WORKERS_SLEEP)
			smtpd_world_run(sw, WORKERS_DEADLINE);
		else if (poll(&input, 1, 0) > 0)
			smtpd_world_run(sw, WORKERS_READY);
		else
			return;
	}
}

static inline void smtpd_world_send(struct smtpd_world *sw, struct span bytes)
{
	while (bytes.len > 0) {
		size_t part = MIN_OF(bytes.len, (size_t)32 * 1024);
		ssize_t n = send(sw->client_fd, bytes.ptr, part, MSG_NOSIGNAL);

		if (n < 0)
			return; /* it has closed */
		bytes = span_skip(bytes, (size_t)n);
		smtpd_world_settle(sw);
	}
}

/* What was said since, line ends as "\n", must match: '*' stands for anything
 * up to the next line. */
static inline bool smtpd_world_matches(const char *text, const char *pattern)
{
	for (; *pattern != '\0'; pattern++) {
		if (*pattern == '*') {
			while (*text != '\0' && *text != '\n')
				text++;
			continue;
		}
		if (*text != *pattern)
			return false;
		text++;
	}
	return *text == '\0';
}

static inline void smtpd_world_expect(struct smtpd_world *sw,
				      const char *pattern)
{
	struct span rest = buf_span(&sw->said);
	struct buf text;

	buf_init(&text, sw, 1024 * 1024);
	for (size_t i = 0; i < rest.len; i++)
		if (rest.ptr[i] != '\r')
			buf_add_char(&text, rest.ptr[i]);
	if (!smtpd_world_matches(buf_text(&text), pattern))
		fail_msg("said: %swanted: %s", buf_text(&text), pattern);
	buf_clear(&sw->said);
	buf_done(&text);
}

/* Send a text and look at all the replies. */
static inline void smtpd_world_talk(struct smtpd_world *sw, const char *send,
				    const char *pattern)
{
	smtpd_world_send(sw, span_from(send));
	smtpd_world_expect(sw, pattern);
}

static inline void smtpd_world_hang_up(struct smtpd_world *sw)
{
	if (sw->client_fd >= 0)
		close(sw->client_fd);
	sw->client_fd = -1;
	smtpd_world_settle(sw);
	assert_null(sw->session);
	buf_clear(&sw->said);
}

static inline void smtpd_world_free(struct smtpd_world *sw)
{
	struct world *w = sw->w;

	if (sw->session != NULL)
		smtpd_world_hang_up(sw);
	if (sw->client_fd >= 0)
		close(sw->client_fd);
	talloc_free(sw);
	world_free(w);
}
