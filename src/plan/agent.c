/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/agent.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utlist.h>

#include "base/clock.h"
#include "queue/wire.h"

enum {
	PAUSE_FIRST_MS = 100,
	PAUSE_MAX_MS = 10000,
	PACKETS_A_ROUND = 64,
	CAPACITY_MAX = 100000,
};

int agent_connect_unix(void *arg, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, error;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(addr.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* One connection. */
struct agent_link {
	struct agent *agent;
	struct agent_link *prev, *next; /* in agent->old */
	int fd;
	uint64_t id;
	struct poller_watch *watch;
};

static int link_done(struct agent_link *link)
{
	TALLOC_FREE(link->watch);
	close(link->fd);
	return 0;
}

/* The link is no longer the one for requests. */
static void agent_detach(struct agent *agent)
{
	poller_timer_clear(agent->setup.poller, &agent->timer);
	agent->link = NULL;
	agent->is_open = false;
}

static void agent_fail(struct agent *agent, const char *why)
{
	struct agent_link *link = agent->link;

	agent_detach(agent);
	talloc_free(link);
	agent->setup.ops->failed(agent, why);
}

static void reconnect_after(struct agent *agent, int pause_ms)
{
	poller_timer_set(agent->setup.poller, &agent->timer,
			 clock_mono_ms() + (uint64_t)pause_ms);
}

/* Lost after it worked: try again soon, but not at once for ever. */
static void link_lost(struct agent_link *link)
{
	struct agent *agent = link->agent;
	uint64_t id = link->id;

	if (link != agent->link) {
		DL_DELETE(agent->old, link);
	} else if (!agent->is_open) {
		agent_fail(agent, "connection closed before the greeting");
		return;
	} else {
		agent_detach(agent);
		agent->pause_ms =
			agent->pause_ms == 0
				? PAUSE_FIRST_MS
				: MIN_OF(agent->pause_ms * 2, PAUSE_MAX_MS);
		reconnect_after(agent, agent->pause_ms);
	}
	talloc_free(link);
	agent->setup.ops->lost(agent, id);
}

static void agent_hello(struct agent *agent, struct packet_in *in)
{
	uint32_t capacity = packet_take_u32(in);

	poller_timer_clear(agent->setup.poller, &agent->timer);
	agent->is_open = true;
	/* 0: the service has no process limit. */
	if (capacity == 0 || capacity > CAPACITY_MAX)
		capacity = CAPACITY_MAX;
	agent->setup.ops->opened(agent, capacity);
}

/* false: none is there, or the connection is gone. */
static bool link_read(struct agent_link *link)
{
	struct agent *agent = link->agent;
	TALLOC_CTX *mem = talloc_new(NULL);
	struct packet_in in;
	struct fault fault;
	enum rc rc = packet_receive(mem, link->fd, &in, &fault);

	if (rc == RC_OK) {
		if (in.fd >= 0)
			close(packet_take_fd(&in));
		if (link != agent->link || agent->is_open) {
			agent->pause_ms = 0;
			agent->setup.ops->packet(agent, &in);
		} else if (in.type == WIRE_AGENT_HELLO) {
			agent_hello(agent, &in);
		}
	}
	talloc_free(mem);
	if (rc != RC_OK && rc != RC_NONE)
		link_lost(link);
	return rc == RC_OK;
}

static void link_ready(void *arg, int fd, uint32_t events)
{
	struct agent_link *link = arg;
	struct agent *agent = link->agent;

	if ((events & EPOLLOUT) != 0 && link == agent->link && agent->is_open) {
		poller_watch_want(link->watch, EPOLLIN);
		agent->setup.ops->writable(agent);
	}
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0)
		return;
	/* A link is freed only when it is read to its end. */
	for (int i = 0; i < PACKETS_A_ROUND; i++)
		if (!link_read(link))
			return;
}

static void agent_connect_now(struct agent *agent)
{
	struct agent_link *link;
	struct fault fault;
	int fd = agent->setup.connect(agent->setup.connect_arg, agent->path);

	if (fd < 0) {
		agent_fail(agent, strerror(errno));
		return;
	}
	link = mem_new(agent, struct agent_link);
	link->agent = agent;
	link->fd = fd;
	link->id = ++agent->link_id;
	talloc_set_destructor(link, link_done);
	agent->link = link;
	if (poller_watch(link, agent->setup.poller, fd, EPOLLIN, link_ready,
			 link, &link->watch, &fault) != RC_OK) {
		agent_fail(agent, fault.text);
		return;
	}
	reconnect_after(agent, agent->setup.hello_ms);
}

static void agent_timer(void *arg)
{
	struct agent *agent = arg;

	if (agent->link == NULL)
		agent_connect_now(agent);
	else
		agent_fail(agent, "no greeting");
}

static int agent_done(struct agent *agent)
{
	poller_timer_clear(agent->setup.poller, &agent->timer);
	return 0;
}

struct agent *agent_new(TALLOC_CTX *mem, const char *path,
			const struct agent_setup *setup)
{
	struct agent *agent = mem_new(mem, struct agent);

	agent->setup = *setup;
	agent->path = mem_strdup(agent, path);
	agent->timer.fired = agent_timer;
	agent->timer.arg = agent;
	talloc_set_destructor(agent, agent_done);
	return agent;
}

void agent_want(struct agent *agent)
{
	if (agent->link == NULL && !poller_timer_is_set(&agent->timer))
		agent_connect_now(agent);
}

enum rc agent_send(struct agent *agent, struct packet_out *out,
		   struct fault *fault)
{
	struct agent_link *link = agent->link;
	enum rc rc;

	if (!agent->is_open)
		return fault_set(fault, RC_TEMP, "4.3.0", "not connected");
	if (out->buf.full)
		return fault_set(fault, RC_PERM, "4.3.0",
				 "the request does not fit in a packet");
	rc = packet_send(link->fd, out, fault);
	if (rc == RC_OK)
		return RC_OK;
	if (rc == RC_NONE) {
		poller_watch_want(link->watch, EPOLLIN | EPOLLOUT);
		return RC_NONE;
	}
	/* It takes no more; what it still has to say is heard. */
	agent_detach(agent);
	poller_watch_want(link->watch, EPOLLIN);
	DL_APPEND(agent->old, link);
	reconnect_after(agent, 0);
	return fault_set(fault, RC_TEMP, "4.3.0", "connection lost");
}
