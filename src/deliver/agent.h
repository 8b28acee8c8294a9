/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent - what all delivery agents are made of: takes requests of qmgr, has
 * them worked on by threads, reports.
 *
 * How      the threads wait in one receive on qmgr's connection: a request
 *          wakes exactly one of them, and nothing stands between. A thread that
 *          takes a request while no other waits starts one more, up to the
 *          capacity; threads that find nothing to do for a minute end, but one.
 * Threads  `deliver` runs on many threads at once; `tick` on the main thread
 * See      queue/wire.h, conf/service.h
 */
#pragma once

#include "conf/service.h"
#include "deliver/delivery.h"

struct agent_work {
	/* Settle every recipient; what is left open is deferred. */
	void (*deliver)(void *arg, struct delivery *delivery);
	/* About every second while agent_wake was called since; NULL allowed.
	 * true: call again in a second. */
	bool (*tick)(void *arg);
	void *arg;
};

struct agent;

/* Before service_confine: opens the status filter table. */
MUST_CHECK enum rc agent_open(struct service *service,
			      const struct agent_work *work,
			      struct agent **ret_agent, struct fault *fault);
/* Ask for ticks; cheap when they are on already. Any thread. */
void agent_wake(struct agent *agent);
/* Says it is ready and works until told to drain; then everything begun is
 * finished. Returns the exit status. */
int agent_run(struct agent *agent);
