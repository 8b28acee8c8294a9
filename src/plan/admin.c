/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the administrator does to messages, also while they are being delivered:
 * a delivery under way is never called back, and what it reports still counts.
 */
#include "plan/qmgr_priv.h"

#include "sys/log.h"

const char *message_queue_name(const struct message *message)
{
	static const char *const names[] = {
		[MESSAGE_INCOMING] = "incoming",
		[MESSAGE_ACTIVE] = "active",
		[MESSAGE_DEFERRED] = "deferred",
		[MESSAGE_HOLD] = "hold",
	};

	return names[message->state];
}

/* Should the power fail while deliveries are under way, it stays deleted. */
static void delete_active(struct attempt *attempt)
{
	for (size_t i = 0; i < attempt->env->recipient_count; i++) {
		struct part *part = &attempt->parts[i];

		if (part->state == PART_ASSIGNED)
			continue;
		part->state = PART_SETTLED;
		if (part->status == NULL)
			part->status = mem_new(attempt, struct delivery_status);
		part->status->action = DELIVERY_SENT;
		part->is_unsaved = true;
	}
	attempt_save(attempt, true);
}

static bool delete_message(struct qmgr *qmgr, struct message *message)
{
	struct attempt *attempt = message->attempt;
	struct place file;
	struct fault fault;

	if (message->doomed)
		return false;
	message->doomed = true;
	if (attempt != NULL) {
		attempt_withdraw(attempt);
		if (attempt->deliveries != NULL || attempt->notices > 0)
			delete_active(attempt);
		attempt_progress(attempt);
		return true;
	}
	if (store_finish(qmgr->store, message_place(message, &file),
			 message->id, &fault) != RC_OK) {
		log_warning("%s: remove: %s", message->id, fault.text);
		message_set_state(qmgr->index, message, MESSAGE_DEFERRED,
				  qmgr->now_us + 1000000);
		return true;
	}
	message_free(qmgr->index, message);
	return true;
}

/* A message that waits in the journal gets a file: hold is kept there. */
static bool move_parked(struct qmgr *qmgr, struct message *message, bool hold)
{
	struct place place = *message->place;
	struct store_entry *entry;
	struct fault fault;

	if (store_read(qmgr, qmgr->store, &place, message->id, &entry,
		       &fault) != RC_OK) {
		log_warning("%s: %s", message->id, fault.text);
		return false;
	}
	entry->on_hold = hold;
	entry->force_expire |= message->force_expire;
	if (store_move(qmgr->store, &place, entry, &fault) != RC_OK) {
		log_warning("%s: %s", message->id, fault.text);
		talloc_free(entry);
		return false;
	}
	if (message->parked == NULL)
		message_park(qmgr->index, message, entry->env,
			     entry->recipient_done, NULL);
	talloc_free(entry);
	message_set_place(message, &place);
	qmgr->have_moved = true;
	return true;
}

static bool hold_message(struct qmgr *qmgr, struct message *message)
{
	struct fault fault;

	if (message->doomed || message->want_hold ||
	    message->state == MESSAGE_HOLD)
		return false;
	if (message->attempt != NULL) {
		struct attempt *attempt = message->attempt;

		message->want_hold = true;
		if (message->place == NULL &&
		    store_set_hold(qmgr->store, message->id, true, &fault) !=
			    RC_OK)
			log_warning("%s: %s", message->id, fault.text);
		attempt_withdraw(attempt);
		attempt_progress(attempt);
		return true;
	}
	if (message->place != NULL) {
		if (!move_parked(qmgr, message, true))
			return false;
	} else if (store_set_hold(qmgr->store, message->id, true, &fault) !=
		   RC_OK) {
		log_warning("%s: %s", message->id, fault.text);
		return false;
	}
	message_set_state(qmgr->index, message, MESSAGE_HOLD, 0);
	return true;
}

static bool release_message(struct qmgr *qmgr, struct message *message)
{
	struct fault fault;

	if (message->want_hold) {
		message->want_hold = false;
		if (message->place != NULL)
			return true;
	} else if (message->state != MESSAGE_HOLD) {
		return false;
	}
	if (store_set_hold(qmgr->store, message->id, false, &fault) != RC_OK) {
		log_warning("%s: %s", message->id, fault.text);
		return false;
	}
	if (message->attempt == NULL)
		message_set_state(qmgr->index, message, MESSAGE_DEFERRED,
				  qmgr->now_us);
	return true;
}

static bool expire_message(struct qmgr *qmgr, struct message *message)
{
	struct fault fault;

	if (message->doomed)
		return false;
	message->force_expire = true;
	if (message->place == NULL &&
	    store_set_force_expire(qmgr->store, message->id, &fault) != RC_OK)
		log_warning("%s: %s", message->id, fault.text);
	return true;
}

static bool requeue_message(struct qmgr *qmgr, struct message *message)
{
	if (message->doomed || message->requeue)
		return false;
	message->requeue = true;
	if (message->attempt != NULL) {
		attempt_withdraw(message->attempt);
		attempt_progress(message->attempt);
		return true;
	}
	jobs_requeue(qmgr, message);
	return true;
}

bool admin_apply(struct qmgr *qmgr, struct message *message,
		 enum admin_action action)
{
	/* A job is copying it to the maildrop: it is as good as gone. */
	if (message->requeue && message->attempt == NULL)
		return false;
	switch (action) {
	case ADMIN_DELETE:
		return delete_message(qmgr, message);
	case ADMIN_HOLD:
		return hold_message(qmgr, message);
	case ADMIN_RELEASE:
		return release_message(qmgr, message);
	case ADMIN_REQUEUE:
		return requeue_message(qmgr, message);
	case ADMIN_EXPIRE:
		return expire_message(qmgr, message);
	}
	return false;
}
