/* SPDX-License-Identifier: Apache-2.0 */
/* A server of tables inside the test: tcp, socketmap, memcache or redis. What
 * it answers depends on the key. */
#pragma once

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "net/stream.h"

enum fake_kind { FAKE_TCP, FAKE_SOCKETMAP, FAKE_MEMCACHE, FAKE_REDIS, FAKES };

enum { FAKE_CLIENTS_MAX = 256, FAKE_SLOW_MS = 3000 };

struct fake {
	enum fake_kind kind;
	uint16_t port;
	int listen_fd;
	pthread_t acceptor;
	pthread_t clients[FAKE_CLIENTS_MAX];
	_Atomic int fds[FAKE_CLIENTS_MAX];
	_Atomic int count;
	_Atomic bool stopping;
};

struct fake_client {
	struct fake *fake;
	int index;
};

static const struct {
	const char *key, *replies[FAKES]; /* NULL: close */
} fake_answers[] = {
	{ "alpha",
	  { "200 one\n", "6:OK one,", "VALUE alpha 0 3\r\none\r\nEND\r\n",
	    "$3\r\none\r\n" } },
	{ "blank",
	  { "200 a%20%25%0a\n", "7:OK a %\n,",
	    "VALUE blank 0 4\r\na %\n\r\nEND\r\n", "$4\r\na %\n\r\n" } },
	{ "temp",
	  { "400 try%20later\n", "8:TEMP why,", "SERVER_ERROR why\r\n",
	    "-ERR why\r\n" } },
	{ "timeout",
	  { "400 \n", "11:TIMEOUT why,", "ERROR\r\n", "-BUSY x\r\n" } },
	{ "perm",
	  { "300 what\n", "8:PERM why,", "CLIENT_ERROR why\r\n",
	    "-WRONGTYPE x\r\n" } },
	{ "garbage", { "what\n", "what", "what\r\n", "what\r\n" } },
	{ "number", { "200\n", "3:OK ;", "VALUE number 0 x\r\n", "$x\r\n" } },
	{ "other",
	  { "200 %zz\n", "6:ok one,", "VALUE another 0 3\r\none\r\nEND\r\n",
	    "*1\r\n$1\r\na\r\n" } },
	{ "long",
	  { NULL, "100001:OK xxx", "VALUE long 0 10241\r\nxxx",
	    "$102401\r\nx" } },
	{ "cut", { "200 on", "6:OK on", "VALUE cut 0 3\r\non", "$3\r\non" } },
	{ "close", { NULL, NULL, NULL, NULL } },
};

/* "get KEY" */
static inline bool fake_read_line_key(struct net_stream *stream, char *key,
				      size_t size)
{
	struct span line;

	if (net_stream_read_line(stream, 4096, &line, NULL) != RC_OK)
		return false;
	line = span_skip(line, strlen("get "));
	snprintf(key, size, "%.*s", SPAN_FMT(line));
	return true;
}

static inline bool fake_read_netstring_key(struct net_stream *stream, char *key,
					   size_t size)
{
	char text[256], c = '\0';
	size_t len = 0;

	while (c != ':') {
		if (net_stream_read(stream, &c, 1, NULL) != RC_OK)
			return false;
		if (c != ':')
			len = 10 * len + (size_t)(c - '0');
	}
	if (len >= sizeof(text) ||
	    net_stream_read(stream, text, len + 1, NULL) != RC_OK)
		return false;
	assert_int_equal(text[len], ',');
	text[len] = '\0';
	for (size_t i = 0; i < len; i++)
		if (text[i] == '\0')
			text[i] = '?';
	snprintf(key, size, "%s", text + strlen("name "));
	return true;
}

/* "*2 $3 GET $5 KEY", a line each */
static inline bool fake_read_resp_key(struct net_stream *stream, char *key,
				      size_t size)
{
	for (int i = 0; i < 5; i++) {
		struct span line;

		if (net_stream_read_line(stream, 4096, &line, NULL) != RC_OK)
			return false;
		snprintf(key, size, "%.*s", SPAN_FMT(line));
	}
	return true;
}

static inline bool fake_read_key(struct fake *fake, struct net_stream *stream,
				 char *key, size_t size)
{
	if (fake->kind == FAKE_SOCKETMAP)
		return fake_read_netstring_key(stream, key, size);
	if (fake->kind == FAKE_REDIS)
		return fake_read_resp_key(stream, key, size);
	return fake_read_line_key(stream, key, size);
}

/* false: close the connection */
static inline bool fake_answer(struct fake *fake, struct net_stream *stream,
			       const char *key)
{
	static const char *const none[] = { "500 none\n", "9:NOTFOUND ,",
					    "END\r\n", "$-1\r\n" };
	const char *reply = none[fake->kind];

	if (strcmp(key, "slow") == 0) {
		for (int i = 0; i < FAKE_SLOW_MS / 10 && !fake->stopping; i++)
			nanosleep(&(struct timespec){ .tv_nsec = 10000000 },
				  NULL);
		return false;
	}
	if (strcmp(key, "long") == 0 && fake->kind == FAKE_TCP) {
		for (int i = 0; i < 5000; i++)
			(void)!net_stream_writef(stream, NULL, "2");
		reply = "\n";
	}
	for (size_t i = 0; i < ARRAY_LEN(fake_answers); i++)
		if (strcmp(key, fake_answers[i].key) == 0 && reply[0] != '\n')
			reply = fake_answers[i].replies[fake->kind];
	if (reply == NULL ||
	    net_stream_write(stream, span_from(reply), NULL) != RC_OK)
		return false;
	return net_stream_flush(stream, NULL) == RC_OK &&
	       strcmp(key, "cut") != 0;
}

static inline void *fake_serve(void *arg)
{
	struct fake_client *client = arg;
	struct fake *fake = client->fake;
	struct net_stream *stream =
		net_stream_new(NULL, fake->fds[client->index]);
	char key[256];

	while (fake_read_key(fake, stream, key, sizeof(key)) &&
	       fake_answer(fake, stream, key))
		;
	fake->fds[client->index] = -1;
	talloc_free(stream);
	free(client);
	return NULL;
}

static inline void *fake_accept(void *arg)
{
	struct fake *fake = arg;

	for (;;) {
		struct fake_client *client;
		int fd = accept4(fake->listen_fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			return NULL;
		assert_true(fake->count < FAKE_CLIENTS_MAX);
		client = malloc(sizeof(*client));
		client->fake = fake;
		client->index = fake->count;
		fake->fds[fake->count] = fd;
		pthread_create(&fake->clients[fake->count], NULL, fake_serve,
			       client);
		fake->count++;
	}
}

/* port 0: any; the same port again after fake_stop. */
static inline struct fake *fake_start(enum fake_kind kind, uint16_t port)
{
	struct fake *fake = mem_new(NULL, struct fake);
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(port) };
	socklen_t size = sizeof(address);
	const int on = 1;

	fake->kind = kind;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fake->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fake->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fake->listen_fd, (struct sockaddr *)&address,
			      sizeof(address)),
			 0);
	assert_int_equal(listen(fake->listen_fd, 128), 0);
	getsockname(fake->listen_fd, (struct sockaddr *)&address, &size);
	fake->port = ntohs(address.sin_port);
	pthread_create(&fake->acceptor, NULL, fake_accept, fake);
	return fake;
}

/* The connections are closed in the middle of whatever they do. */
static inline void fake_stop(struct fake *fake)
{
	fake->stopping = true;
	shutdown(fake->listen_fd, SHUT_RDWR);
	pthread_join(fake->acceptor, NULL);
	close(fake->listen_fd);
	for (int i = 0; i < fake->count; i++) {
		int fd = fake->fds[i];

		if (fd >= 0)
			shutdown(fd, SHUT_RDWR);
		pthread_join(fake->clients[i], NULL);
	}
	talloc_free(fake);
}

/* The table at that server. */
static inline char *fake_table(struct world *w, enum fake_kind kind, int port)
{
	static const char *const names[] = { "tcp", "socketmap", "memcache",
					     "redis" };
	char *file = mem_printf(w, "%s%d.cf", names[kind], port);

	if (kind == FAKE_TCP)
		return mem_printf(w, "tcp:127.0.0.1:%d", port);
	if (kind == FAKE_SOCKETMAP)
		return mem_printf(w, "socketmap:inet:127.0.0.1:%d:name", port);
	world_write(w, file,
		    span_from(mem_printf(
			    w, "%s = inet:127.0.0.1:%d\ntimeout = 1\n%s",
			    kind == FAKE_REDIS ? "hosts" : "memcache", port,
			    kind == FAKE_REDIS ? "" : "retry_pause = 0\n")));
	return mem_printf(w, "%s:%s", names[kind], world_path(w, file));
}
