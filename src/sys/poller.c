/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/poller.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "sys/timer_heap_priv.h"

enum { EVENTS_PER_ROUND = 128, SIGNALS = 65 };

struct poller_watch {
	struct poller *poller;
	int fd;
	uint32_t events;
	poller_ready_fn *ready;
	void *arg;
};

struct signal_hook {
	poller_signal_fn *arrived;
	void *arg;
};

struct poller {
	int epoll_fd, wake_fd, signal_fd;
	bool stop;
	uint64_t now_ms;
	struct timer_heap timers;
	poller_call_fn *round_end;
	void *round_arg;
	sigset_t signals;
	struct signal_hook hooks[SIGNALS];
	struct epoll_event events[EVENTS_PER_ROUND];
	int event_count; /* of this round */
};

static int poller_close(struct poller *poller)
{
	close(poller->epoll_fd);
	close(poller->wake_fd);
	if (poller->signal_fd >= 0)
		close(poller->signal_fd);
	return 0;
}

static void wake_drain(void *arg, int fd, uint32_t events)
{
	eventfd_t count;

	eventfd_read(fd, &count);
}

enum rc poller_open(TALLOC_CTX *mem, struct poller **ret_poller,
		    struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct poller *poller = mem_new(tmp, struct poller);
	struct poller_watch *wake;
	enum rc rc;

	poller->signal_fd = -1;
	poller->wake_fd = -1;
	poller->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (poller->epoll_fd < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "epoll_create: %m");
	talloc_set_destructor(poller, poller_close);
	poller->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (poller->wake_fd < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "eventfd: %m");
	timer_heap_init(&poller->timers, poller);
	sigemptyset(&poller->signals);
	poller->now_ms = clock_mono_ms();
	rc = poller_watch(poller, poller, poller->wake_fd, EPOLLIN, wake_drain,
			  NULL, &wake, fault);
	if (rc != RC_OK)
		return rc;
	*ret_poller = talloc_steal(mem, poller);
	return RC_OK;
}

static int watch_end(struct poller_watch *watch)
{
	struct poller *poller = watch->poller;

	epoll_ctl(poller->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	for (int i = 0; i < poller->event_count; i++)
		if (poller->events[i].data.ptr == watch)
			poller->events[i].data.ptr = NULL;
	return 0;
}

enum rc poller_watch(TALLOC_CTX *mem, struct poller *poller, int fd,
		     uint32_t events, poller_ready_fn *ready, void *arg,
		     struct poller_watch **ret_watch, struct fault *fault)
{
	struct poller_watch *watch = mem_new(mem, struct poller_watch);
	struct epoll_event event = { .events = events, .data.ptr = watch };

	*watch = (struct poller_watch){ poller, fd, events, ready, arg };
	if (epoll_ctl(poller->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
		enum rc rc = errno == EPERM ? RC_PERM : RC_TEMP;

		rc = fault_set(fault, rc, "4.3.0", "watch file %d: %m", fd);
		talloc_free(watch);
		return rc;
	}
	talloc_set_destructor(watch, watch_end);
	*ret_watch = watch;
	return RC_OK;
}

void poller_watch_want(struct poller_watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };
	int failed;

	if (watch->events == events)
		return;
	watch->events = events;
	failed = epoll_ctl(watch->poller->epoll_fd, EPOLL_CTL_MOD, watch->fd,
			   &event);
	assert(failed == 0); /* our own fd, which is being watched */
}

void poller_timer_set(struct poller *poller, struct poller_timer *timer,
		      uint64_t due_ms)
{
	timer->due_ms = due_ms;
	timer_heap_set(&poller->timers, &timer->place, due_ms);
}

void poller_timer_clear(struct poller *poller, struct poller_timer *timer)
{
	timer_heap_clear(&poller->timers, &timer->place);
}

static void signals_take(void *arg, int fd, uint32_t events)
{
	struct poller *poller = arg;
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		struct signal_hook *hook;

		if (info.ssi_signo >= SIGNALS)
			continue;
		hook = &poller->hooks[info.ssi_signo];
		if (hook->arrived != NULL)
			hook->arrived(hook->arg, (int)info.ssi_signo);
	}
}

enum rc poller_signal(struct poller *poller, int signal,
		      poller_signal_fn *arrived, void *arg, struct fault *fault)
{
	struct poller_watch *watch;
	int fd;

	assert(signal > 0 && signal < SIGNALS);
	sigaddset(&poller->signals, signal);
	pthread_sigmask(SIG_BLOCK, &poller->signals, NULL);
	fd = signalfd(poller->signal_fd, &poller->signals,
		      SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "signalfd: %m");
	poller->hooks[signal] = (struct signal_hook){ arrived, arg };
	if (poller->signal_fd >= 0)
		return RC_OK;
	poller->signal_fd = fd;
	return poller_watch(poller, poller, fd, EPOLLIN, signals_take, poller,
			    &watch, fault);
}

void poller_round_hook(struct poller *poller, poller_call_fn *round_end,
		       void *arg)
{
	poller->round_end = round_end;
	poller->round_arg = arg;
}

uint64_t poller_now_ms(const struct poller *poller)
{
	return poller->now_ms;
}

static int wait_for(const struct poller *poller, int max_wait_ms)
{
	const struct timer_heap_node *first = timer_heap_first(&poller->timers);
	uint64_t now,
		wait = max_wait_ms < 0 ? INT32_MAX : (uint64_t)max_wait_ms;

	if (poller->stop)
		return 0;
	if (first == NULL)
		return max_wait_ms;
	now = clock_mono_ms();
	return (int)MIN_OF(wait,
			   first->due_ms <= now ? 0 : first->due_ms - now);
}

static void events_deliver(struct poller *poller)
{
	for (int i = 0; i < poller->event_count; i++) {
		struct poller_watch *watch = poller->events[i].data.ptr;

		if (watch != NULL)
			watch->ready(watch->arg, watch->fd,
				     poller->events[i].events);
	}
	poller->event_count = 0;
}

/* At most as many as were set when it began: a timer that sets itself again in
 * the past does not keep the files waiting. */
static void timers_fire(struct poller *poller)
{
	for (size_t left = poller->timers.count; left > 0; left--) {
		const struct timer_heap_node *first =
			timer_heap_first(&poller->timers);
		struct poller_timer *timer;

		if (first == NULL || first->due_ms > poller->now_ms)
			return;
		timer = HOLDER_OF(first->place, struct poller_timer, place);
		timer_heap_clear(&poller->timers, &timer->place);
		timer->fired(timer->arg);
	}
}

enum rc poller_run_once(struct poller *poller, int max_wait_ms,
			struct fault *fault)
{
	int count = epoll_wait(poller->epoll_fd, poller->events,
			       EVENTS_PER_ROUND, wait_for(poller, max_wait_ms));

	if (count < 0 && errno != EINTR)
		return fault_set(fault, RC_TEMP, "4.3.0", "epoll_wait: %m");
	poller->now_ms = clock_mono_ms();
	poller->event_count = MAX_OF(count, 0);
	events_deliver(poller);
	timers_fire(poller);
	if (poller->round_end != NULL)
		poller->round_end(poller->round_arg);
	return RC_OK;
}

enum rc poller_run(struct poller *poller, struct fault *fault)
{
	enum rc rc = RC_OK;

	poller->stop = false;
	while (!poller->stop && rc == RC_OK)
		rc = poller_run_once(poller, -1, fault);
	return rc;
}

void poller_stop(struct poller *poller)
{
	poller->stop = true;
}

void poller_wake(struct poller *poller)
{
	int saved_errno = errno;

	eventfd_write(poller->wake_fd, 1);
	errno = saved_errno;
}
