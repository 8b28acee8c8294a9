/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poller - the loop of a process that does one thing at a time: files that
 * become ready, timers, signals.
 *
 * Shape    a watch calls back when its fd is ready (level triggered); a timer
 *          calls back once, at or after its time
 * Units    milliseconds of clock_mono_ms
 * Limits   a million timers; setting one costs the logarithm of their number
 * Owner    a watch is a child of its mem, a timer is a member of the user's
 *          struct; free the watch before closing its fd, clear the timer before
 *          freeing what holds it
 * Threads  one, except poller_wake. A callback never blocks. It may free or
 *          change any watch and any timer, its own too.
 */
#pragma once

#include <sys/epoll.h>

#include "base/fault.h"
#include "base/mem.h"

struct poller;
struct poller_watch;

/* events: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR as epoll reports them. */
typedef void poller_ready_fn(void *arg, int fd, uint32_t events);
typedef void poller_call_fn(void *arg);
typedef void poller_signal_fn(void *arg, int signal);

MUST_CHECK enum rc poller_open(TALLOC_CTX *mem, struct poller **ret_poller,
			       struct fault *fault);

/* talloc_free(watch) ends it. events 0: only errors and hang-up. A file that
 * epoll cannot watch (a regular file, /dev/null) is RC_PERM. */
MUST_CHECK enum rc poller_watch(TALLOC_CTX *mem, struct poller *poller, int fd,
				uint32_t events, poller_ready_fn *ready,
				void *arg, struct poller_watch **ret_watch,
				struct fault *fault);
/* No system call when nothing changes. */
void poller_watch_want(struct poller_watch *watch, uint32_t events);

struct poller_timer {
	poller_call_fn *fired;
	void *arg;
	uint64_t due_ms;
	uint32_t place; /* in the heap; 0: not set */
};

/* Set, or move, the timer. fired and arg are filled in before. */
void poller_timer_set(struct poller *poller, struct poller_timer *timer,
		      uint64_t due_ms);
void poller_timer_clear(struct poller *poller, struct poller_timer *timer);
static inline bool poller_timer_is_set(const struct poller_timer *timer)
{
	return timer->place != 0;
}

/* The signal is blocked in this thread and delivered through the loop. Call it
 * before starting threads, so that they inherit the mask. */
MUST_CHECK enum rc poller_signal(struct poller *poller, int signal,
				 poller_signal_fn *arrived, void *arg,
				 struct fault *fault);

/* Called at the end of each round, after all callbacks and before waiting: the
 * place to flush in batches. One hook. */
void poller_round_hook(struct poller *poller, poller_call_fn *round_end,
		       void *arg);

/* When this round began: one reading of the clock for all its callbacks. */
uint64_t poller_now_ms(const struct poller *poller);

/* Run until poller_stop. */
MUST_CHECK enum rc poller_run(struct poller *poller, struct fault *fault);
/* One round that waits at most max_wait_ms (-1: as long as it takes). */
MUST_CHECK enum rc poller_run_once(struct poller *poller, int max_wait_ms,
				   struct fault *fault);
void poller_stop(struct poller *poller);
/* Begin a round now, from any thread or signal handler. */
void poller_wake(struct poller *poller);
