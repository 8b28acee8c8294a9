/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/store_priv.h"

struct collect {
	struct store_entry *entry;
	uint8_t *done;
	struct delivery_status *latest; /* by recipient; reason NULL: none */
	size_t count;
};

static void collect_status(void *arg, const struct delivery_status *status)
{
	struct collect *collect = arg;

	if (status->recipient >= collect->count)
		return;
	if (status->action != DELIVERY_DEFERRED)
		collect->done[status->recipient] = 1;
	collect->latest[status->recipient] = *status;
}

/* A notice went: only the recipients that wait keep their reason. */
static void collect_noticed(struct collect *collect)
{
	for (size_t i = 0; i < collect->count; i++)
		if (collect->latest[i].action == DELIVERY_BOUNCED)
			collect->latest[i].reason = NULL;
}

static void collect_record(struct collect *collect,
			   const struct outcome *outcome, struct span payload)
{
	struct store_entry *entry = collect->entry;
	uint64_t value = 0;

	switch (outcome->type) {
	case OUTCOME_STATUS:
		outcome_each_status(entry, payload, collect_status, collect);
		break;
	case OUTCOME_NOTICED:
		collect_noticed(collect);
		break;
	case OUTCOME_HOLD:
		if (outcome_number(payload, &value))
			entry->on_hold = value != 0;
		break;
	case OUTCOME_EXPIRE:
		entry->force_expire = true;
		break;
	case OUTCOME_WARNED:
		if (outcome_number(payload, &value))
			entry->warned_us = value;
		break;
	default:
		break; /* of a later version */
	}
}

static void keep_statuses(struct collect *collect)
{
	struct delivery_status *kept = collect->latest;
	size_t count = 0;

	for (size_t i = 0; i < collect->count; i++)
		if (kept[i].reason != NULL && kept[i].action != DELIVERY_SENT)
			kept[count++] = kept[i];
	collect->entry->statuses = kept;
	collect->entry->status_count = count;
}

struct store_entry *store_entry_make(TALLOC_CTX *mem, struct envelope *env,
				     struct span log)
{
	struct store_entry *entry = mem_new(mem, struct store_entry);
	size_t count = env->recipient_count;
	struct collect collect = {
		.entry = entry,
		.count = count,
		.done = mem_array(entry, uint8_t, count + 1),
		.latest = mem_array(entry, struct delivery_status, count + 1),
	};
	struct outcome outcome;
	struct span payload;
	size_t skipped;

	entry->env = talloc_steal(entry, env);
	entry->on_hold = (env->flags & ENVELOPE_HOLD) != 0;
	entry->force_expire = (env->flags & ENVELOPE_FORCE_EXPIRE) != 0;
	entry->warned_us = env->warned_us;
	entry->recipient_done = collect.done;
	while (outcome_take(&log, &outcome, &payload, &skipped))
		collect_record(&collect, &outcome, payload);
	keep_statuses(&collect);
	return entry;
}

static void log_put_done(struct buf *out, uint64_t generation,
			 const struct store_entry *entry)
{
	for (uint32_t i = 0; i < entry->env->recipient_count; i++) {
		struct delivery_status status = { .recipient = i,
						  .action = DELIVERY_SENT,
						  .dsn = "2.0.0",
						  .dsn_action = "relayed",
						  .reason = "" };

		if (entry->recipient_done != NULL && entry->recipient_done[i])
			outcome_put_statuses(out, generation, 0, &status, 1);
	}
}

/* Who is done first; the statuses that follow say more about some of them. */
void store_entry_log(struct buf *out, uint64_t generation,
		     const struct store_entry *entry)
{
	log_put_done(out, generation, entry);
	outcome_put_statuses(out, generation, 0, entry->statuses,
			     entry->status_count);
	if (entry->on_hold != ((entry->env->flags & ENVELOPE_HOLD) != 0))
		outcome_put_number(out, OUTCOME_HOLD, generation,
				   entry->on_hold);
	if (entry->force_expire)
		outcome_put(out, OUTCOME_EXPIRE, generation, 0, SPAN_OF(""));
	if (entry->warned_us != entry->env->warned_us)
		outcome_put_number(out, OUTCOME_WARNED, generation,
				   entry->warned_us);
}
