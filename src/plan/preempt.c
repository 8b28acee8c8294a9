/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job of many deliveries earns one slot for every `slot_cost` of them. A job
 * that needs no more slots than the big one has, less a discount and a loan,
 * may go first and uses them up. So a newsletter is slowed by at most a known
 * part, and a letter does not wait for all of it.
 */
#include "plan/schedule_priv.h"

enum {
	CANDIDATES_MAX = 200, /* jobs looked at in one search */
	CANDIDATE_MS = 1000,  /* a fruitless search is not repeated before */
};

static bool job_can_run(const struct job *job)
{
	const struct peer *peer = job->peers;
	int looked = 0;

	for (; peer != NULL && looked < CANDIDATES_MAX; looked++) {
		if (heap_has(&peer->destination->item))
			return true;
		peer = peer->next;
	}
	return false;
}

/* The oldest for its size, among those that `slots` could pay for. */
static struct job *candidate_find(const struct job *current, int slots)
{
	const struct transport *transport = current->transport;
	double best_score = 0;
	struct job *best = NULL;
	int looked = 0;

	for (struct job *job = current->next;
	     job != NULL && looked < CANDIDATES_MAX; job = job->next) {
		double score;

		looked++;
		if (job->key < current->key || (int)job->waiting > slots ||
		    !job_can_run(job))
			continue;
		score = (double)(transport->schedule->next_job - job->key) /
			job->waiting;
		if (score <= best_score)
			continue;
		best = job;
		best_score = score;
	}
	return best;
}

static void job_move(struct job *job, uint64_t key)
{
	struct peer *peer = job->peers, *after;

	job->key = key;
	for (; peer != NULL; peer = after) {
		after = peer->next;
		heap_put(&peer->destination->peers, &peer->item, key);
		destination_update(peer->destination);
	}
}

void preempt_forget(struct job *job)
{
	if (job->transport->candidate == job)
		job->transport->candidate = NULL;
}

static struct job *candidate_get(struct job *current, int slots)
{
	struct transport *transport = current->transport;
	uint64_t now_ms = transport->schedule->now_ms;
	struct job *candidate = transport->candidate;

	if (candidate != NULL && candidate != current &&
	    candidate->key > current->key && (int)candidate->waiting <= slots &&
	    job_can_run(candidate))
		return candidate;
	if (candidate == NULL && transport->candidate_ms > now_ms)
		return NULL;
	transport->candidate = candidate_find(current, slots);
	transport->candidate_ms =
		transport->candidate == NULL ? now_ms + CANDIDATE_MS : 0;
	return transport->candidate;
}

bool preempt_attempt(struct job *job)
{
	const struct transport_settings *set = &job->transport->settings;
	struct job *candidate;
	int have, may_have;
	double need;

	if (set->slot_cost <= 0)
		return false;
	may_have = (int)(job->selected + job->waiting) / set->slot_cost -
		   (int)job->spent;
	if (may_have < set->minimum_slots || job->key == 0)
		return false;
	candidate = candidate_get(job, may_have);
	if (candidate == NULL)
		return false;
	have = (int)job->selected / set->slot_cost - (int)job->spent;
	need = candidate->waiting * (100 - set->slot_discount) / 100.0 -
	       set->slot_loan;
	if (have < need)
		return false;
	job->spent += candidate->waiting;
	job->transport->candidate = NULL;
	job_move(candidate, job->key - 1);
	return true;
}
