/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schedule - which delivery is next. Pure: it knows no sockets, files or
 * clocks; its owner sends what it picks and tells it what came of it.
 *
 *   transport ─┬─ destination (next hop) ── peer ── entry, entry, ...
 *              └─ job (one message) ────────┘ (one job at one destination)
 *
 * An entry is one delivery request: recipients of one message that go to one
 * destination. A destination takes `window` entries at a time; the window grows
 * and shrinks with success and failure. Among destinations with room the oldest
 * job is served, equal ones in turn; a job with many entries earns slots as it
 * goes and lets small ones pass with them.
 *
 * Times    milliseconds of a clock that only goes forward
 * Owner    transports are children of the schedule; destinations and jobs come
 *          and go; an entry is its owner's, freed after schedule_entry_done
 * Threads  the owner's
 * See      docs/queue-scheduling of the reference: SCHEDULER_README
 */
#pragma once

#include <uthash.h>

#include "plan/heap.h"
#include "plan/settings.h"

struct schedule;
struct destination;
struct job;
struct peer;

struct entry {
	struct destination *destination;
	struct peer *peer; /* NULL when it is being delivered */
	struct entry *prev, *next;
	bool is_busy;
	uint8_t tries; /* how often an agent died with it */
	void *owner;   /* what the owner likes */
};

struct transport {
	struct schedule *schedule;
	const char *name;
	struct transport_settings settings;
	struct destination *destinations; /* by name */
	struct job *jobs;		  /* oldest first */
	struct heap ready;		  /* destinations with room */
	uint32_t capacity; /* deliveries the agent takes; 0: none yet */
	uint32_t busy;
	uint32_t todo;	 /* entries that wait */
	bool is_blocked; /* the agent's socket is full */
	bool is_dead;
	struct fault dead;
	struct timer timer; /* end of death, or of a rate delay */
	bool in_rate_delay;
	struct job *candidate; /* for preemption, found at candidate_ms */
	uint64_t candidate_ms;
	void *owner;
	UT_hash_handle hh;
};

enum schedule_sent {
	SCHEDULE_SENT,
	SCHEDULE_BLOCKED, /* try again after schedule_unblock */
	SCHEDULE_FAILED,  /* transport_is_dead has been or will be told */
};

struct schedule_ops {
	enum schedule_sent (*send)(void *arg, struct transport *transport,
				   struct entry *entry);
	/* The entry will not be sent: its destination or transport has been
	 * given up. It is no longer in the schedule. */
	void (*give_up)(void *arg, struct entry *entry,
			const struct fault *why);
};

struct schedule {
	const struct schedule_ops *ops;
	void *arg;
	struct heap *timers;
	struct transport *transports;
	uint64_t now_ms;
	uint64_t next_job;
	int dead_ms; /* how long a destination stays given up */
	int dead_count;
	int dead_max;
	bool is_stopped; /* nothing new is sent */
};

struct schedule *schedule_new(TALLOC_CTX *mem, struct heap *timers,
			      const struct schedule_ops *ops, void *arg);
struct transport *schedule_transport_find(struct schedule *schedule,
					  const char *name);
struct transport *
schedule_transport_add(struct schedule *schedule, const char *name,
		       const struct transport_settings *settings);
/* Give up the whole transport until then; what waits is given up. */
void schedule_transport_die(struct transport *transport, uint64_t until_ms,
			    const struct fault *why);
void schedule_transport_revive(struct transport *transport);

/* Found or made. */
struct destination *schedule_destination(struct transport *transport,
					 const char *nexthop);
/* NULL when deliveries go there; else why not. */
const struct fault *
schedule_destination_dead(const struct destination *destination);
const char *schedule_destination_name(const struct destination *destination);
struct transport *
schedule_destination_transport(const struct destination *destination);
/* Entries that wait or are being delivered. */
uint32_t schedule_destination_load(const struct destination *destination);
int schedule_destination_window(const struct destination *destination);

/* One message at one transport. It goes by itself after its last entry. */
struct job *schedule_job_new(struct transport *transport);
/* Ahead of all others: what an agent died with. */
void schedule_job_urgent(struct job *job);
void schedule_add(struct job *job, struct destination *destination,
		  struct entry *entry);
/* Send what may be sent. */
void schedule_run(struct schedule *schedule, uint64_t now_ms);
/* The entry is out: delivered, given up by the owner, or withdrawn while it
 * waited. `site` is NULL when that says nothing about the destination, RC_OK
 * inside for success, else why it could not be reached. */
void schedule_entry_done(struct entry *entry, const struct fault *site,
			 uint64_t now_ms);
/* Like schedule_entry_done, to try it again. */
void schedule_entry_again(struct entry *entry, uint64_t now_ms);
/* Forget what is known about dead destinations and transports (flush). */
void schedule_forgive(struct schedule *schedule);
