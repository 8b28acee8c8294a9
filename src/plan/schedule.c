/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/schedule_priv.h"

#include <utlist.h>

enum { PREEMPTIONS_A_PICK = 8 };

static int schedule_done(struct schedule *schedule)
{
	HASH_CLEAR(hh, schedule->transports);
	return 0;
}

struct schedule *schedule_new(TALLOC_CTX *mem, struct heap *timers,
			      const struct schedule_ops *ops, void *arg)
{
	struct schedule *schedule = mem_new(mem, struct schedule);

	schedule->timers = timers;
	schedule->ops = ops;
	schedule->arg = arg;
	schedule->next_job = JOB_KEY_STEP;
	schedule->dead_ms = 300 * 1000;
	schedule->dead_max = 20000;
	talloc_set_destructor(schedule, schedule_done);
	return schedule;
}

struct transport *schedule_transport_find(struct schedule *schedule,
					  const char *name)
{
	struct transport *transport;

	HASH_FIND_STR(schedule->transports, name, transport);
	return transport;
}

/* The end of a death or of a rate delay. */
static void transport_timer(struct timer *timer, uint64_t now_ms)
{
	struct transport *transport = HOLDER_OF(timer, struct transport, timer);

	transport->in_rate_delay = false;
	if (transport->is_dead)
		schedule_transport_revive(transport);
}

static int transport_done(struct transport *transport)
{
	HASH_CLEAR(hh, transport->destinations);
	return 0;
}

struct transport *
schedule_transport_add(struct schedule *schedule, const char *name,
		       const struct transport_settings *settings)
{
	struct transport *transport = mem_new(schedule, struct transport);

	transport->schedule = schedule;
	transport->name = mem_strdup(transport, name);
	transport->settings = *settings;
	transport->timer.fire = transport_timer;
	heap_init(&transport->ready, transport);
	talloc_set_destructor(transport, transport_done);
	HASH_ADD_KEYPTR(hh, schedule->transports, transport->name,
			strlen(transport->name), transport);
	return transport;
}

static void give_up_waiting(struct destination *destination,
			    const struct fault *why)
{
	struct schedule *schedule = destination->transport->schedule;
	struct heap_item *item;

	while ((item = heap_top(&destination->peers)) != NULL) {
		struct peer *peer = HOLDER_OF(item, struct peer, item);
		struct entry *entry = peer->entries;

		entry_unlink(entry);
		schedule->ops->give_up(schedule->arg, entry, why);
	}
}

void schedule_transport_die(struct transport *transport, uint64_t until_ms,
			    const struct fault *why)
{
	struct destination *destination, *after;

	transport->is_dead = true;
	transport->dead = *why;
	timer_set(transport->schedule->timers, &transport->timer, until_ms);
	HASH_ITER (hh, transport->destinations, destination, after) {
		/* Kept while it is emptied. */
		destination->busy++;
		give_up_waiting(destination, why);
		destination->busy--;
		destination_update(destination);
	}
}

void schedule_transport_revive(struct transport *transport)
{
	transport->is_dead = false;
	if (!transport->in_rate_delay)
		timer_cancel(transport->schedule->timers, &transport->timer);
}

struct job *schedule_job_new(struct transport *transport)
{
	struct job *job = mem_new(transport, struct job);

	job->transport = transport;
	job->key = transport->schedule->next_job;
	transport->schedule->next_job += JOB_KEY_STEP;
	DL_APPEND(transport->jobs, job);
	return job;
}

void schedule_job_urgent(struct job *job)
{
	assert(job->peers == NULL);
	job->key = 0;
	DL_DELETE(job->transport->jobs, job);
	DL_PREPEND(job->transport->jobs, job);
}

static struct peer *job_peer(struct job *job, struct destination *destination)
{
	/* Entries come sorted by destination, so the last peer is the one. */
	struct peer *peer = job->peers == NULL ? NULL : job->peers->prev;

	if (peer != NULL && peer->destination == destination)
		return peer;
	peer = mem_new(job, struct peer);
	peer->job = job;
	peer->destination = destination;
	DL_APPEND(job->peers, peer);
	return peer;
}

void schedule_add(struct job *job, struct destination *destination,
		  struct entry *entry)
{
	struct peer *peer = job_peer(job, destination);

	assert(job->transport == destination->transport);
	entry->destination = destination;
	entry->peer = peer;
	entry->is_busy = false;
	DL_APPEND(peer->entries, entry);
	job->waiting++;
	destination->todo++;
	destination->transport->todo++;
	if (!heap_has(&peer->item))
		heap_put(&destination->peers, &peer->item, job->key);
	if (destination->transport->candidate == NULL)
		destination->transport->candidate_ms = 0;
	destination_update(destination);
}

static void job_done(struct job *job)
{
	preempt_forget(job);
	DL_DELETE(job->transport->jobs, job);
	talloc_free(job);
}

void entry_unlink(struct entry *entry)
{
	struct peer *peer = entry->peer;
	struct destination *destination = entry->destination;
	struct job *job = peer->job;

	DL_DELETE(peer->entries, entry);
	entry->peer = NULL;
	job->waiting--;
	destination->todo--;
	destination->transport->todo--;
	if (peer->entries == NULL) {
		heap_drop(&destination->peers, &peer->item);
		DL_DELETE(job->peers, peer);
		talloc_free(peer);
	}
	if (job->waiting == 0)
		job_done(job);
}

/* Only one delivery at a time keeps the distance between two. */
static bool transport_may_send(const struct transport *transport)
{
	uint32_t limit = transport->capacity;

	if (transport->is_blocked || transport->is_dead ||
	    transport->in_rate_delay)
		return false;
	if (transport->settings.transport_rate_delay_s > 0)
		limit = MIN_OF(limit, 1u);
	return transport->busy < limit;
}

static struct peer *transport_pick(struct transport *transport)
{
	struct peer *peer = NULL;

	for (int i = 0; i < PREEMPTIONS_A_PICK; i++) {
		struct heap_item *item = heap_top(&transport->ready);
		struct destination *destination;

		if (item == NULL)
			return NULL;
		destination = HOLDER_OF(item, struct destination, item);
		peer = HOLDER_OF(heap_top(&destination->peers), struct peer,
				 item);
		if (!preempt_attempt(peer->job))
			break;
	}
	return peer;
}

static bool transport_send_one(struct transport *transport)
{
	struct schedule *schedule = transport->schedule;
	struct peer *peer = transport_pick(transport);
	struct destination *destination;
	struct entry *entry;

	if (peer == NULL)
		return false;
	entry = peer->entries;
	destination = peer->destination;
	switch (schedule->ops->send(schedule->arg, transport, entry)) {
	case SCHEDULE_BLOCKED:
		transport->is_blocked = true;
		return false;
	case SCHEDULE_FAILED:
		return false;
	case SCHEDULE_SENT:
		break;
	}
	peer->job->selected++;
	entry_unlink(entry);
	entry->is_busy = true;
	DL_APPEND(destination->busy_entries, entry);
	destination->busy++;
	transport->busy++;
	destination_update(destination);
	return true;
}

void schedule_run(struct schedule *schedule, uint64_t now_ms)
{
	struct transport *transport, *after;
	bool again = !schedule->is_stopped;

	schedule->now_ms = now_ms;
	while (again) { /* transports in turn */
		again = false;
		HASH_ITER (hh, schedule->transports, transport, after)
			if (transport_may_send(transport) &&
			    transport_send_one(transport))
				again = true;
	}
}

static void transport_delivered(struct transport *transport, uint64_t now_ms)
{
	int delay_s = transport->settings.transport_rate_delay_s;

	transport->busy--;
	if (delay_s <= 0 || transport->is_dead)
		return;
	transport->in_rate_delay = true;
	timer_set(transport->schedule->timers, &transport->timer,
		  now_ms + (uint64_t)delay_s * 1000);
}

static void destination_delivered(struct destination *destination,
				  uint64_t now_ms)
{
	int delay_s = destination->transport->settings.rate_delay_s;

	if (delay_s <= 0 || destination->is_dead)
		return;
	destination->in_rate_delay = true;
	timer_set(destination->transport->schedule->timers, &destination->timer,
		  now_ms + (uint64_t)delay_s * 1000);
}

void schedule_entry_done(struct entry *entry, const struct fault *site,
			 uint64_t now_ms)
{
	struct destination *destination = entry->destination;

	destination->transport->schedule->now_ms = now_ms;
	if (!entry->is_busy) {
		entry_unlink(entry);
		destination_update(destination);
		return;
	}
	entry->is_busy = false;
	DL_DELETE(destination->busy_entries, entry);
	transport_delivered(destination->transport, now_ms);
	if (site != NULL && site->rc == RC_OK)
		destination_success(destination);
	else if (site != NULL)
		destination_failure(destination, site);
	destination->busy--;
	if (destination->is_dead)
		give_up_waiting(destination, &destination->dead);
	else
		destination_delivered(destination, now_ms);
	destination_update(destination);
}

void schedule_entry_again(struct entry *entry, uint64_t now_ms)
{
	struct destination *destination = entry->destination;
	struct job *job;

	assert(entry->is_busy);
	entry->is_busy = false;
	DL_DELETE(destination->busy_entries, entry);
	destination->busy--;
	destination->transport->busy--;
	destination->transport->schedule->now_ms = now_ms;
	job = schedule_job_new(destination->transport);
	schedule_job_urgent(job);
	schedule_add(job, destination, entry);
	if (destination->transport->is_dead)
		give_up_waiting(destination, &destination->transport->dead);
	else if (destination->is_dead)
		give_up_waiting(destination, &destination->dead);
	destination_update(destination);
}

void schedule_forgive(struct schedule *schedule)
{
	struct transport *transport, *next_transport;
	struct destination *destination, *next;

	HASH_ITER (hh, schedule->transports, transport, next_transport) {
		if (transport->is_dead)
			schedule_transport_revive(transport);
		HASH_ITER (hh, transport->destinations, destination, next)
			if (destination->is_dead)
				destination->timer.fire(&destination->timer,
							schedule->now_ms);
	}
}
