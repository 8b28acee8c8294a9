/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"

enum { PATIENCE_MS = 20 * 1000, LINE_MAX_BYTES = 70000 };

struct fake_server {
	const char *const *scripts;
	int listen_fd, port, stop_fds[2];
	int connections;
	pthread_t thread;
	struct buf heard;
	char trouble[512];
	char line[LINE_MAX_BYTES];
	char in[8192];
	size_t in_at, in_len;
};

static bool line_read(struct fake_server *s, int fd)
{
	size_t len = 0;

	while (len + 1 < sizeof(s->line)) {
		if (s->in_at == s->in_len) {
			ssize_t got = read(fd, s->in, sizeof(s->in));

			if (got <= 0)
				return false;
			s->in_at = 0;
			s->in_len = (size_t)got;
		}
		s->line[len] = s->in[s->in_at++];
		buf_add_char(&s->heard, s->line[len]);
		if (s->line[len++] == '\n')
			break;
	}
	s->line[len] = '\0';
	return true;
}

static bool text_send(int fd, struct span text)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct buf out;
	struct span line;

	buf_init(&out, tmp, 1024 * 1024);
	while (span_cut(&text, '\r', &line))
		buf_addf(&out, "%.*s\r\n", SPAN_FMT(line));
	return send(fd, out.data, out.len, MSG_NOSIGNAL) >= 0;
}

static bool step_run(struct fake_server *s, int fd, const char *step,
		     size_t len)
{
	if (len > 0 && step[0] == '>')
		return text_send(fd, (struct span){step + 2, len - 2});
	if (len > 0 && step[0] == '<') {
		if (!line_read(s, fd) ||
		    strncasecmp(s->line, step + 2, len - 2) != 0) {
			snprintf(s->trouble, sizeof(s->trouble),
				 "wanted \"%.*s\", got \"%.200s\"",
				 (int)len - 2, step + 2, s->line);
			return false;
		}
		return true;
	}
	if (len > 0 && step[0] == '.') {
		do {
			if (!line_read(s, fd)) {
				snprintf(s->trouble, sizeof(s->trouble),
					 "no final dot");
				return false;
			}
		} while (strcmp(s->line, ".\r\n") != 0);
		return true;
	}
	if (len > 0 && step[0] == '?')
		return read(fd, s->in, sizeof(s->in)) > 0;
	while (line_read(s, fd))
		;
	return false;
}

static void connection_run(struct fake_server *s, int fd, const char *script)
{
	const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
	bool more = true;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	s->in_at = s->in_len = 0;
	while (more && *script != '\0') {
		size_t len = strcspn(script, "\n");

		more = step_run(s, fd, script, len);
		script += len + (script[len] == '\n');
	}
	/* What the client still sends must not make a reset of our close. */
	shutdown(fd, SHUT_WR);
	while (more && line_read(s, fd))
		;
	close(fd);
}

static void *server_run(void *arg)
{
	struct fake_server *s = arg;

	for (; s->scripts[s->connections] != NULL; s->connections++) {
		struct pollfd fds[] = {{s->listen_fd, POLLIN, 0},
				       {s->stop_fds[0], POLLIN, 0}};
		int fd;

		if (poll(fds, 2, PATIENCE_MS) <= 0 || fds[0].revents == 0)
			break;
		fd = accept(s->listen_fd, NULL, NULL);
		if (fd < 0)
			break;
		connection_run(s, fd, s->scripts[s->connections]);
	}
	return NULL;
}

struct fake_server *fake_server_start(const char *const *scripts)
{
	struct fake_server *s = mem_new(NULL, struct fake_server);
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t size = sizeof(address);

	s->scripts = scripts;
	buf_init(&s->heard, s, 8 * 1024 * 1024);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(
	    bind(s->listen_fd, (struct sockaddr *)&address, sizeof(address)),
	    0);
	assert_int_equal(listen(s->listen_fd, 10), 0);
	assert_int_equal(
	    getsockname(s->listen_fd, (struct sockaddr *)&address, &size), 0);
	s->port = ntohs(address.sin_port);
	assert_int_equal(pipe(s->stop_fds), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, server_run, s), 0);
	return s;
}

int fake_server_port(const struct fake_server *s)
{
	return s->port;
}

const char *fake_server_stop(struct fake_server *s)
{
	close(s->stop_fds[1]);
	pthread_join(s->thread, NULL);
	close(s->stop_fds[0]);
	close(s->listen_fd);
	return s->trouble;
}

const char *fake_server_heard(const struct fake_server *s)
{
	return buf_text(&s->heard);
}

int fake_server_connections(const struct fake_server *s)
{
	return s->connections;
}
