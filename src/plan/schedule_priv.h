/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schedule_priv - destinations and jobs, as the files of the scheduler see
 * them.
 */
#pragma once

#include "plan/schedule.h"

struct peer {
	struct heap_item item; /* in destination->peers, by job->key */
	struct job *job;
	struct destination *destination;
	struct entry *entries;
	struct peer *prev, *next; /* in job->peers */
};

struct job {
	struct transport *transport;
	uint64_t key; /* place in the order */
	uint32_t waiting, selected;
	uint32_t spent; /* slots that others used */
	struct peer *peers;
	struct job *prev, *next;
};

struct destination {
	struct heap_item item; /* in transport->ready */
	struct transport *transport;
	const char *name;
	int window;
	uint32_t busy, todo;
	double success, failure, failed_cohorts;
	bool is_dead, in_rate_delay;
	struct fault dead;
	struct timer timer;
	struct heap peers;
	struct entry *busy_entries;
	UT_hash_handle hh;
};

/* Jobs are this far apart, so that others can be put between. */
enum { JOB_KEY_STEP = 1 << 20 };

/* Bring its place among the ready up to date; a destination that nobody needs
 * any more is freed. */
void destination_update(struct destination *destination);
void destination_success(struct destination *destination);
void destination_failure(struct destination *destination,
			 const struct fault *why);
void destination_die(struct destination *destination, const struct fault *why);

/* Let a small job pass `job`, which would be served now. True: the order has
 * changed. */
bool preempt_attempt(struct job *job);
/* No job may stay a candidate after it is gone. */
void preempt_forget(struct job *job);

/* Take the entry out of where it waits. Its job and peer may be gone then. */
void entry_unlink(struct entry *entry);
