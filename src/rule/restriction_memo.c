/* SPDX-License-Identifier: Apache-2.0 */
/* What a question that has to wait keeps from one try to the next. */
#include "rule/restriction_priv.h"

struct step_link {
	struct rule_step step;
	struct step_link *next;
};

struct restriction_memo {
	struct step_link *steps, *last_step;
	size_t step_count;
};

struct restriction_memo *restriction_memo_new(TALLOC_CTX *mem)
{
	return mem_new(mem, struct restriction_memo);
}

/* ---- steps ---- */

struct rule_step *rule_step_take(struct evaluation *ev)
{
	struct restriction_memo *memo = ev->memo;
	struct step_link *link;

	if (ev->steps++ < memo->step_count) {
		link = memo->steps;
		for (size_t i = 1; i < ev->steps; i++)
			link = link->next;
		return &link->step;
	}
	link = mem_new(memo, struct step_link);
	if (memo->last_step == NULL)
		memo->steps = link;
	else
		memo->last_step->next = link;
	memo->last_step = link;
	memo->step_count++;
	return &link->step;
}

enum rule_result rule_wait_until(struct evaluation *ev, uint64_t until_ms)
{
	uint64_t *again_ms = &ev->verdict->again_ms;

	if (*again_ms == 0 || until_ms < *again_ms)
		*again_ms = until_ms;
	return RULE_WAIT;
}
