/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/agent.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

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

static void agent_close(struct agent *agent)
{
	TALLOC_FREE(agent->watch);
	poller_timer_clear(agent->setup.poller, &agent->timer);
	if (agent->fd >= 0)
		close(agent->fd);
	agent->fd = -1;
	agent->is_open = agent->is_broken = false;
}

static void agent_fail(struct agent *agent, const char *why)
{
	agent_close(agent);
	agent->setup.ops->failed(agent, why);
}

/* Lost after it worked: try again soon, but not at once for ever. */
static void agent_lose(struct agent *agent)
{
	bool was_open = agent->is_open;

	agent_close(agent);
	if (!was_open) {
		agent_fail(agent, "connection closed before the greeting");
		return;
	}
	agent->pause_ms = agent->pause_ms == 0
				  ? PAUSE_FIRST_MS
				  : MIN_OF(agent->pause_ms * 2, PAUSE_MAX_MS);
	poller_timer_set(agent->setup.poller, &agent->timer,
			 clock_mono_ms() + (uint64_t)agent->pause_ms);
	agent->setup.ops->lost(agent);
}

static void agent_connect_now(struct agent *agent);

static void agent_timer(void *arg)
{
	struct agent *agent = arg;

	if (agent->fd < 0) {
		agent_connect_now(agent);
		return;
	}
	if (agent->is_broken) {
		agent_lose(agent);
		return;
	}
	agent_fail(agent, "no greeting");
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

/* false: the connection is gone. */
static bool agent_read(struct agent *agent)
{
	TALLOC_CTX *mem = talloc_new(agent);
	struct packet_in in;
	struct fault fault;
	enum rc rc;

	rc = packet_receive(mem, agent->fd, &in, &fault);
	if (rc != RC_OK) {
		talloc_free(mem);
		if (rc != RC_NONE)
			agent_lose(agent);
		return false;
	}
	if (in.fd >= 0)
		close(packet_take_fd(&in));
	if (!agent->is_open && in.type == WIRE_AGENT_HELLO) {
		agent_hello(agent, &in);
	} else if (agent->is_open) {
		agent->pause_ms = 0;
		agent->setup.ops->packet(agent, &in);
	}
	talloc_free(mem);
	return agent->fd >= 0;
}

static void agent_ready(void *arg, int fd, uint32_t events)
{
	struct agent *agent = arg;

	if ((events & EPOLLOUT) != 0 && agent->is_open) {
		poller_watch_want(agent->watch, EPOLLIN);
		agent->setup.ops->writable(agent);
	}
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0)
		return;
	for (int i = 0; i < PACKETS_A_ROUND && agent->fd == fd; i++)
		if (!agent_read(agent))
			break;
}

static void agent_connect_now(struct agent *agent)
{
	struct fault fault;

	agent->fd = agent->setup.connect(agent->setup.connect_arg, agent->path);
	if (agent->fd < 0) {
		agent_fail(agent, strerror(errno));
		return;
	}
	if (poller_watch(agent, agent->setup.poller, agent->fd, EPOLLIN,
			 agent_ready, agent, &agent->watch, &fault) != RC_OK) {
		agent_fail(agent, fault.text);
		return;
	}
	poller_timer_set(agent->setup.poller, &agent->timer,
			 clock_mono_ms() + (uint64_t)agent->setup.hello_ms);
}

static int agent_done(struct agent *agent)
{
	agent_close(agent);
	return 0;
}

struct agent *agent_new(TALLOC_CTX *mem, const char *path,
			const struct agent_setup *setup)
{
	struct agent *agent = mem_new(mem, struct agent);

	agent->setup = *setup;
	agent->path = mem_strdup(agent, path);
	agent->fd = -1;
	agent->timer.fired = agent_timer;
	agent->timer.arg = agent;
	talloc_set_destructor(agent, agent_done);
	return agent;
}

void agent_want(struct agent *agent)
{
	if (agent->fd < 0 && !poller_timer_is_set(&agent->timer))
		agent_connect_now(agent);
}

enum rc agent_send(struct agent *agent, struct packet_out *out,
		   struct fault *fault)
{
	enum rc rc;

	if (!agent->is_open || agent->is_broken)
		return fault_set(fault, RC_TEMP, "4.3.0", "not connected");
	if (out->buf.full)
		return fault_set(fault, RC_PERM, "4.3.0",
				 "the request does not fit in a packet");
	rc = packet_send(agent->fd, out, fault);
	if (rc == RC_OK)
		return RC_OK;
	if (rc == RC_NONE) {
		poller_watch_want(agent->watch, EPOLLIN | EPOLLOUT);
		return RC_NONE;
	}
	/* Not from in here: the caller is in the middle of something. */
	agent->is_broken = true;
	poller_timer_set(agent->setup.poller, &agent->timer, 0);
	return fault_set(fault, RC_TEMP, "4.3.0", "connection lost");
}
