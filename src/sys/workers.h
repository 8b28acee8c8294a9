/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workers - parked sessions, and the threads that take them up.
 *
 * Shape    A session is a struct of the user with a workers_session in it. All
 *          threads wait on one epoll set. When bytes arrive, the deadline
 *          passes or somebody wakes it, one thread takes the session and calls
 *          its run function, which may block, and which says what comes next:
 *          park, sleep, again or end.
 * Holds    A session is with one thread at a time: run never overlaps itself,
 *          and while parked nobody touches the session. What one run wrote, the
 *          next sees, whichever thread it is on. No wake-up is lost: one that
 *          comes while the session runs makes it run once more.
 * Limits   threads grow on demand up to max_threads and end after idle_ms
 *          without work; at max_sessions nothing more is accepted until one
 *          ends. A parked session costs its own struct, about 150 bytes here
 *          and its socket: no thread, no buffer.
 * Units    milliseconds of clock_mono_ms; deadlines are kept to about 10 ms
 * Owner    sessions have no talloc parent (they move between threads)
 * Threads  every function here may be called from any thread
 */
#pragma once

#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fault.h"
#include "base/mem.h"

struct workers;

/* The thread that runs a session. */
struct worker {
	struct workers *workers;
	void *local;	 /* what thread_begin returned */
	TALLOC_CTX *mem; /* lives as long as the thread */
};

/* Why run was called; several may be set. */
enum workers_woke {
	WORKERS_NEW = 1,      /* the first time */
	WORKERS_READY = 2,    /* what was wanted (or an error) is there */
	WORKERS_DEADLINE = 4, /* deadline_ms has passed; it is now 0 */
	WORKERS_CALLED = 8,   /* workers_wake */
	WORKERS_DRAIN = 16,   /* workers_drain asked idle sessions to leave */
};

enum workers_next {
	WORKERS_PARK,  /* until ready, deadline or wake */
	WORKERS_SLEEP, /* until deadline or wake; bytes wait (a tarpit) */
	WORKERS_AGAIN, /* let others go first, then run once more */
	WORKERS_END,   /* it is over: run has closed the fd and freed it */
};

struct workers_session;
typedef enum workers_next workers_run_fn(struct workers_session *session,
					 struct worker *me, unsigned woke);

/* Names a session safely: waking one that has ended does nothing. */
struct workers_handle {
	uint32_t slot, generation;
};

/* A member of the user's struct; see HOLDER_OF. */
struct workers_session {
	workers_run_fn *run;
	int fd;		      /* non-blocking; -1: a job without one */
	uint32_t want;	      /* EPOLLIN or EPOLLOUT; read when it parks */
	uint64_t deadline_ms; /* 0: none; read when it parks or sleeps */
	struct workers_handle handle; /* filled in when it is added */
};

/* A connection was accepted (non-blocking, close-on-exec): returns its session
 * with run, fd and want filled in, to be run at once by this thread; or NULL
 * when the function has closed the fd. */
typedef struct workers_session *workers_accept_fn(void *arg, struct worker *me,
						  int fd, int listener,
						  const struct sockaddr *peer,
						  socklen_t peer_size);
/* No descriptors left: say so to the client in one short send. The fd is
 * closed afterwards. */
typedef void workers_refuse_fn(void *arg, int fd, int listener);

struct workers_config {
	int max_threads;
	size_t max_sessions;
	int idle_ms;		     /* 0: 10 s */
	size_t stack_bytes;	     /* of a thread; 0: 1 MiB */
	void *arg;		     /* of the functions below */
	workers_accept_fn *accepted; /* NULL without listeners */
	workers_refuse_fn *refuse;   /* may be NULL */
	/* Each may be NULL. */
	void *(*thread_begin)(void *arg, TALLOC_CTX *mem);
	void (*thread_end)(void *arg, void *local);
};

/* talloc_free(workers) ends the threads; sessions must have ended (drain). */
MUST_CHECK enum rc workers_open(TALLOC_CTX *mem,
				const struct workers_config *config,
				struct workers **ret_workers,
				struct fault *fault);
/* Accept on this socket (made non-blocking) from now on; `listener` is passed
 * to accepted. The fd becomes the workers' and is closed by drain. */
MUST_CHECK enum rc workers_listen(struct workers *workers, int fd, int listener,
				  struct fault *fault);
/* A session that did not come from accept, or a job: run is called as soon as
 * a thread is free. RC_TEMP: max_sessions reached, it is still the caller's. */
MUST_CHECK enum rc workers_add(struct workers *workers,
			       struct workers_session *session,
			       struct fault *fault);
void workers_wake(struct workers *workers, struct workers_handle handle);

/* Stop accepting and close the listening sockets. With wake_idle every parked
 * session is called with WORKERS_DRAIN. Sessions go on until they end. */
void workers_drain(struct workers *workers, bool wake_idle);
bool workers_is_draining(const struct workers *workers);
/* An eventfd, readable once drain was called and no session is left. It stays
 * the workers'. */
int workers_drained_fd(const struct workers *workers);
/* Wait for that; false: the time was up first (-1: no limit). */
bool workers_wait_drained(struct workers *workers, int timeout_ms);

size_t workers_session_count(const struct workers *workers);
int workers_thread_count(struct workers *workers);
/* All the threads that there may be are there, and none waits for work. */
bool workers_are_busy(struct workers *workers);
