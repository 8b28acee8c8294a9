/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notices to senders and postmasters: qmgr says what there is to report, bounce
 * writes the message. A message with a failure is finished only when bounce has
 * said that the notice is in the queue.
 */
#include "plan/qmgr_priv.h"

#include <utlist.h>

#include "sys/log.h"

enum {
	NOTICE_TRIES_MAX = 3,
	NOTICE_BYTES_MAX = 96 * 1024, /* of statuses; more is a second notice */
	STATUS_OVERHEAD_BYTES = 64,
};

struct notice {
	UT_hash_handle hh;
	struct notice *prev, *next;
	struct attempt *attempt;
	enum notice_kind kind;
	uint64_t id, link_id;
	uint32_t tries; /* how often bounce died with it */
	uint32_t count;
	uint32_t recipients[];
};

static bool sender_wants(const struct attempt *attempt, size_t at,
			 enum dsn_notify bit, bool by_default)
{
	uint8_t notify = attempt->env->recipients[at].notify;

	if (notify == DSN_NOTIFY_DEFAULT)
		return by_default;
	return (notify & bit) != 0 && (notify & DSN_NOTIFY_NEVER) == 0;
}

/* Whether the sender asked for it is for bounce to say: the postmaster's copy
 * does not depend on that. */
static bool failure_is_due(const struct attempt *attempt, size_t at)
{
	return attempt->parts[at].state == PART_FAILED;
}

/* The next hop has not taken over the duty to report when the agent names an
 * action. */
static bool success_is_due(const struct attempt *attempt, size_t at)
{
	const struct part *part = &attempt->parts[at];
	bool cleared = attempt->warned_us != 0 &&
		       attempt->qmgr->conf->conf->v.confirm_delay_cleared;

	return part->state == PART_SENT && !part->is_noted &&
	       part->status->dsn_action != NULL &&
	       part->status->dsn_action[0] != '\0' &&
	       sender_wants(attempt, at, DSN_NOTIFY_SUCCESS, cleared);
}

static bool delay_is_due(const struct attempt *attempt, size_t at)
{
	return attempt->parts[at].state == PART_DEFERRED &&
	       sender_wants(attempt, at, DSN_NOTIFY_DELAY, true);
}

typedef bool is_due_fn(const struct attempt *attempt, size_t at);

static size_t text_bytes(const char *text)
{
	return text == NULL ? 0 : strlen(text);
}

static size_t status_bytes(const struct delivery_status *status)
{
	return STATUS_OVERHEAD_BYTES + text_bytes(status->reason) +
	       text_bytes(status->remote_mta) + text_bytes(status->diag_text);
}

static void notice_add(struct attempt *attempt, enum notice_kind kind,
		       const uint32_t *recipients, uint32_t count)
{
	struct qmgr *qmgr = attempt->qmgr;
	struct notice *notice = mem_zero(
		qmgr, sizeof(*notice) + count * sizeof(notice->recipients[0]),
		"struct notice");

	notice->attempt = attempt;
	notice->kind = kind;
	notice->count = count;
	memcpy(notice->recipients, recipients, count * sizeof(*recipients));
	attempt->notices++;
	DL_APPEND(qmgr->notices, notice);
}

/* One notice for all recipients that are due, or as many as it takes. */
static void notice_collect(struct attempt *attempt, enum notice_kind kind,
			   is_due_fn *is_due)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	size_t all = attempt->env->recipient_count, bytes = 0;
	uint32_t *recipients = mem_array(tmp, uint32_t, all);
	uint32_t count = 0;

	for (size_t i = 0; i < all; i++) {
		if (!is_due(attempt, i))
			continue;
		bytes += status_bytes(attempt->parts[i].status);
		if (count > 0 && bytes > NOTICE_BYTES_MAX) {
			notice_add(attempt, kind, recipients, count);
			count = 0;
			bytes = 0;
		}
		recipients[count++] = (uint32_t)i;
	}
	if (count > 0)
		notice_add(attempt, kind, recipients, count);
}

static bool warning_is_due(const struct attempt *attempt)
{
	int after_s = attempt->qmgr->conf->conf->v.delay_warning_time;

	return after_s > 0 && attempt->warned_us == 0 &&
	       !attempt->delay_noted && attempt->env->sender[0] != '\0' &&
	       !attempt->message->want_hold &&
	       attempt->qmgr->now_us >=
		       attempt->env->arrival_us +
			       (uint64_t)(after_s - 1) * 1000000;
}

static bool trace_is_due(const struct attempt *attempt, size_t at)
{
	return attempt->parts[at].is_fresh &&
	       attempt->parts[at].status != NULL;
}

/* sendmail -v and -bv: what this attempt did, all of it. */
static void trace_collect(struct attempt *attempt)
{
	if ((attempt->env->flags & ENVELOPE_REPORT) == 0 ||
	    attempt->env->sender[0] == '\0')
		return;
	notice_collect(attempt, NOTICE_TRACE, trace_is_due);
	for (size_t i = 0; i < attempt->env->recipient_count; i++)
		attempt->parts[i].is_fresh = false;
}

bool notice_begin(struct attempt *attempt)
{
	trace_collect(attempt);
	if (attempt_is_probe(attempt))
		return attempt->notices > 0;
	if (!attempt->notice_failed)
		notice_collect(attempt, NOTICE_FAILURE, failure_is_due);
	if (attempt->env->sender[0] != '\0')
		notice_collect(attempt, NOTICE_SUCCESS, success_is_due);
	if (warning_is_due(attempt)) {
		attempt->delay_noted = true;
		notice_collect(attempt, NOTICE_DELAY, delay_is_due);
	}
	if (attempt->notices == 0)
		return false;
	attempt_save(attempt, false);
	return true; /* sent at the end of the round */
}

static void delay_noted(struct attempt *attempt)
{
	struct fault fault;

	attempt->warned_us = attempt->qmgr->now_us;
	if (attempt->message->place != NULL)
		return; /* goes into the file when it is moved */
	if (store_set_warned(attempt->qmgr->store, attempt->message->id,
			     attempt->warned_us, &fault) != RC_OK)
		log_warning("%s: %s", attempt->message->id, fault.text);
}

static void notice_settle(struct notice *notice, bool sent)
{
	struct attempt *attempt = notice->attempt;

	for (uint32_t i = 0; i < notice->count; i++) {
		struct part *part = &attempt->parts[notice->recipients[i]];

		if (notice->kind == NOTICE_SUCCESS)
			part->is_noted = true;
		if (notice->kind != NOTICE_FAILURE || !sent)
			continue;
		part->state = PART_SETTLED;
		part->is_unsaved = false;
		attempt->failure_noted = true;
	}
	if (notice->kind == NOTICE_FAILURE && !sent)
		attempt->notice_failed = true;
	if (notice->kind == NOTICE_DELAY && sent)
		delay_noted(attempt);
	if (!sent)
		log_warning(
			"%s: notification not sent now%s", attempt->message->id,
			notice->kind == NOTICE_FAILURE ||
					notice->kind == NOTICE_DELAY
				? "; later again"
				: "");
}

static void notice_over(struct notice *notice, bool sent)
{
	struct attempt *attempt = notice->attempt;

	notice_settle(notice, sent);
	attempt->notices--;
	talloc_free(notice);
	if (attempt->notices == 0)
		attempt_progress(attempt);
}

/* "delivery via 127.0.0.2[127.0.0.2]:25: 250 2.0.0 ok" */
static void status_trace(TALLOC_CTX *mem, const struct part *part,
			 struct delivery_status *status)
{
	static const char *const actions[] = {
		[DELIVERY_SENT] = "delivered",
		[DELIVERY_DEFERRED] = "delayed",
		[DELIVERY_BOUNCED] = "failed",
	};

	if (status->dsn_action == NULL || status->dsn_action[0] == '\0')
		status->dsn_action = actions[status->action];
	if (part->relay == NULL)
		return;
	status->reason = mem_printf(mem, "delivery via %s: %s", part->relay,
				    status->reason);
	if (status->diag_type == NULL || status->diag_text == NULL ||
	    strcasecmp(status->diag_type, "X-Postfix") == 0)
		status->diag_text = status->reason;
}

static enum rc notice_send(struct qmgr *qmgr, struct notice *notice,
			   struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct attempt *attempt = notice->attempt;
	struct place file;
	const struct place *place = message_place(attempt->message, &file);
	struct packet_out out;
	int fd;

	if (store_descriptor(qmgr->store, place, attempt->message->id, &fd,
			     fault) != RC_OK)
		return RC_CONF;
	packet_begin(&out, tmp, WIRE_NOTICE);
	packet_put_u64(&out, notice->id);
	packet_put_u32(&out, notice->kind);
	packet_put_text(&out, attempt->message->id);
	packet_put_u64(&out, place->offset);
	packet_put_u32(&out, notice->count);
	for (uint32_t i = 0; i < notice->count; i++) {
		uint32_t at = notice->recipients[i];
		struct delivery_status status = *attempt->parts[at].status;

		status.recipient = at;
		if (notice->kind == NOTICE_TRACE)
			status_trace(tmp, &attempt->parts[at], &status);
		delivery_status_put(&out, &status);
	}
	out.fd = fd;
	return agent_send(qmgr->bounce, &out, fault);
}

void notice_work(struct qmgr *qmgr)
{
	struct notice *notice = qmgr->notices;
	struct fault fault;

	if (notice == NULL)
		return;
	if (!qmgr->bounce->is_open) {
		agent_want(qmgr->bounce);
		return;
	}
	while ((notice = qmgr->notices) != NULL &&
	       qmgr->notices_busy < qmgr->notice_capacity) {
		enum rc rc;

		notice->id = ++qmgr->next_request;
		rc = notice_send(qmgr, notice, &fault);
		if (rc == RC_NONE || rc == RC_TEMP)
			return;
		DL_DELETE(qmgr->notices, notice);
		if (rc != RC_OK) {
			log_warning("%s: notification: %s",
				    notice->attempt->message->id, fault.text);
			notice_over(notice, false);
			continue;
		}
		notice->link_id = qmgr->bounce->link_id;
		qmgr->notices_busy++;
		HASH_ADD(hh, qmgr->notices_sent, id, sizeof(notice->id),
			 notice);
	}
}

static void bounce_opened(struct agent *agent, uint32_t capacity)
{
	struct qmgr *qmgr = agent->setup.owner;

	qmgr->notice_capacity = capacity;
	notice_work(qmgr);
}

static void bounce_writable(struct agent *agent)
{
	notice_work(agent->setup.owner);
}

static void bounce_packet(struct agent *agent, struct packet_in *in)
{
	struct qmgr *qmgr = agent->setup.owner;
	uint64_t id = packet_take_u64(in);
	uint32_t sent = packet_take_u32(in);
	struct notice *notice;

	HASH_FIND(hh, qmgr->notices_sent, &id, sizeof(id), notice);
	if (in->type != WIRE_NOTICE_DONE || in->bad || notice == NULL) {
		log_warning("%s: unexpected packet of type %d", agent->path,
			    in->type);
		return;
	}
	HASH_DEL(qmgr->notices_sent, notice);
	qmgr->notices_busy--;
	notice_over(notice, sent != 0);
	notice_work(qmgr);
}

/* What was being written goes back to the front: the notice may be sent twice,
 * never not at all. */
static void bounce_lost(struct agent *agent, uint64_t link_id)
{
	struct qmgr *qmgr = agent->setup.owner;
	struct notice *notice, *after;

	HASH_ITER (hh, qmgr->notices_sent, notice, after) {
		if (notice->link_id != link_id)
			continue;
		log_warning("%s: connection lost with a notification",
			    notice->attempt->message->id);
		qmgr->notices_busy--;
		HASH_DEL(qmgr->notices_sent, notice);
		if (++notice->tries < NOTICE_TRIES_MAX)
			DL_PREPEND(qmgr->notices, notice);
		else
			notice_over(notice, false);
	}
}

static void bounce_failed(struct agent *agent, const char *why)
{
	struct qmgr *qmgr = agent->setup.owner;
	struct notice *notice;

	log_warning("connect to service %s: %s", agent->path, why);
	while ((notice = qmgr->notices) != NULL) {
		DL_DELETE(qmgr->notices, notice);
		notice_over(notice, false);
	}
}

static const struct agent_ops bounce_agent_ops = {
	.opened = bounce_opened,
	.packet = bounce_packet,
	.writable = bounce_writable,
	.lost = bounce_lost,
	.failed = bounce_failed,
};

void notice_open(struct qmgr *qmgr)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const struct conf_values *v = &qmgr->conf->conf->v;
	struct agent_setup setup = {
		.poller = qmgr->poller,
		.ops = &bounce_agent_ops,
		.owner = qmgr,
		.connect = qmgr->connect,
		.connect_arg = qmgr->connect_arg,
		.hello_ms = v->qmgr_ipc_timeout * 1000,
	};

	qmgr->bounce = agent_new(
		qmgr, mem_printf(tmp, "private/%s", v->bounce_service_name),
		&setup);
}

void notice_close(struct qmgr *qmgr)
{
	HASH_CLEAR(hh, qmgr->notices_sent);
}
