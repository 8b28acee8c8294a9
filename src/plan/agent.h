/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent - the one connection to a delivery agent (or to bounce): made when it
 * is needed, made again with growing pauses when it breaks.
 *
 *   closed ── agent_want ──▶ waiting for hello ── hello ──▶ open
 *      ▲ ▲                        │ timeout: failed           │ lost
 *      └─┴── pause ◀──────────────┴───────────────────────────┘
 *
 * Limits   agent_hello_ms for the greeting: the program may have to be started
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
	/* It was open and is gone; it connects again by itself when wanted. */
	void (*lost)(struct agent *agent);
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

struct agent {
	struct agent_setup setup;
	const char *path; /* "private/smtp" */
	int fd;		  /* -1: closed */
	bool is_open;	  /* the hello has come */
	bool is_broken;	  /* noticed while sending; closed by the next call */
	int pause_ms;
	struct poller_watch *watch;
	struct poller_timer timer; /* hello is late, or a pause is over */
	TALLOC_CTX *scratch;	   /* a packet's, while it is handled */
};

struct agent *agent_new(TALLOC_CTX *mem, const char *path,
			const struct agent_setup *setup);
/* Connect, if it is neither open nor about to be. */
void agent_want(struct agent *agent);
/* RC_OK; RC_NONE the socket is full (writable will be called); RC_TEMP it is
 * broken (lost will be called, not from in here); RC_PERM the packet cannot be
 * sent at all. */
MUST_CHECK enum rc agent_send(struct agent *agent, struct packet_out *out,
			      struct fault *fault);
int agent_connect_unix(void *arg, const char *path);
