/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/schedule_priv.h"

#include <utlist.h>

static void destination_free(struct destination *destination)
{
	struct transport *transport = destination->transport;

	heap_drop(&transport->ready, &destination->item);
	timer_cancel(transport->schedule->timers, &destination->timer);
	HASH_DEL(transport->destinations, destination);
	talloc_free(destination);
}

static bool destination_has_room(const struct destination *destination)
{
	return destination->todo > 0 && !destination->is_dead &&
	       !destination->in_rate_delay &&
	       destination->busy < (uint32_t)destination->window;
}

void destination_update(struct destination *destination)
{
	struct heap *ready = &destination->transport->ready;

	if (destination->todo == 0 && destination->busy == 0 &&
	    !destination->is_dead && !destination->in_rate_delay) {
		destination_free(destination);
		return;
	}
	if (destination_has_room(destination))
		heap_put(ready, &destination->item,
			 heap_top(&destination->peers)->key);
	else
		heap_drop(ready, &destination->item);
}

/* The end of a suspension or of a rate delay: begin anew. */
static void destination_timer(struct timer *timer, uint64_t now_ms)
{
	struct destination *destination =
		HOLDER_OF(timer, struct destination, timer);
	struct schedule *schedule = destination->transport->schedule;

	timer_cancel(schedule->timers, timer);
	destination->in_rate_delay = false;
	if (destination->is_dead) {
		destination->is_dead = false;
		schedule->dead_count--;
		destination->window =
			destination->transport->settings.initial_concurrency;
		destination->success = destination->failure = 0;
		destination->failed_cohorts = 0;
	}
	destination_update(destination);
}

struct destination *schedule_destination(struct transport *transport,
					 const char *nexthop)
{
	struct destination *destination;

	HASH_FIND_STR(transport->destinations, nexthop, destination);
	if (destination != NULL)
		return destination;
	destination = mem_new(transport, struct destination);
	destination->transport = transport;
	destination->name = mem_strdup(destination, nexthop);
	destination->window = transport->settings.initial_concurrency;
	destination->timer.fire = destination_timer;
	heap_init(&destination->peers, destination);
	HASH_ADD_KEYPTR(hh, transport->destinations, destination->name,
			strlen(destination->name), destination);
	return destination;
}

const struct fault *
schedule_destination_dead(const struct destination *destination)
{
	return destination->is_dead ? &destination->dead : NULL;
}

const char *schedule_destination_name(const struct destination *destination)
{
	return destination->name;
}

struct transport *
schedule_destination_transport(const struct destination *destination)
{
	return destination->transport;
}

uint32_t schedule_destination_load(const struct destination *destination)
{
	return destination->todo + destination->busy;
}

int schedule_destination_window(const struct destination *destination)
{
	return destination->is_dead ? 0 : destination->window;
}

void destination_success(struct destination *destination)
{
	const struct transport_settings *set =
		&destination->transport->settings;

	if (destination->is_dead)
		return;
	destination->failed_cohorts = 0;
	/* More room than is used is no reason for more; and after a failure it
	 * would take longer to notice. */
	if ((uint32_t)destination->window >=
	    destination->busy + (uint32_t)set->initial_concurrency)
		return;
	destination->success +=
		feedback_step(&set->positive, destination->window);
	while (destination->success >= 1) {
		destination->window++;
		destination->success -= 1;
		destination->failure = 0;
	}
	if (set->concurrency_limit > 0 &&
	    destination->window > set->concurrency_limit)
		destination->window = set->concurrency_limit;
}

void destination_die(struct destination *destination, const struct fault *why)
{
	struct schedule *schedule = destination->transport->schedule;

	if (destination->is_dead || schedule->dead_count >= schedule->dead_max)
		return;
	destination->is_dead = true;
	destination->in_rate_delay = false;
	schedule->dead_count++;
	destination->dead = *why;
	fault_add(&destination->dead, "delivery temporarily suspended");
	timer_set(schedule->timers, &destination->timer,
		  schedule->now_ms + (uint64_t)schedule->dead_ms);
}

void destination_failure(struct destination *destination,
			 const struct fault *why)
{
	const struct transport_settings *set =
		&destination->transport->settings;

	if (destination->is_dead)
		return;
	destination->failed_cohorts += 1.0 / destination->window;
	/* Sums of 1/n may stay a hair below a whole number. */
	if (set->failed_cohort_limit > 0 &&
	    destination->failed_cohorts > set->failed_cohort_limit + 1e-6) {
		destination_die(destination, why);
		return;
	}
	destination->failure -=
		feedback_step(&set->negative, destination->window);
	while (destination->failure < 0) {
		destination->window--;
		destination->failure += 1;
		destination->success = 0;
	}
	if (destination->window < 1)
		destination->window = 1;
}
