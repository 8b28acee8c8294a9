/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_gate_load PORT SECONDS CLIENTS FIRST [pause] - SMTP sessions up to
 * RCPT, as many as go: EHLO, MAIL, RCPT, QUIT, each from a client address of
 * its own (127.FIRST.x.y), so that no answer of DNS is known yet. Prints
 * "sessions per second, median and p99 of a session in milliseconds, refused".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CLIENTS_MAX = 1000, TIMES_MAX = 1000000, STEPS = 4 };

static const char *const says[STEPS] = {
	"EHLO client.example\r\n",
	"MAIL FROM:<ann@sender.example>\r\n",
	"RCPT TO:<jo@mx.test>\r\n",
	"QUIT\r\n",
};

struct client {
	int fd, step;
	double begun;
	char line[1024];
	size_t len;
};

static struct client clients[CLIENTS_MAX];
static double times[TIMES_MAX];
static size_t done, refused;
static uint32_t next_address;
static int poller, port;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void begin(struct client *c)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
	int on = 1;

	next_address++;
	from.sin_addr.s_addr = htonl(next_address);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	c->step = 0;
	c->len = 0;
	c->begun = now();
	setsockopt(c->fd, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &on,
		   sizeof(on));
	if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) != 0 ||
	    (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0 &&
	     errno != EINPROGRESS)) {
		perror("connect");
		exit(1);
	}
	epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
}

static void end(struct client *c, bool good)
{
	close(c->fd);
	if (good && done < TIMES_MAX)
		times[done++] = now() - c->begun;
	begin(c);
}

/* The last line of a reply has a blank after its code. */
static void hear(struct client *c)
{
	ssize_t n = recv(c->fd, c->line + c->len, sizeof(c->line) - c->len, 0);
	char *last;

	if (n <= 0) {
		end(c, c->step == STEPS);
		return;
	}
	c->len += (size_t)n;
	if (c->line[c->len - 1] != '\n')
		return;
	c->line[c->len - 1] = '\0';
	last = strrchr(c->line, '\n');
	last = last == NULL ? c->line : last + 1;
	if (strlen(last) < 4 || last[3] != ' ') {
		c->line[c->len - 1] = '\n';
		return;
	}
	refused += last[0] > '3';
	c->len = 0;
	if (c->step == STEPS) {
		end(c, true);
		return;
	}
	if (send(c->fd, says[c->step], strlen(says[c->step]), MSG_NOSIGNAL) < 0)
		end(c, false);
	else
		c->step++;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	struct epoll_event events[256];
	int count, seconds;
	double until, started;

	if (argc != 5)
		return 1;
	port = (int)strtol(argv[1], NULL, 10);
	seconds = (int)strtol(argv[2], NULL, 10);
	count = (int)strtol(argv[3], NULL, 10);
	if (count < 1 || count > CLIENTS_MAX)
		return 1;
	next_address = 0x7f000100U | (uint32_t)strtol(argv[4], NULL, 10) << 16;
	poller = epoll_create1(0);
	for (int i = 0; i < count; i++)
		begin(&clients[i]);
	started = now();
	until = started + seconds;
	while (now() < until) {
		int n = epoll_wait(poller, events, 256, 100);

		for (int i = 0; i < n; i++)
			hear(events[i].data.ptr);
	}
	qsort(times, done, sizeof(times[0]), compare);
	printf("%.1f %.1f %.1f %zu\n", (double)done / seconds,
	       done > 0 ? times[done / 2] * 1000 : 0,
	       done > 0 ? times[done * 99 / 100] * 1000 : 0, refused);
	return 0;
}
