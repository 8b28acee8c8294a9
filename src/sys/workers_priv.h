/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workers_priv - how sessions are kept.
 *
 * A slot is a session's place, named by its number and generation: what epoll,
 * the timers and other threads hold is that name, never a pointer, so a session
 * may be freed at any time without telling them. Slots are never freed.
 *
 *             take                    park
 *   QUEUED ---------> RUNNING ---------------> PARKED / SLEEPING
 *     ^                  | end                        |
 *     |                  v                            |
 *     |                FREE                           |
 *     +----------- ready, deadline, wake -------------+
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "sys/timer_heap_priv.h"
#include "sys/workers.h"

enum slot_state {
	SLOT_FREE,
	SLOT_RUNNING,
	SLOT_PARKED,
	SLOT_SLEEPING,
	SLOT_QUEUED, /* in the ready list */
};

struct slot {
	pthread_mutex_t lock; /* workers_slot: all below but the last two */
	struct workers_session *session;
	uint64_t armed_ms; /* 0, or when the timers look at it */
	uint32_t generation;
	uint8_t state;
	uint8_t woke;	 /* reasons for the next run */
	bool is_watched; /* the fd is in the epoll set */
	uint32_t next;	 /* workers_pool: in the free or the ready list */
	uint32_t place;	 /* workers_timers */
};

enum {
	LISTENERS_MAX = 256,
	NO_SLOT = 0xffffffff,
	/* Numbers in epoll events that are no slots. */
	NAME_READY = 0xfffffffe,
	NAME_TIMER = 0xfffffffd,
	NAME_STOP = 0xfffffffc,
	NAME_LISTENERS = 0xffff0000,
};

struct listener {
	int fd; /* -1: closed */
	int number;
	bool paused;
};

struct workers {
	struct workers_config config;
	int epoll_fd, ready_fd, timer_fd, drained_fd, stop_fd;
	struct slot *slots;
	atomic_size_t session_count;
	atomic_uint ready_count;
	atomic_int idle;
	atomic_bool draining;

	pthread_mutex_t pool_lock; /* all in this group */
	pthread_cond_t thread_gone;
	int thread_count;  /* that will look for work */
	int threads_alive; /* that have not ended yet */
	bool stop;
	int spare_fd;
	uint32_t slots_used, free_head, ready_head, ready_tail;
	struct listener listeners[LISTENERS_MAX];
	int listener_count;

	pthread_mutex_t timers_lock; /* both */
	struct timer_heap timers;
	uint64_t timer_fd_ms; /* 0: not set */
};

/* workers_slot.c: the life of a session. */

/* With the pool lock held; NO_SLOT: max_sessions reached. */
uint32_t slot_take(struct workers *workers);
void slot_begin(struct workers *workers, uint32_t at,
		struct workers_session *session, enum slot_state state);
/* The session is gone, or never came to be. */
void slot_release(struct workers *workers, uint32_t at);
/* Take it for running; false: it is not parked any more. */
bool slot_claim_ready(struct workers *workers, uint32_t at,
		      uint32_t generation);
void slot_run(struct worker *me, uint32_t at);
/* Queue it for this reason, or note the reason if it is busy. */
void slot_call(struct workers *workers, uint32_t at, const uint32_t *generation,
	       enum workers_woke why);
/* NO_SLOT: none. It is RUNNING then. */
uint32_t ready_pop(struct workers *workers);
void timers_expire(struct workers *workers);

/* workers.c */
void listeners_resume(struct workers *workers); /* with the pool lock */
