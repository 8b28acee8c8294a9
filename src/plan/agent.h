/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent - the connection to a delivery agent (or to bounce): made when it is
 * needed, made again with growing pauses when it breaks.
 *
 *   closed ── agent_want ──▶ waiting for hello ── hello ──▶ open ── a send
 *      ▲ ▲                        │ timeout: failed           │ lost   fails
 *      └─┴── pause ◀──────────────┴───────────────────────────┘        │
 *                                       old: only read, until its end ◀┘
 *
 * An agent that ends (a reload) takes no more requests, but what it has begun
 * it finishes and reports: its connection is read to its end while another one
 * is made to the next process.
 *
 * Limits   setup.hello_ms for the greeting: the program may have to be started
 * Owner    a child of mem
 * Threads  the poller's
 */
#pragma once

#include "sys/packet.h"
#include "sys/poller.h"

struct agent;

struct agent_ops {
	/* It may be sent to, `capacity` requests at once. */
	void (*opened)(struct agent *agent, uint32_t capacity);
	/* Not a hello. The fields are freed afterwards. */
	void (*packet)(struct agent *agent, struct packet_in *in);
	/* There is room in the socket again. */
	void (*writable)(struct agent *agent);
	/* A connection that was open is gone, and with it what was sent on it
	 * and not answered. The next one is made by itself. */
	void (*lost)(struct agent *agent, uint64_t link_id);
	/* It could not be reached. Ask again with agent_want, later. */
	void (*failed)(struct agent *agent, const char *why);
};

/* Opens a connection: a non-blocking socket, or -1 with errno. */
typedef int agent_connect_fn(void *arg, const char *path);

struct agent_setup {
	struct poller *poller;
	const struct agent_ops *ops;
	void *owner;
	agent_connect_fn *connect;
	void *connect_arg;
	int hello_ms;
};

struct agent_link;

struct agent {
	struct agent_setup setup;
	const char *path;	 /* "private/smtp" */
	struct agent_link *link; /* that takes requests, or will; NULL: none */
	struct agent_link *old;	 /* only read */
	bool is_open;		 /* link has said hello */
	uint64_t link_id;	 /* of link; remember it with what was sent */
	int pause_ms;
	struct poller_timer timer; /* hello is late, or a pause is over */
};

struct agent *agent_new(TALLOC_CTX *mem, const char *path,
			const struct agent_setup *setup);
/* Connect, if it is neither open nor about to be. */
void agent_want(struct agent *agent);
/* RC_OK; RC_NONE the socket is full (writable will be called); RC_TEMP it takes
 * nothing now (opened will be called); RC_PERM the packet cannot be sent at
 * all. Calls back nothing. */
MUST_CHECK enum rc agent_send(struct agent *agent, struct packet_out *out,
			      struct fault *fault);
int agent_connect_unix(void *arg, const char *path);
