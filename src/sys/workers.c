/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/workers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "sys/workers_priv.h"

enum {
	IDLE_MS = 10 * 1000,
	STACK_BYTES = 1024 * 1024,
	SHORTAGE_PAUSE_MS = 50,
	READY_RUNS_PER_WAIT = 8,
};

static void *worker_main(void *arg);

/* With the pool lock. */
static bool thread_start(struct workers *workers)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int failed;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, workers->config.stack_bytes);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	failed = pthread_create(&thread, &attr, worker_main, workers);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (failed)
		return false;
	workers->thread_count++;
	workers->threads_alive++;
	return true;
}

/* Called by a thread that has found something to do. There is always one more
 * that waits, up to the maximum. */
static void waiting_ensure(struct workers *workers)
{
	if (atomic_load(&workers->idle) > 0)
		return;
	pthread_mutex_lock(&workers->pool_lock);
	if (workers->thread_count < workers->config.max_threads &&
	    !workers->stop)
		thread_start(workers);
	pthread_mutex_unlock(&workers->pool_lock);
}

/* Nothing came for a while: may this thread go? Not when no other waits. */
static bool worker_retire(struct workers *workers)
{
	bool retire;

	pthread_mutex_lock(&workers->pool_lock);
	retire = workers->stop ||
		 (workers->thread_count > 1 && atomic_load(&workers->idle) > 0);
	if (retire)
		workers->thread_count--;
	pthread_mutex_unlock(&workers->pool_lock);
	return retire;
}

/* With the pool lock. */
static void listener_arm(struct workers *workers, int i, int what)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLONESHOT,
		.data.u64 = (uint64_t)NAME_LISTENERS + (uint64_t)i,
	};

	epoll_ctl(workers->epoll_fd, what, workers->listeners[i].fd, &event);
}

void listeners_resume(struct workers *workers)
{
	for (int i = 0; i < workers->listener_count; i++) {
		struct listener *listener = &workers->listeners[i];

		if (!listener->paused || listener->fd < 0)
			continue;
		listener->paused = false;
		listener_arm(workers, i, EPOLL_CTL_MOD);
	}
}

static void pause_briefly(void)
{
	struct timespec pause = { .tv_nsec = SHORTAGE_PAUSE_MS * 1000000L };

	nanosleep(&pause, NULL);
}

/* No descriptor is left. One is kept for telling the client so. */
static void listener_refuse(struct workers *workers, struct listener *listener)
{
	int fd = -1;

	if (workers->spare_fd >= 0) {
		close(workers->spare_fd);
		fd = accept4(listener->fd, NULL, NULL,
			     SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0 && workers->config.refuse != NULL)
			workers->config.refuse(workers->config.arg, fd,
					       listener->number);
		if (fd >= 0)
			close(fd);
	}
	workers->spare_fd = eventfd(0, EFD_CLOEXEC);
}

struct arrival {
	int fd;
	uint32_t slot;
	int listener;
	struct sockaddr_storage peer;
	socklen_t peer_size;
};

/* With the pool lock, so that the socket is not closed meanwhile. */
static bool listener_accept(struct workers *workers, int i,
			    struct arrival *arrival, bool *ret_shortage)
{
	struct listener *listener = &workers->listeners[i];

	*ret_shortage = false;
	if (listener->fd < 0)
		return false;
	arrival->slot = slot_take(workers);
	if (arrival->slot == NO_SLOT) {
		listener->paused = true;
		return false;
	}
	arrival->listener = listener->number;
	arrival->peer_size = sizeof(arrival->peer);
	arrival->fd =
		accept4(listener->fd, (struct sockaddr *)&arrival->peer,
			&arrival->peer_size, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (arrival->fd < 0 && (errno == EMFILE || errno == ENFILE)) {
		*ret_shortage = workers->spare_fd < 0;
		listener_refuse(workers, listener);
	} else if (arrival->fd < 0) {
		*ret_shortage = errno == ENOBUFS || errno == ENOMEM;
	}
	if (!*ret_shortage)
		listener_arm(workers, i, EPOLL_CTL_MOD);
	return arrival->fd >= 0;
}

static void connection_take(struct worker *me, int i)
{
	struct workers *workers = me->workers;
	struct workers_session *session;
	struct arrival arrival = { .slot = NO_SLOT };
	bool accepted, shortage;

	pthread_mutex_lock(&workers->pool_lock);
	accepted = listener_accept(workers, i, &arrival, &shortage);
	pthread_mutex_unlock(&workers->pool_lock);
	if (accepted) {
		session = workers->config.accepted(
			workers->config.arg, me, arrival.fd, arrival.listener,
			(struct sockaddr *)&arrival.peer, arrival.peer_size);
		if (session != NULL) {
			slot_begin(workers, arrival.slot, session,
				   SLOT_RUNNING);
			slot_run(me, arrival.slot);
			return;
		}
	}
	if (shortage) {
		pause_briefly();
		pthread_mutex_lock(&workers->pool_lock);
		workers->listeners[i].paused = true;
		listeners_resume(workers);
		pthread_mutex_unlock(&workers->pool_lock);
	}
	if (arrival.slot != NO_SLOT)
		slot_release(workers, arrival.slot);
}

static void event_take(struct worker *me, uint64_t name)
{
	struct workers *workers = me->workers;
	uint32_t at = (uint32_t)name;

	if (at == NAME_READY) {
		at = ready_pop(workers);
		if (at != NO_SLOT)
			slot_run(me, at);
	} else if (at == NAME_TIMER) {
		timers_expire(workers);
	} else if (at == NAME_STOP) {
		return;
	} else if (at >= NAME_LISTENERS) {
		connection_take(me, (int)(at - NAME_LISTENERS));
	} else if (slot_claim_ready(workers, at, (uint32_t)(name >> 32))) {
		slot_run(me, at);
	}
}

static void worker_loop(struct worker *me)
{
	struct workers *workers = me->workers;
	unsigned ready_runs = 0;

	for (;;) {
		struct epoll_event event;
		bool more = atomic_load(&workers->ready_count) > 0;
		int got;

		if (more && ready_runs++ < READY_RUNS_PER_WAIT) {
			uint32_t at = ready_pop(workers);

			if (at == NO_SLOT)
				continue;
			waiting_ensure(workers);
			slot_run(me, at);
			continue;
		}
		ready_runs = 0;
		atomic_fetch_add(&workers->idle, 1);
		got = epoll_wait(workers->epoll_fd, &event, 1,
				 more ? 0 : workers->config.idle_ms);
		atomic_fetch_sub(&workers->idle, 1);
		if (got > 0) {
			waiting_ensure(workers);
			event_take(me, event.data.u64);
		}
		if ((got == 0 && !more) ||
		    (got > 0 && (uint32_t)event.data.u64 == NAME_STOP)) {
			if (worker_retire(workers))
				return;
		}
	}
}

static void *worker_main(void *arg)
{
	struct workers *workers = arg;
	struct worker me = { .workers = workers, .mem = talloc_new(NULL) };

	pthread_setname_np(pthread_self(), "worker");
	if (workers->config.thread_begin != NULL)
		me.local = workers->config.thread_begin(workers->config.arg,
							me.mem);
	worker_loop(&me);
	if (workers->config.thread_end != NULL)
		workers->config.thread_end(workers->config.arg, me.local);
	talloc_free(me.mem);
	pthread_mutex_lock(&workers->pool_lock);
	workers->threads_alive--;
	pthread_cond_signal(&workers->thread_gone);
	pthread_mutex_unlock(&workers->pool_lock);
	return NULL;
}

static void fd_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

static int workers_close(struct workers *workers)
{
	pthread_mutex_lock(&workers->pool_lock);
	workers->stop = true;
	eventfd_write(workers->stop_fd, 1);
	while (workers->threads_alive > 0)
		pthread_cond_wait(&workers->thread_gone, &workers->pool_lock);
	pthread_mutex_unlock(&workers->pool_lock);

	for (int i = 0; i < workers->listener_count; i++)
		fd_close(workers->listeners[i].fd);
	fd_close(workers->epoll_fd);
	fd_close(workers->ready_fd);
	fd_close(workers->timer_fd);
	fd_close(workers->drained_fd);
	fd_close(workers->stop_fd);
	fd_close(workers->spare_fd);
	for (uint32_t i = 0; i < workers->slots_used; i++)
		pthread_mutex_destroy(&workers->slots[i].lock);
	munmap(workers->slots,
	       workers->config.max_sessions * sizeof(struct slot));
	pthread_mutex_destroy(&workers->pool_lock);
	pthread_mutex_destroy(&workers->timers_lock);
	pthread_cond_destroy(&workers->thread_gone);
	return 0;
}

static bool name_watch(struct workers *workers, int fd, uint32_t name,
		       uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u64 = name };

	return fd >= 0 &&
	       epoll_ctl(workers->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool files_open(struct workers *workers)
{
	workers->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	workers->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	workers->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	workers->drained_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	workers->timer_fd =
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	workers->spare_fd = eventfd(0, EFD_CLOEXEC);
	return workers->epoll_fd >= 0 && workers->drained_fd >= 0 &&
	       workers->spare_fd >= 0 &&
	       name_watch(workers, workers->ready_fd, NAME_READY,
			  EPOLLIN | EPOLLET) &&
	       name_watch(workers, workers->timer_fd, NAME_TIMER,
			  EPOLLIN | EPOLLET) &&
	       name_watch(workers, workers->stop_fd, NAME_STOP, EPOLLIN);
}

static struct workers *workers_new(TALLOC_CTX *mem,
				   const struct workers_config *config)
{
	struct workers *workers = mem_new(mem, struct workers);
	pthread_mutexattr_t attr;

	workers->config = *config;
	if (workers->config.idle_ms == 0)
		workers->config.idle_ms = IDLE_MS;
	if (workers->config.stack_bytes == 0)
		workers->config.stack_bytes = STACK_BYTES;
	workers->free_head = NO_SLOT;
	workers->ready_head = NO_SLOT;
	/* Held for the length of an accept at most. */
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&workers->pool_lock, &attr);
	pthread_mutexattr_destroy(&attr);
	pthread_mutex_init(&workers->timers_lock, NULL);
	pthread_cond_init(&workers->thread_gone, NULL);
	timer_heap_init(&workers->timers, workers);
	return workers;
}

enum rc workers_open(TALLOC_CTX *mem, const struct workers_config *config,
		     struct workers **ret_workers, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct workers *workers;
	bool started;

	assert(config->max_threads > 0 && config->max_sessions > 0 &&
	       config->max_sessions < NAME_LISTENERS);
	workers = workers_new(tmp, config);
	/* Pages that no session ever used cost nothing. */
	workers->slots =
		mmap(NULL, config->max_sessions * sizeof(struct slot),
		     PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (workers->slots == MAP_FAILED)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "memory for %zu sessions: %m",
				 config->max_sessions);
	talloc_set_destructor(workers, workers_close);
	if (!files_open(workers))
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "files of the workers: %m");
	pthread_mutex_lock(&workers->pool_lock);
	started = thread_start(workers);
	pthread_mutex_unlock(&workers->pool_lock);
	if (!started)
		return fault_set(fault, RC_TEMP, "4.3.0", "start a thread: %m");
	*ret_workers = talloc_steal(mem, workers);
	return RC_OK;
}

enum rc workers_listen(struct workers *workers, int fd, int listener,
		       struct fault *fault)
{
	int flags = fcntl(fd, F_GETFL);
	int i;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "listening socket %d: %m", fd);
	pthread_mutex_lock(&workers->pool_lock);
	assert(workers->listener_count < LISTENERS_MAX);
	i = workers->listener_count++;
	workers->listeners[i] =
		(struct listener){ .fd = fd, .number = listener };
	listener_arm(workers, i, EPOLL_CTL_ADD);
	pthread_mutex_unlock(&workers->pool_lock);
	return RC_OK;
}

enum rc workers_add(struct workers *workers, struct workers_session *session,
		    struct fault *fault)
{
	uint32_t at;

	pthread_mutex_lock(&workers->pool_lock);
	at = slot_take(workers);
	pthread_mutex_unlock(&workers->pool_lock);
	if (at == NO_SLOT)
		return fault_set(fault, RC_TEMP, "4.3.2",
				 "more than %zu sessions",
				 workers->config.max_sessions);
	slot_begin(workers, at, session, SLOT_QUEUED);
	return RC_OK;
}

void workers_wake(struct workers *workers, struct workers_handle handle)
{
	assert(handle.slot < workers->config.max_sessions);
	slot_call(workers, handle.slot, &handle.generation, WORKERS_CALLED);
}

void workers_drain(struct workers *workers, bool wake_idle)
{
	uint32_t used;

	pthread_mutex_lock(&workers->pool_lock);
	for (int i = 0; i < workers->listener_count; i++) {
		struct listener *listener = &workers->listeners[i];

		if (listener->fd < 0)
			continue;
		epoll_ctl(workers->epoll_fd, EPOLL_CTL_DEL, listener->fd, NULL);
		close(listener->fd);
		listener->fd = -1;
	}
	atomic_store(&workers->draining, true);
	if (atomic_load(&workers->session_count) == 0)
		eventfd_write(workers->drained_fd, 1);
	used = workers->slots_used;
	pthread_mutex_unlock(&workers->pool_lock);
	for (uint32_t at = 0; wake_idle && at < used; at++)
		slot_call(workers, at, NULL, WORKERS_DRAIN);
}

bool workers_is_draining(const struct workers *workers)
{
	return atomic_load(&workers->draining);
}

int workers_drained_fd(const struct workers *workers)
{
	return workers->drained_fd;
}

bool workers_wait_drained(struct workers *workers, int timeout_ms)
{
	struct pollfd drained = { .fd = workers->drained_fd, .events = POLLIN };

	return poll(&drained, 1, timeout_ms) > 0;
}

size_t workers_session_count(const struct workers *workers)
{
	return atomic_load(&workers->session_count);
}

int workers_thread_count(struct workers *workers)
{
	int count;

	pthread_mutex_lock(&workers->pool_lock);
	count = workers->thread_count;
	pthread_mutex_unlock(&workers->pool_lock);
	return count;
}

bool workers_are_busy(struct workers *workers)
{
	return atomic_load(&workers->idle) == 0 &&
	       workers_thread_count(workers) >= workers->config.max_threads;
}
