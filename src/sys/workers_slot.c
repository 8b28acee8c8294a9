/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "sys/workers_priv.h"

enum { EXPIRE_BATCH = 64 };

uint32_t slot_take(struct workers *workers)
{
	uint32_t at = workers->free_head;

	if (atomic_load(&workers->session_count) >=
	    workers->config.max_sessions)
		return NO_SLOT;
	if (at != NO_SLOT) {
		workers->free_head = workers->slots[at].next;
	} else {
		pthread_mutexattr_t attr;

		at = workers->slots_used++;
		pthread_mutexattr_init(&attr);
		pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
		pthread_mutex_init(&workers->slots[at].lock, &attr);
		pthread_mutexattr_destroy(&attr);
	}
	atomic_fetch_add(&workers->session_count, 1);
	return at;
}

static void ready_push(struct workers *workers, uint32_t at)
{
	pthread_mutex_lock(&workers->pool_lock);
	workers->slots[at].next = NO_SLOT;
	if (workers->ready_head == NO_SLOT)
		workers->ready_head = at;
	else
		workers->slots[workers->ready_tail].next = at;
	workers->ready_tail = at;
	atomic_fetch_add(&workers->ready_count, 1);
	pthread_mutex_unlock(&workers->pool_lock);
	eventfd_write(workers->ready_fd, 1);
}

uint32_t ready_pop(struct workers *workers)
{
	uint32_t at;

	if (atomic_load(&workers->ready_count) == 0)
		return NO_SLOT;
	pthread_mutex_lock(&workers->pool_lock);
	at = workers->ready_head;
	if (at != NO_SLOT) {
		workers->ready_head = workers->slots[at].next;
		/* Wake-ups of several pushes may have become one. */
		if (atomic_fetch_sub(&workers->ready_count, 1) > 1)
			eventfd_write(workers->ready_fd, 1);
	}
	pthread_mutex_unlock(&workers->pool_lock);
	if (at == NO_SLOT)
		return NO_SLOT;
	pthread_mutex_lock(&workers->slots[at].lock);
	assert(workers->slots[at].state == SLOT_QUEUED);
	workers->slots[at].state = SLOT_RUNNING;
	pthread_mutex_unlock(&workers->slots[at].lock);
	return at;
}

void slot_begin(struct workers *workers, uint32_t at,
		struct workers_session *session, enum slot_state state)
{
	struct slot *slot = &workers->slots[at];

	pthread_mutex_lock(&slot->lock);
	assert(slot->state == SLOT_FREE);
	slot->session = session;
	session->handle = (struct workers_handle){ at, slot->generation };
	slot->state = (uint8_t)state;
	slot->woke = WORKERS_NEW;
	slot->is_watched = false;
	slot->armed_ms = 0;
	pthread_mutex_unlock(&slot->lock);
	if (state == SLOT_QUEUED)
		ready_push(workers, at);
}

void slot_release(struct workers *workers, uint32_t at)
{
	struct slot *slot = &workers->slots[at];

	pthread_mutex_lock(&slot->lock);
	slot->state = SLOT_FREE;
	slot->session = NULL;
	slot->generation++;
	pthread_mutex_lock(&workers->timers_lock);
	timer_heap_clear(&workers->timers, &slot->place);
	pthread_mutex_unlock(&workers->timers_lock);
	pthread_mutex_unlock(&slot->lock);

	pthread_mutex_lock(&workers->pool_lock);
	slot->next = workers->free_head;
	workers->free_head = at;
	if (atomic_fetch_sub(&workers->session_count, 1) == 1 &&
	    atomic_load(&workers->draining))
		eventfd_write(workers->drained_fd, 1);
	listeners_resume(workers);
	pthread_mutex_unlock(&workers->pool_lock);
}

bool slot_claim_ready(struct workers *workers, uint32_t at, uint32_t generation)
{
	struct slot *slot = &workers->slots[at];
	bool mine;

	pthread_mutex_lock(&slot->lock);
	mine = slot->generation == generation && slot->state == SLOT_PARKED;
	if (mine) {
		slot->state = SLOT_RUNNING;
		slot->woke |= WORKERS_READY;
	} else if (slot->generation == generation &&
		   slot->state == SLOT_QUEUED) {
		slot->woke |= WORKERS_READY;
	}
	pthread_mutex_unlock(&slot->lock);
	return mine;
}

static void timer_fd_set(struct workers *workers, uint64_t due_ms)
{
	struct itimerspec when = {
		.it_value = { .tv_sec = (time_t)(due_ms / 1000),
			      .tv_nsec = (long)(due_ms % 1000) * 1000000 },
	};

	if (due_ms == workers->timer_fd_ms)
		return;
	workers->timer_fd_ms = due_ms;
	timerfd_settime(workers->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* With the slot's lock. A timer that is early enough is left alone: when it
 * fires it looks at the deadline again. So a session that parks often does not
 * touch the heap. */
static void timer_arm(struct workers *workers, struct slot *slot)
{
	uint64_t due_ms = slot->session->deadline_ms;

	if (due_ms == 0 || (slot->armed_ms != 0 && slot->armed_ms <= due_ms))
		return;
	slot->armed_ms = due_ms;
	pthread_mutex_lock(&workers->timers_lock);
	timer_heap_set(&workers->timers, &slot->place, due_ms);
	if (workers->timer_fd_ms == 0 || due_ms < workers->timer_fd_ms)
		timer_fd_set(workers, due_ms);
	pthread_mutex_unlock(&workers->timers_lock);
}

/* With the slot's lock. false: the kernel cannot watch one file more. */
static bool slot_watch(struct workers *workers, uint32_t at)
{
	struct slot *slot = &workers->slots[at];
	struct epoll_event event = {
		.events = slot->session->want | EPOLLONESHOT,
		.data.u64 = (uint64_t)slot->generation << 32 | at,
	};
	int what = slot->is_watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	int fd = slot->session->fd;

	if (fd < 0)
		return true;
	slot->is_watched = true;
	if (epoll_ctl(workers->epoll_fd, what, fd, &event) == 0)
		return true;
	/* The session has another fd than before, or this number was watched
	 * when it was another session's copy of the same socket. */
	if (errno == ENOENT || errno == EEXIST)
		what = what == EPOLL_CTL_MOD ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
	if (epoll_ctl(workers->epoll_fd, what, fd, &event) == 0)
		return true;
	assert(errno == ENOMEM || errno == ENOSPC);
	slot->is_watched = false;
	return false;
}

/* What the session wants next. false: it must run once more, at once. */
static bool slot_park(struct workers *workers, uint32_t at,
		      enum workers_next next)
{
	struct slot *slot = &workers->slots[at];
	bool parked = true;

	pthread_mutex_lock(&slot->lock);
	if (next == WORKERS_AGAIN) {
		slot->state = SLOT_QUEUED;
	} else if (slot->woke != 0) {
		parked = false;
	} else {
		slot->state =
			next == WORKERS_PARK ? SLOT_PARKED : SLOT_SLEEPING;
		timer_arm(workers, slot);
		if (next == WORKERS_PARK && !slot_watch(workers, at)) {
			slot->state = SLOT_RUNNING;
			slot->woke = WORKERS_DEADLINE; /* so that it ends */
			parked = false;
		}
	}
	pthread_mutex_unlock(&slot->lock);
	if (next == WORKERS_AGAIN)
		ready_push(workers, at);
	return parked;
}

void slot_run(struct worker *me, uint32_t at)
{
	struct slot *slot = &me->workers->slots[at];

	for (;;) {
		struct workers_session *session;
		enum workers_next next;
		unsigned woke;

		pthread_mutex_lock(&slot->lock);
		session = slot->session;
		woke = slot->woke;
		slot->woke = 0;
		pthread_mutex_unlock(&slot->lock);
		next = session->run(session, me, woke);
		if (next == WORKERS_END) {
			slot_release(me->workers, at);
			return;
		}
		if (slot_park(me->workers, at, next))
			return;
	}
}

void slot_call(struct workers *workers, uint32_t at, const uint32_t *generation,
	       enum workers_woke why)
{
	struct slot *slot = &workers->slots[at];
	bool queue = false;

	pthread_mutex_lock(&slot->lock);
	if (slot->state != SLOT_FREE &&
	    (generation == NULL || slot->generation == *generation)) {
		slot->woke |= (uint8_t)why;
		queue = slot->state == SLOT_PARKED ||
			slot->state == SLOT_SLEEPING;
		if (queue)
			slot->state = SLOT_QUEUED;
	}
	pthread_mutex_unlock(&slot->lock);
	if (queue)
		ready_push(workers, at);
}

/* The timer of this slot has fired: is its deadline really over? */
static void slot_expire(struct workers *workers, uint32_t at, uint64_t now_ms)
{
	struct slot *slot = &workers->slots[at];
	bool queue = false;

	pthread_mutex_lock(&slot->lock);
	slot->armed_ms = 0;
	if (slot->state == SLOT_PARKED || slot->state == SLOT_SLEEPING) {
		uint64_t due_ms = slot->session->deadline_ms;

		if (due_ms != 0 && due_ms <= now_ms) {
			slot->session->deadline_ms = 0;
			slot->woke |= WORKERS_DEADLINE;
			slot->state = SLOT_QUEUED;
			queue = true;
		} else {
			timer_arm(workers, slot);
		}
	}
	pthread_mutex_unlock(&slot->lock);
	if (queue)
		ready_push(workers, at);
}

/* Up to EXPIRE_BATCH slots that are due, out of the heap. When none is left the
 * timer is set for the next one. */
static size_t timers_take(struct workers *workers, uint64_t now_ms,
			  uint32_t *slots)
{
	const struct timer_heap_node *first;
	size_t count = 0;

	pthread_mutex_lock(&workers->timers_lock);
	while ((first = timer_heap_first(&workers->timers)) != NULL &&
	       first->due_ms <= now_ms && count < EXPIRE_BATCH) {
		struct slot *slot = HOLDER_OF(first->place, struct slot, place);

		slots[count++] = (uint32_t)(slot - workers->slots);
		timer_heap_clear(&workers->timers, &slot->place);
	}
	workers->timer_fd_ms = 0; /* it has fired */
	if (first != NULL)
		timer_fd_set(workers, first->due_ms);
	pthread_mutex_unlock(&workers->timers_lock);
	return count;
}

void timers_expire(struct workers *workers)
{
	uint32_t slots[EXPIRE_BATCH];
	uint64_t now_ms = clock_mono_ms();
	size_t count;

	do {
		count = timers_take(workers, now_ms, slots);
		for (size_t i = 0; i < count; i++)
			slot_expire(workers, slots[i], now_ms);
	} while (count == EXPIRE_BATCH);
}
