/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The round of the queue manager: what is due becomes active, what is active is
 * scheduled, what was moved is flushed.
 */
#include "plan/qmgr_priv.h"

#include "sys/log.h"

enum {
	BEGINS_A_ROUND = 200, /* messages made active before others' turn */
	HOUSEKEEPING_MS = 1000,
	US_A_MS = 1000,
	FINISH_AGAIN_US = 10 * 1000000,
};

static void qmgr_round(void *arg)
{
	struct qmgr *qmgr = arg;

	qmgr_work(qmgr, clock_mono_ms(), clock_wall_us());
}

static void qmgr_tick(void *arg)
{
	/* The hook at the end of the round does it all. */
}

static int qmgr_done(struct qmgr *qmgr)
{
	plan_conf_unref(qmgr->conf);
	HASH_CLEAR(hh, qmgr->in_flight);
	notice_close(qmgr);
	poller_timer_clear(qmgr->poller, &qmgr->tick);
	return 0;
}

static void settings_apply(struct qmgr *qmgr)
{
	const struct conf_values *v = &qmgr->conf->conf->v;

	qmgr->schedule->dead_ms = v->minimal_backoff_time * 1000;
	qmgr->schedule->dead_max = v->qmgr_message_recipient_limit;
}

enum rc qmgr_open(TALLOC_CTX *mem, struct conf *conf, struct store *store,
		  struct poller *poller, struct qmgr **ret_qmgr,
		  struct fault *fault)
{
	struct plan_conf *plan_conf;
	struct qmgr *qmgr;

	if (plan_conf_open(conf, &plan_conf, fault) != RC_OK)
		return fault->rc;
	qmgr = mem_new(mem, struct qmgr);
	qmgr->conf = plan_conf;
	qmgr->store = store;
	qmgr->poller = poller;
	qmgr->connect = agent_connect_unix;
	qmgr->now_us = clock_wall_us();
	heap_init(&qmgr->timers, qmgr);
	qmgr->index = message_index_new(qmgr);
	qmgr->schedule =
		schedule_new(qmgr, &qmgr->timers, &delivery_schedule_ops, qmgr);
	qmgr->schedule->now_ms = clock_mono_ms();
	settings_apply(qmgr);
	notice_open(qmgr);
	qmgr->peers = peers_open(qmgr);
	qmgr->tick.fired = qmgr_tick;
	qmgr->tick.arg = qmgr;
	poller_round_hook(poller, qmgr_round, qmgr);
	talloc_set_destructor(qmgr, qmgr_done);
	*ret_qmgr = qmgr;
	return RC_OK;
}

/* It must not leave before somebody says so. */
static void hold_new(struct qmgr *qmgr, struct message *message,
		     struct envelope *env)
{
	struct store_entry entry = {
		.env = env,
		.on_hold = true,
		.next_attempt_us = qmgr->now_us,
	};
	struct fault fault;
	enum rc rc;

	if (message->place == NULL) {
		rc = store_set_hold(qmgr->store, message->id, true, &fault);
	} else {
		struct place place = *message->place;

		entry.place = place;
		entry.recipient_done =
			mem_array(env, uint8_t, env->recipient_count);
		rc = store_move(qmgr->store, &place, &entry, &fault);
		if (rc == RC_OK) {
			message_set_place(message, &place);
			qmgr->have_moved = true;
		}
	}
	if (rc != RC_OK)
		log_warning("%s: place on hold: %s", message->id, fault.text);
	message_set_state(qmgr->index, message, MESSAGE_HOLD, 0);
}

static const char *const *found_reasons(TALLOC_CTX *mem,
					const struct store_entry *entry)
{
	size_t count = entry->env->recipient_count;
	const char **reasons = mem_array(mem, const char *, count);

	for (size_t i = 0; i < entry->status_count; i++)
		if (entry->statuses[i].recipient < count)
			reasons[entry->statuses[i].recipient] =
				entry->statuses[i].reason;
	return reasons;
}

void qmgr_found(void *arg, TALLOC_CTX *mem, const struct store_entry *entry)
{
	struct qmgr *qmgr = arg;
	const char *id = entry->env->queue_id;
	struct message *message;

	if (message_find(qmgr->index, id) != NULL)
		return;
	message = message_new(qmgr->index, id, &entry->place);
	message->force_expire = entry->force_expire;
	message_park(qmgr->index, message, entry->env, entry->recipient_done,
		     found_reasons(mem, entry));
	if (entry->on_hold)
		message_set_state(qmgr->index, message, MESSAGE_HOLD, 0);
	else if ((entry->env->flags & ENVELOPE_HOLD) != 0 &&
		 !entry->place.in_file)
		hold_new(qmgr, message, entry->env);
	else if (entry->next_attempt_us > qmgr->now_us)
		message_set_state(qmgr->index, message, MESSAGE_DEFERRED,
				  entry->next_attempt_us);
}

enum rc qmgr_load(struct qmgr *qmgr, struct fault *fault)
{
	return store_scan(qmgr->store, qmgr_found, qmgr, fault);
}

static bool has_room(const struct qmgr *qmgr)
{
	const struct conf_values *v = &qmgr->conf->conf->v;
	uint32_t active = qmgr->index->counts[MESSAGE_ACTIVE];

	return active == 0 ||
	       (active < (uint32_t)v->qmgr_message_active_limit &&
		qmgr->active_recipients <
			(uint32_t)v->qmgr_message_recipient_limit);
}

void qmgr_new_message(struct qmgr *qmgr, const struct place *place,
		      const char *queue_id, struct envelope *env)
{
	struct message *message;

	/* The store knows what it has reported; the index what is here. */
	if (!store_note(qmgr->store, place, queue_id) ||
	    message_find(qmgr->index, queue_id) != NULL)
		return;
	message = message_new(qmgr->index, queue_id, place);
	if (env == NULL)
		return; /* read when its turn comes */
	if ((env->flags & ENVELOPE_HOLD) != 0) {
		message_park(qmgr->index, message, env, NULL, NULL);
		hold_new(qmgr, message, env);
		return;
	}
	/* First come, first served; the round may have room right now. */
	if (has_room(qmgr) && qmgr->index->incoming == message &&
	    !qmgr->is_draining)
		attempt_begin(qmgr, message, env, NULL);
	else
		message_park(qmgr->index, message, env, NULL, NULL);
}

static void finish_again(struct qmgr *qmgr, struct message *message)
{
	struct place file;
	struct fault fault;

	if (store_finish(qmgr->store, message_place(message, &file),
			 message->id, &fault) == RC_OK)
		message_free(qmgr->index, message);
	else
		message_set_state(qmgr->index, message, MESSAGE_DEFERRED,
				  qmgr->now_us + FINISH_AGAIN_US);
}

static struct message *next_deferred(const struct qmgr *qmgr)
{
	struct heap_item *item = heap_top(&qmgr->index->deferred);

	if (item == NULL || item->key > qmgr->now_us)
		return NULL;
	return HOLDER_OF(item, struct message, due);
}

/* One from the new, one from the deferred, in turn. */
static struct message *next_message(struct qmgr *qmgr)
{
	struct message *fresh = qmgr->index->incoming;
	struct message *deferred = next_deferred(qmgr);

	if (fresh == NULL || deferred == NULL)
		return fresh != NULL ? fresh : deferred;
	qmgr->turn_of_deferred = !qmgr->turn_of_deferred;
	return qmgr->turn_of_deferred ? deferred : fresh;
}

/* false: there is more. */
static bool begin_due(struct qmgr *qmgr)
{
	for (int i = 0; i < BEGINS_A_ROUND; i++) {
		struct message *message;

		if (!has_room(qmgr))
			return true;
		message = next_message(qmgr);
		if (message == NULL)
			return true;
		if (message->doomed)
			finish_again(qmgr, message);
		else
			attempt_begin_parked(qmgr, message);
	}
	return false;
}

/* A few records keep a segment from being used again. */
static void straggler(void *arg, const struct place *place,
		      const char *queue_id)
{
	struct qmgr *qmgr = arg;
	struct message *message = message_find(qmgr->index, queue_id);
	struct store_entry *entry;
	struct fault fault;

	if (message == NULL || message->place == NULL)
		return;
	if (message->attempt != NULL) {
		attempt_move(message->attempt);
		return;
	}
	if (store_read(qmgr, qmgr->store, message->place, queue_id, &entry,
		       &fault) == RC_OK) {
		struct place to = *message->place;

		if (message->state == MESSAGE_DEFERRED)
			entry->next_attempt_us = message->due.key;
		entry->on_hold |= message->state == MESSAGE_HOLD;
		entry->force_expire |= message->force_expire;
		if (store_move(qmgr->store, &to, entry, &fault) == RC_OK) {
			message_set_place(message, &to);
			qmgr->have_moved = true;
		}
		talloc_free(entry);
	}
}

static void housekeeping(struct qmgr *qmgr, uint64_t now_ms)
{
	if (now_ms < qmgr->housekeeping_ms)
		return;
	qmgr->housekeeping_ms = now_ms + HOUSEKEEPING_MS;
	store_stragglers(qmgr->store, straggler, qmgr);
}

static void set_tick(struct qmgr *qmgr, uint64_t now_ms, bool at_once)
{
	uint64_t due_ms =
		MIN_OF(timers_next_ms(&qmgr->timers), qmgr->housekeeping_ms);
	struct heap_item *item = heap_top(&qmgr->index->deferred);

	if (item != NULL && has_room(qmgr)) {
		uint64_t wait_us =
			item->key > qmgr->now_us ? item->key - qmgr->now_us : 0;

		due_ms = MIN_OF(due_ms, now_ms + wait_us / US_A_MS + 1);
	}
	if (at_once)
		due_ms = now_ms;
	poller_timer_set(qmgr->poller, &qmgr->tick, due_ms);
}

void qmgr_work(struct qmgr *qmgr, uint64_t now_ms, uint64_t now_us)
{
	bool all_begun = true;

	qmgr->now_us = now_us;
	qmgr->schedule->now_ms = now_ms;
	timers_run(&qmgr->timers, now_ms);
	if (!qmgr->is_draining)
		all_begun = begin_due(qmgr);
	schedule_run(qmgr->schedule, now_ms);
	delivery_stillborn_work(qmgr);
	notice_work(qmgr);
	peers_work(qmgr->peers);
	housekeeping(qmgr, now_ms);
	if (qmgr->have_moved) {
		struct fault fault;

		if (store_move_flush(qmgr->store, &fault) != RC_OK)
			log_warning("flush of moved messages: %s", fault.text);
		qmgr->have_moved = false;
	}
	set_tick(qmgr, now_ms, !all_begun || peers_are_busy(qmgr->peers));
}

void qmgr_flush_message(struct qmgr *qmgr, struct message *message)
{
	if (message->state != MESSAGE_DEFERRED || message->doomed)
		return;
	message->is_flushed = true;
	message_set_state(qmgr->index, message, MESSAGE_DEFERRED, qmgr->now_us);
}

void qmgr_flush_all(struct qmgr *qmgr)
{
	struct heap *heap = &qmgr->index->deferred;

	/* Equal keys, and orders that rise with the place, are a heap. */
	for (uint32_t i = 0; i < heap->count; i++) {
		struct message *message =
			HOLDER_OF(heap->items[i], struct message, due);

		message->is_flushed = true;
		message->due.key = qmgr->now_us;
		message->due.order = heap->next_order++;
	}
	schedule_forgive(qmgr->schedule);
}

void qmgr_reload(struct qmgr *qmgr, struct conf *conf)
{
	struct plan_conf *plan_conf;
	struct transport *transport, *after;
	struct fault fault;

	if (plan_conf_open(conf, &plan_conf, &fault) != RC_OK) {
		log_error("the new configuration is not used: %s", fault.text);
		return;
	}
	plan_conf_unref(qmgr->conf);
	qmgr->conf = plan_conf;
	settings_apply(qmgr);
	HASH_ITER (hh, qmgr->schedule->transports, transport, after) {
		struct transport_settings settings;

		if (transport_settings_load(plan_conf->conf, transport->name,
					    &settings, &fault) == RC_OK)
			transport->settings = settings;
		else
			log_error("%s", fault.text);
	}
	schedule_forgive(qmgr->schedule);
}

void qmgr_drain(struct qmgr *qmgr)
{
	qmgr->is_draining = true;
	qmgr->schedule->is_stopped = true;
}

bool qmgr_is_idle(const struct qmgr *qmgr)
{
	return qmgr->in_flight == NULL && qmgr->stillborn == NULL &&
	       qmgr->notices_sent == NULL && !qmgr->have_moved &&
	       jobs_are_idle(qmgr);
}
