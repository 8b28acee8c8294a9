/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes of an attempt: results are noted and saved, notices sent, and in
 * the end the message is finished or parked.
 *
 *   results ─▶ all are in ─▶ too old? ─▶ notices ─▶ finish: removed
 *                                              └──▶ park: deferred, on hold
 */
#include "plan/qmgr_priv.h"

#include <utlist.h>

#include "mail/address.h"
#include "sys/log.h"

enum { FINISH_AGAIN_US = 10 * 1000000, US_A_SECOND = 1000000 };

static const char *copy_text(TALLOC_CTX *mem, const char *text)
{
	return text == NULL ? NULL : mem_strdup(mem, text);
}

void attempt_apply(struct attempt *attempt,
		   const struct delivery_status *status)
{
	static const uint8_t states[] = {
		[DELIVERY_SENT] = PART_SENT,
		[DELIVERY_DEFERRED] = PART_DEFERRED,
		[DELIVERY_BOUNCED] = PART_FAILED,
	};
	struct part *part = &attempt->parts[status->recipient];
	struct delivery_status *kept;

	if (status->action >= ARRAY_LEN(states) || part->state != PART_ASSIGNED)
		return;
	kept = mem_new(attempt, struct delivery_status);
	*kept = *status;
	kept->dsn_action = copy_text(kept, status->dsn_action);
	kept->reason = copy_text(kept, status->reason);
	kept->remote_mta = copy_text(kept, status->remote_mta);
	kept->diag_type = copy_text(kept, status->diag_type);
	kept->diag_text = copy_text(kept, status->diag_text);
	talloc_free(part->status);
	part->status = kept;
	part->state = states[status->action];
	part->is_unsaved = true;
	part->is_fresh = true;
	if ((attempt->env->flags & ENVELOPE_VERIFY) != 0)
		peers_probed(attempt->qmgr->peers,
			     &attempt->env->recipients[status->recipient],
			     kept);
}

/* "0.02", "4.2", "95": two significant digits, at most hundredths, and no zeros
 * at the end. */
static const char *delay_text(char out[16], uint64_t delay_us)
{
	double s = (double)delay_us / US_A_SECOND;
	int digits = s < 0.995 ? 2 : s < 9.95 ? 1 : 0;
	int len = snprintf(out, 16, "%.*f", digits, s);

	if (digits > 0) {
		while (len > 1 && out[len - 1] == '0')
			out[--len] = '\0';
		if (out[len - 1] == '.')
			out[--len] = '\0';
	}
	return out;
}

/* 0 when the clock was set back. */
static uint64_t us_between(uint64_t from_us, uint64_t to_us)
{
	return to_us > from_us ? to_us - from_us : 0;
}

static void log_decision(const struct attempt *attempt,
			 const struct recipient *recipient, const char *status,
			 const char *dsn, const char *reason)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	uint64_t before_us =
		us_between(attempt->env->arrival_us, attempt->active_us);
	uint64_t here_us =
		us_between(attempt->active_us, attempt->qmgr->now_us);
	const char *original = recipient->original;
	char all[16], before[16], here[16];

	if (original == NULL || strcmp(original, recipient->address) == 0)
		original = NULL;
	else
		original = mem_printf(tmp, ", orig_to=<%s>",
				      address_quote(tmp, span_from(original)));
	log_info("%s: to=<%s>%s, relay=none, delay=%s, delays=%s/%s/0/0, "
		 "dsn=%s, status=%s (%s)",
		 attempt->message->id,
		 address_quote(tmp, span_from(recipient->address)),
		 original == NULL ? "" : original,
		 delay_text(all, before_us + here_us),
		 delay_text(before, before_us), delay_text(here, here_us), dsn,
		 status, reason);
}

static const char *decision_word(const struct attempt *attempt,
				 enum delivery_action action)
{
	if (attempt_is_probe(attempt))
		return action == DELIVERY_SENT ? "deliverable"
					       : "undeliverable";
	return action == DELIVERY_SENT	     ? "sent"
	       : action == DELIVERY_DEFERRED ? "deferred"
					     : "bounced";
}

void attempt_decide(struct attempt *attempt, uint32_t recipient,
		    enum delivery_action action, const char *dsn,
		    const char *reason)
{
	struct delivery_status status = {
		.recipient = recipient,
		.action = action,
		.reason = reason,
		.dsn_action = action == DELIVERY_DEFERRED ? "delayed" : NULL,
		.diag_type = "X-Postfix",
		.diag_text = reason,
	};

	snprintf(status.dsn, sizeof(status.dsn), "%s", dsn);
	if (attempt_is_probe(attempt))
		status.dsn_action = decision_word(attempt, action);
	if (!attempt->message->doomed)
		log_decision(attempt, &attempt->env->recipients[recipient],
			     decision_word(attempt, action), dsn, reason);
	attempt->parts[recipient].state = PART_ASSIGNED;
	attempt_apply(attempt, &status);
}

static bool part_is_saved(const struct part *part, bool with_deferred)
{
	return !part->is_unsaved || part->status == NULL ||
	       (part->state == PART_DEFERRED && !with_deferred);
}

void attempt_save(struct attempt *attempt, bool with_deferred)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct qmgr *qmgr = attempt->qmgr;
	size_t all = attempt->env->recipient_count, count = 0;
	struct delivery_status *statuses;
	struct place file;
	struct fault fault;

	/* After a crash a probe is simply made again. */
	if (attempt_is_probe(attempt))
		return;
	for (size_t i = 0; i < all; i++)
		count += !part_is_saved(&attempt->parts[i], with_deferred);
	if (count == 0)
		return;
	statuses = mem_array(tmp, struct delivery_status, count);
	count = 0;
	for (size_t i = 0; i < all; i++)
		if (!part_is_saved(&attempt->parts[i], with_deferred)) {
			statuses[count] = *attempt->parts[i].status;
			statuses[count++].recipient = (uint32_t)i;
		}
	if (store_record(qmgr->store, message_place(attempt->message, &file),
			 attempt->message->id, statuses, count,
			 &fault) != RC_OK) {
		log_warning("%s: record what was delivered: %s",
			    attempt->message->id, fault.text);
		return;
	}
	for (size_t i = 0; i < all; i++)
		if (!part_is_saved(&attempt->parts[i], with_deferred))
			attempt->parts[i].is_unsaved = false;
}

static bool attempt_has(const struct attempt *attempt, enum part_state state)
{
	for (size_t i = 0; i < attempt->env->recipient_count; i++)
		if (attempt->parts[i].state == state)
			return true;
	return false;
}

static bool is_too_old(const struct attempt *attempt)
{
	const struct conf_values *v = &attempt->qmgr->conf->conf->v;
	const struct envelope *env = attempt->env;
	int limit_s = env->sender[0] == '\0' ? v->bounce_queue_lifetime
					     : v->maximal_queue_lifetime;

	if (attempt->message->force_expire)
		return true;
	return attempt->qmgr->now_us >=
	       env->arrival_us + (uint64_t)limit_s * US_A_SECOND;
}

/* What would be tried again never will be. */
static void attempt_expire(struct attempt *attempt)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	bool forced = attempt->message->force_expire;
	const char *sender = attempt->env->sender;

	if (attempt->message->want_hold || attempt->message->requeue ||
	    attempt_is_probe(attempt) || !is_too_old(attempt))
		return;
	if (!attempt_has(attempt, PART_DEFERRED))
		return;
	log_info("%s: from=<%s>, status=%s, returned to sender",
		 attempt->message->id,
		 sender[0] == '\0' ? "" : address_quote(tmp, span_from(sender)),
		 forced ? "force-expired" : "expired");
	for (size_t i = 0; i < attempt->env->recipient_count; i++) {
		struct part *part = &attempt->parts[i];

		if (part->state != PART_DEFERRED)
			continue;
		part->state = PART_FAILED;
		part->status->action = DELIVERY_BOUNCED;
		part->status->dsn_action = "failed";
		part->is_unsaved = true;
	}
}

/* Could not say that it is finished: it is, so only that is tried again. */
static void finish_later(struct qmgr *qmgr, struct message *message)
{
	message->doomed = true;
	message_set_state(qmgr->index, message, MESSAGE_DEFERRED,
			  qmgr->now_us + FINISH_AGAIN_US);
}

static void attempt_finish(struct attempt *attempt)
{
	struct qmgr *qmgr = attempt->qmgr;
	struct message *message = attempt->message;
	struct place file;
	struct fault fault;
	enum rc rc;

	rc = store_finish(qmgr->store, message_place(message, &file),
			  message->id, &fault);
	attempt_free(attempt);
	if (rc == RC_OK) {
		if (!message->doomed)
			log_info("%s: removed", message->id);
		message_free(qmgr->index, message);
		return;
	}
	log_warning("%s: remove: %s", message->id, fault.text);
	finish_later(qmgr, message);
}

static uint64_t next_attempt_us(const struct attempt *attempt)
{
	const struct conf_values *v = &attempt->qmgr->conf->conf->v;
	uint64_t now_us = attempt->qmgr->now_us;
	uint64_t min_us = (uint64_t)v->minimal_backoff_time * US_A_SECOND;
	uint64_t max_us = (uint64_t)v->maximal_backoff_time * US_A_SECOND;
	uint64_t age_us = us_between(attempt->env->arrival_us, now_us);

	return now_us + MIN_OF(MAX_OF(age_us, min_us), MAX_OF(max_us, min_us));
}

static size_t statuses_of(const struct attempt *attempt,
			  struct delivery_status *statuses)
{
	size_t count = 0;

	for (size_t i = 0; i < attempt->env->recipient_count; i++) {
		const struct part *part = &attempt->parts[i];

		if (part->status == NULL || part->state == PART_SETTLED ||
		    part->state == PART_SENT)
			continue;
		statuses[count] = *part->status;
		statuses[count++].recipient = (uint32_t)i;
	}
	return count;
}

static void move_to_file(struct attempt *attempt, const uint8_t *done,
			 uint64_t next_us)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct qmgr *qmgr = attempt->qmgr;
	struct message *message = attempt->message;
	struct delivery_status *statuses = mem_array(
		tmp, struct delivery_status, attempt->env->recipient_count);
	struct store_entry entry = {
		.place = *message->place,
		.env = attempt->env,
		.recipient_done = done,
		.next_attempt_us = next_us,
		.warned_us = attempt->warned_us,
		.on_hold = message->want_hold,
		.force_expire = message->force_expire,
		.statuses = statuses,
		.status_count = statuses_of(attempt, statuses),
	};
	struct place place = *message->place;
	struct fault fault;

	if (store_move(qmgr->store, &place, &entry, &fault) != RC_OK) {
		/* It stays where it is: as safe, only in the way. */
		log_warning("%s: move to a file: %s", message->id, fault.text);
		attempt_save(attempt, true);
		return;
	}
	message_set_place(message, &place);
	qmgr->have_moved = true;
}

static void update_file(struct attempt *attempt, uint64_t next_us)
{
	struct store *store = attempt->qmgr->store;
	const char *id = attempt->message->id;
	struct place file = { .in_file = true };
	struct fault fault;

	attempt_save(attempt, true);
	if (attempt->failure_noted && !attempt->notice_failed &&
	    store_set_noticed(store, &file, id, &fault) != RC_OK)
		log_warning("%s: %s", id, fault.text);
	if (store_set_next_attempt(store, id, next_us, &fault) != RC_OK ||
	    (attempt->message->want_hold &&
	     store_set_hold(store, id, true, &fault) != RC_OK))
		log_warning("%s: %s", id, fault.text);
}

static uint8_t *done_flags(TALLOC_CTX *mem, const struct attempt *attempt)
{
	size_t count = attempt->env->recipient_count;
	uint8_t *done = mem_array(mem, uint8_t, count);

	for (size_t i = 0; i < count; i++) {
		const struct part *part = &attempt->parts[i];

		done[i] = part->state == PART_SETTLED ||
			  part->state == PART_SENT ||
			  part->state == PART_FAILED;
	}
	return done;
}

void attempt_move(struct attempt *attempt)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const struct delivery *delivery;

	/* Nobody may be reading it where it is. */
	if (attempt->message->place == NULL || attempt->notices > 0)
		return;
	DL_FOREACH (attempt->deliveries, delivery)
		if (delivery->entry.is_busy)
			return;
	move_to_file(attempt, done_flags(tmp, attempt), attempt->qmgr->now_us);
}

static void attempt_park(struct attempt *attempt)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct qmgr *qmgr = attempt->qmgr;
	struct message *message = attempt->message;
	size_t count = attempt->env->recipient_count;
	uint8_t *done = done_flags(tmp, attempt);
	const char **reasons = mem_array(tmp, const char *, count);
	uint64_t next_us = next_attempt_us(attempt);
	bool hold = message->want_hold;

	for (size_t i = 0; i < count; i++)
		if (attempt->parts[i].status != NULL)
			reasons[i] = attempt->parts[i].status->reason;
	if (message->place != NULL)
		move_to_file(attempt, done, next_us);
	else
		update_file(attempt, next_us);
	message_park(qmgr->index, message, attempt->env, done, reasons);
	attempt_free(attempt);
	message->want_hold = message->is_flushed = false;
	message_set_state(qmgr->index, message,
			  hold ? MESSAGE_HOLD : MESSAGE_DEFERRED, next_us);
	if (message->requeue)
		jobs_requeue(qmgr, message);
}

void attempt_progress(struct attempt *attempt)
{
	if (attempt->deliveries != NULL || attempt->is_routing ||
	    attempt->notices > 0) {
		attempt_save(attempt, false);
		return;
	}
	if (attempt->message->doomed) {
		attempt_finish(attempt);
		return;
	}
	attempt_expire(attempt);
	if (notice_begin(attempt))
		return;
	if (attempt_has(attempt, PART_TODO) ||
	    (!attempt_is_probe(attempt) &&
	     (attempt_has(attempt, PART_DEFERRED) ||
	      attempt_has(attempt, PART_FAILED))))
		attempt_park(attempt);
	else
		attempt_finish(attempt);
}
