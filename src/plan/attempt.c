/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One attempt to deliver a message: from the queue into deliveries. What comes
 * of it is in outcome.c.
 */
#include "plan/qmgr_priv.h"

#include "mail/address.h"
#include "sys/log.h"

enum { READ_AGAIN_US = 60 * 1000000 };

/* A sender or recipient as logs show it: quoted where needed. */
static const char *log_address(TALLOC_CTX *mem, const char *address)
{
	if (!address_needs_quotes(span_from(address)))
		return address;
	return address_quote(mem, span_from(address));
}

static struct delivery_status *status_copy(struct attempt *attempt,
					   const struct delivery_status *from)
{
	struct delivery_status *status =
		mem_new(attempt, struct delivery_status);

	*status = *from;
	if (from->dsn_action != NULL)
		status->dsn_action = mem_strdup(status, from->dsn_action);
	if (from->reason != NULL)
		status->reason = mem_strdup(status, from->reason);
	if (from->remote_mta != NULL)
		status->remote_mta = mem_strdup(status, from->remote_mta);
	if (from->diag_type != NULL)
		status->diag_type = mem_strdup(status, from->diag_type);
	if (from->diag_text != NULL)
		status->diag_text = mem_strdup(status, from->diag_text);
	return status;
}

/* What earlier attempts left: who is done, failures without a notice, reasons.
 */
static void parts_take_entry(struct attempt *attempt,
			     const struct store_entry *entry)
{
	size_t count = attempt->env->recipient_count;

	for (size_t i = 0; i < count; i++)
		if (entry->recipient_done != NULL && entry->recipient_done[i])
			attempt->parts[i].state = PART_SETTLED;
	for (size_t i = 0; i < entry->status_count; i++) {
		const struct delivery_status *status = &entry->statuses[i];
		struct part *part;

		if (status->recipient >= count)
			continue;
		part = &attempt->parts[status->recipient];
		if (status->action == DELIVERY_BOUNCED)
			part->state = PART_FAILED;
		if (status->action == DELIVERY_BOUNCED ||
		    part->state == PART_TODO) {
			talloc_free(part->status);
			part->status = status_copy(attempt, status);
		}
	}
}

/* REDIRECT: all of it goes to one address, the other recipients are settled. */
static void parts_redirect(struct attempt *attempt)
{
	struct envelope *env = attempt->env;
	bool have = false;

	if (env->redirect == NULL || env->redirect[0] == '\0')
		return;
	for (size_t i = 0; i < env->recipient_count; i++) {
		struct part *part = &attempt->parts[i];

		if (part->state != PART_TODO)
			continue;
		if (!have) {
			env->recipients[i].address = env->redirect;
			have = true;
			continue;
		}
		part->state = PART_SETTLED;
	}
}

static size_t parts_todo(const struct attempt *attempt)
{
	size_t count = 0;

	for (size_t i = 0; i < attempt->env->recipient_count; i++)
		count += attempt->parts[i].state == PART_TODO;
	return count;
}

static struct attempt *attempt_new(struct qmgr *qmgr, struct message *message,
				   struct envelope *env)
{
	struct attempt *attempt = mem_new(qmgr, struct attempt);

	qmgr_clock(qmgr);
	attempt->qmgr = qmgr;
	attempt->message = message;
	attempt->env = talloc_steal(attempt, env);
	attempt->parts = mem_array(attempt, struct part, env->recipient_count);
	for (size_t i = 0; i < env->recipient_count; i++)
		attempt->parts[i].state = PART_TODO;
	attempt->active_us = qmgr->now_us;
	attempt->warned_us = env->warned_us;
	message->attempt = attempt;
	message->arrival_us = env->arrival_us;
	message->size_bytes = env->size_bytes;
	message_unpark(qmgr->index, message);
	message_set_state(qmgr->index, message, MESSAGE_ACTIVE, 0);
	qmgr->active_recipients += (uint32_t)env->recipient_count;
	qmgr->probes += (env->flags & ENVELOPE_VERIFY) != 0;
	return attempt;
}

void attempt_free(struct attempt *attempt)
{
	assert(attempt->deliveries == NULL && attempt->notices == 0);
	attempt->qmgr->active_recipients -=
		(uint32_t)attempt->env->recipient_count;
	attempt->qmgr->probes -= (attempt->env->flags & ENVELOPE_VERIFY) != 0;
	attempt->message->attempt = NULL;
	talloc_free(attempt);
}

void attempt_routed(struct attempt *attempt, const struct routing *routings,
		    size_t count)
{
	/* Nothing is concluded before all recipients are assigned. */
	attempt->is_routing = true;
	if (attempt->message->doomed || attempt->message->want_hold) {
		for (size_t i = 0; i < count; i++)
			attempt->parts[routings[i].recipient].state = PART_TODO;
	} else {
		attempt_assign(attempt, routings, count);
	}
	attempt->is_routing = false;
	attempt_progress(attempt);
}

static void attempt_route(struct attempt *attempt)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	size_t count = parts_todo(attempt), at = 0;
	struct routing *routings = mem_array(tmp, struct routing, count);

	for (uint32_t i = 0; i < attempt->env->recipient_count; i++)
		if (attempt->parts[i].state == PART_TODO)
			routings[at++].recipient = i;
	if (resolver_is_quick(attempt->qmgr->conf->resolver) &&
	    ((attempt->env->flags & ENVELOPE_VERIFY) == 0 ||
	     resolver_is_quick(attempt->qmgr->conf->probe_resolver))) {
		routing_resolve(tmp, attempt->qmgr->conf, attempt->env,
				routings, count);
		attempt_routed(attempt, routings, count);
		return;
	}
	attempt->is_routing = true;
	if (jobs_route(attempt, routings, count))
		return;
	attempt->is_routing = false;
	for (size_t i = 0; i < count; i++)
		attempt_decide(attempt, routings[i].recipient,
			       DELIVERY_DEFERRED, "4.3.0",
			       "address resolver failure");
	attempt_progress(attempt);
}

/* Probes may not fill the queue. */
static bool probe_is_too_much(const struct attempt *attempt)
{
	const struct qmgr *qmgr = attempt->qmgr;

	return (attempt->env->flags & ENVELOPE_VERIFY) != 0 &&
	       qmgr->probes > (uint32_t)qmgr->conf->conf->v
				      .address_verify_pending_request_limit;
}

static void probe_refuse(struct attempt *attempt)
{
	for (uint32_t i = 0; i < attempt->env->recipient_count; i++)
		if (attempt->parts[i].state == PART_TODO)
			attempt_decide(attempt, i, DELIVERY_DEFERRED, "4.3.2",
				       "too many address verification "
				       "requests");
	attempt_progress(attempt);
}

void attempt_begin(struct qmgr *qmgr, struct message *message,
		   struct envelope *env, const struct store_entry *entry)
{
	struct attempt *attempt = attempt_new(qmgr, message, env);

	if (entry != NULL) {
		attempt->warned_us = entry->warned_us;
		message->force_expire |= entry->force_expire;
		parts_take_entry(attempt, entry);
	}
	if ((env->flags & ENVELOPE_FORCE_EXPIRE) != 0)
		message->force_expire = true;
	parts_redirect(attempt);
	log_info("%s: from=<%s>, size=%llu, nrcpt=%zu (queue active)",
		 message->id, log_address(attempt, env->sender),
		 (unsigned long long)env->size_bytes, env->recipient_count);
	if (parts_todo(attempt) == 0)
		attempt_progress(attempt);
	else if (probe_is_too_much(attempt))
		probe_refuse(attempt);
	else
		attempt_route(attempt);
}

void attempt_begin_parked(struct qmgr *qmgr, struct message *message)
{
	struct store_entry *entry;
	struct place file;
	struct fault fault;
	enum rc rc;

	rc = store_read(qmgr, qmgr->store, message_place(message, &file),
			message->id, &entry, &fault);
	if (rc == RC_OK) {
		attempt_begin(qmgr, message, entry->env, entry);
		talloc_free(entry);
		return;
	}
	log_warning("%s: %s", message->id, fault.text);
	if (rc == RC_TEMP || rc == RC_CONF) {
		message_set_state(qmgr->index, message, MESSAGE_DEFERRED,
				  qmgr->now_us + READ_AGAIN_US);
		return;
	}
	/* Gone, or moved to corrupt/: nothing is left to deliver. */
	message_free(qmgr->index, message);
}

void attempt_withdraw(struct attempt *attempt)
{
	struct delivery *delivery = attempt->deliveries, *after;

	for (; delivery != NULL; delivery = after) {
		after = delivery->next;
		if (delivery->entry.is_busy)
			continue;
		for (uint32_t i = 0; i < delivery->count; i++)
			attempt->parts[delivery->recipients[i]].state =
				PART_TODO;
		schedule_entry_done(&delivery->entry, NULL,
				    attempt->qmgr->schedule->now_ms);
		delivery_free(delivery);
	}
}
