/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deliveries on their way: from the scheduler to the agent of a transport, and
 * the results back to the attempts.
 */
#include "plan/qmgr_priv.h"

#include <utlist.h>

#include "sys/log.h"

enum {
	DELIVERY_TRIES_MAX = 2, /* agents that died with it */
	RESULT_STATUSES_MAX = 100000,
};

void delivery_free(struct delivery *delivery)
{
	if (delivery->attempt != NULL)
		DL_DELETE(delivery->attempt->deliveries, delivery);
	talloc_free(delivery);
}

static struct recipient *request_recipients(TALLOC_CTX *mem,
					    const struct delivery *delivery)
{
	const struct envelope *env = delivery->attempt->env;
	struct recipient *recipients =
		mem_array(mem, struct recipient, delivery->count);

	for (uint32_t i = 0; i < delivery->count; i++) {
		recipients[i] = env->recipients[delivery->recipients[i]];
		recipients[i].address = delivery->addresses[i];
	}
	return recipients;
}

/* VERP: the bounces of each recipient go to an address of its own. */
static const char *verp_sender(TALLOC_CTX *mem, const struct delivery *delivery)
{
	const struct envelope *env = delivery->attempt->env;
	const char *at = strrchr(env->sender, '@');
	const char *rcpt_at = strrchr(delivery->addresses[0], '@');

	if (env->verp == NULL || strlen(env->verp) != 2 || at == NULL ||
	    rcpt_at == NULL)
		return env->sender;
	return mem_printf(
		mem, "%.*s%c%.*s%c%s%s", (int)(at - env->sender), env->sender,
		env->verp[0], (int)(rcpt_at - delivery->addresses[0]),
		delivery->addresses[0], env->verp[1], rcpt_at + 1, at);
}

static enum rc delivery_send(struct qmgr *qmgr, struct transport *transport,
			     struct delivery *delivery, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct attempt *attempt = delivery->attempt;
	struct envelope env = *attempt->env;
	struct place file;
	const struct place *place = message_place(attempt->message, &file);
	struct delivery_request request = {
		.id = delivery->id,
		.image_offset = place->offset,
		.queue_id = attempt->message->id,
		.transport = transport->name,
		.nexthop = delivery->nexthop,
		.active_us = attempt->active_us,
		.recipient_index = delivery->recipients,
		.recipient_count = delivery->count,
	};
	struct packet_out out;

	if (store_descriptor(qmgr->store, place, attempt->message->id,
			     &request.fd, fault) != RC_OK)
		return RC_CONF;
	env.sender = verp_sender(tmp, delivery);
	request.env = &env;
	request.recipients = request_recipients(tmp, delivery);
	packet_begin(&out, tmp, WIRE_DELIVER);
	delivery_request_put(&out, &request);
	return agent_send(transport->owner, &out, fault);
}

static void delivery_is_stillborn(struct qmgr *qmgr, struct delivery *delivery,
				  const struct fault *fault)
{
	snprintf(delivery->failed_dsn, sizeof(delivery->failed_dsn), "4.3.0");
	snprintf(delivery->failed_text, sizeof(delivery->failed_text),
		 "queue file: %.480s", fault->text);
	delivery->next_stillborn = qmgr->stillborn;
	qmgr->stillborn = delivery;
}

static enum schedule_sent send_entry(void *arg, struct transport *transport,
				     struct entry *entry)
{
	struct qmgr *qmgr = arg;
	struct delivery *delivery = entry->owner;
	const struct agent *agent = transport->owner;
	struct fault fault;

	delivery->id = ++qmgr->next_request;
	switch (delivery_send(qmgr, transport, delivery, &fault)) {
	case RC_OK:
		delivery->link_id = agent->link_id;
		HASH_ADD(hh, qmgr->in_flight, id, sizeof(delivery->id),
			 delivery);
		return SCHEDULE_SENT;
	case RC_NONE:
		return SCHEDULE_BLOCKED;
	case RC_TEMP: /* until it is connected again */
		transport->capacity = 0;
		return SCHEDULE_FAILED;
	case RC_PERM:
	case RC_CONF:
		break;
	}
	delivery_is_stillborn(qmgr, delivery, &fault);
	return SCHEDULE_SENT;
}

void delivery_stillborn_work(struct qmgr *qmgr)
{
	struct delivery *delivery;

	while ((delivery = qmgr->stillborn) != NULL) {
		struct attempt *attempt = delivery->attempt;

		qmgr->stillborn = delivery->next_stillborn;
		log_warning("%s: %s", attempt->message->id,
			    delivery->failed_text);
		for (uint32_t i = 0; i < delivery->count; i++)
			attempt_decide(attempt, delivery->recipients[i],
				       DELIVERY_DEFERRED, delivery->failed_dsn,
				       delivery->failed_text);
		schedule_entry_done(&delivery->entry, NULL,
				    qmgr->schedule->now_ms);
		delivery_free(delivery);
		attempt_progress(attempt);
	}
}

static void give_up_entry(void *arg, struct entry *entry,
			  const struct fault *why)
{
	struct delivery *delivery = entry->owner;
	struct attempt *attempt = delivery->attempt;

	/* The new delivery comes first: an attempt without one is over. */
	attempt_defer(attempt, delivery->recipients, delivery->count, why->dsn,
		      why->text);
	delivery_free(delivery);
	attempt_progress(attempt);
}

const struct schedule_ops delivery_schedule_ops = { send_entry, give_up_entry };

static void transport_opened(struct agent *agent, uint32_t capacity)
{
	struct transport *transport = agent->setup.owner;

	transport->capacity = capacity;
	transport->is_blocked = false;
}

static void transport_writable(struct agent *agent)
{
	struct transport *transport = agent->setup.owner;

	transport->is_blocked = false;
}

static struct qmgr *transport_qmgr(const struct transport *transport)
{
	return transport->schedule->arg;
}

/* An agent died with this. Once more, but not for ever: it may be why. */
static void delivery_interrupted(struct qmgr *qmgr, struct delivery *delivery)
{
	struct attempt *attempt = delivery->attempt;
	uint64_t now_ms = qmgr->schedule->now_ms;

	HASH_DEL(qmgr->in_flight, delivery);
	if (delivery->count > 0 && !attempt->message->doomed &&
	    ++delivery->entry.tries < DELIVERY_TRIES_MAX) {
		schedule_entry_again(&delivery->entry, now_ms);
		return;
	}
	schedule_entry_done(&delivery->entry, NULL, now_ms);
	attempt_defer(attempt, delivery->recipients, delivery->count, "4.3.0",
		      "unknown mail transport error");
	delivery_free(delivery);
	attempt_progress(attempt);
}

/* Recipients whose result came before the agent died are not tried again. */
static void delivery_shrink(struct delivery *delivery)
{
	const struct part *parts = delivery->attempt->parts;
	uint32_t left = 0;

	for (uint32_t i = 0; i < delivery->count; i++) {
		if (parts[delivery->recipients[i]].state != PART_ASSIGNED)
			continue;
		delivery->recipients[left] = delivery->recipients[i];
		delivery->addresses[left] = delivery->addresses[i];
		left++;
	}
	delivery->count = left;
}

static bool delivery_is_on(const struct delivery *delivery,
			   const struct transport *transport, uint64_t link_id)
{
	return delivery->link_id == link_id &&
	       schedule_destination_transport(delivery->entry.destination) ==
		       transport;
}

static void transport_lost(struct agent *agent, uint64_t link_id)
{
	struct transport *transport = agent->setup.owner;
	struct qmgr *qmgr = transport_qmgr(transport);
	struct delivery *delivery, *after;

	bool any = false;

	if (!agent->is_open) {
		transport->capacity = 0;
		transport->is_blocked = false;
	}
	/* An agent that was told to end finishes its work first. */
	HASH_ITER (hh, qmgr->in_flight, delivery, after)
		any |= delivery_is_on(delivery, transport, link_id);
	if (any && !qmgr->is_draining)
		log_warning("transport %s failure -- see a previous "
			    "warning/fatal/panic logfile record for the "
			    "problem description",
			    transport->name);
	HASH_ITER (hh, qmgr->in_flight, delivery, after) {
		if (!delivery_is_on(delivery, transport, link_id))
			continue;
		delivery_shrink(delivery);
		delivery_interrupted(qmgr, delivery);
	}
}

static void transport_failed(struct agent *agent, const char *why)
{
	struct transport *transport = agent->setup.owner;
	struct qmgr *qmgr = transport_qmgr(transport);
	struct fault fault;

	transport->capacity = 0;
	log_warning("connect to transport %s: %s", agent->path, why);
	fault_set(&fault, RC_TEMP, "4.3.0", "mail transport unavailable");
	schedule_transport_die(
		transport,
		clock_mono_ms() +
			(uint64_t)qmgr->conf->conf->v.transport_retry_time *
				1000,
		&fault);
}

static bool delivery_has(const struct delivery *delivery, uint32_t recipient)
{
	for (uint32_t i = 0; i < delivery->count; i++)
		if (delivery->recipients[i] == recipient)
			return true;
	return false;
}

/* What a destination did, from the end of the last result packet. An agent that
 * does not say it: no remote host and a network error (X.4.X) for all. */
static const struct fault *result_site(struct packet_in *in,
				       const struct delivery *delivery,
				       struct fault *site)
{
	struct span dsn, reason;

	*site = (struct fault){ .rc = RC_OK };
	if (in->rest.len == 0)
		return site;
	dsn = packet_take_span(in);
	reason = packet_take_span(in);
	if (in->bad || reason.len == 0)
		return site;
	fault_set(site, RC_TEMP, "4.4.0", "%.*s", SPAN_FMT(reason));
	if (dsn.len > 0 && dsn.len < DSN_MAX_BYTES)
		snprintf(site->dsn, sizeof(site->dsn), "%.*s", SPAN_FMT(dsn));
	/* Whatever class it was, what waits is tried again later. */
	site->dsn[0] = '4';
	return site;
}

/* The agent is done: what it said nothing about is tried again later. */
static void delivery_finish(struct qmgr *qmgr, struct delivery *delivery,
			    const struct fault *site)
{
	struct attempt *attempt = delivery->attempt;

	for (uint32_t i = 0; i < delivery->count; i++) {
		uint32_t at = delivery->recipients[i];

		if (attempt->parts[at].state == PART_ASSIGNED)
			attempt_decide(attempt, at, DELIVERY_DEFERRED, "4.3.0",
				       "delivery agent gave no result");
	}
	HASH_DEL(qmgr->in_flight, delivery);
	schedule_entry_done(&delivery->entry, site, clock_mono_ms());
	delivery_free(delivery);
	attempt_progress(attempt);
}

/* WIRE_RESULT_RELAY */
static void take_relays(struct packet_in *in, struct delivery *delivery)
{
	uint32_t count = packet_take_u32(in);

	for (uint32_t i = 0; i < count && !in->bad; i++) {
		uint32_t at = packet_take_u32(in);
		struct span relay = packet_take_span(in);

		if (!in->bad && delivery_has(delivery, at))
			delivery->attempt->parts[at].relay =
				mem_span_dup(delivery->attempt, relay);
	}
}

static void take_result(struct agent *agent, struct packet_in *in,
			struct delivery *delivery)
{
	struct qmgr *qmgr = transport_qmgr(agent->setup.owner);
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	uint32_t done = packet_take_u32(in);
	uint32_t count = packet_take_u32(in);
	struct delivery_status status;
	struct fault site;

	if (in->bad || count > RESULT_STATUSES_MAX) {
		log_warning("%s: malformed result", agent->path);
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		if (!delivery_status_take(in, tmp, &status)) {
			log_warning("%s: malformed result", agent->path);
			break;
		}
		if (delivery_has(delivery, status.recipient))
			attempt_apply(delivery->attempt, &status);
	}
	if (done != 0)
		delivery_finish(qmgr, delivery,
				result_site(in, delivery, &site));
	else
		attempt_progress(delivery->attempt);
}

static void transport_packet(struct agent *agent, struct packet_in *in)
{
	struct transport *transport = agent->setup.owner;
	struct qmgr *qmgr = transport_qmgr(transport);
	uint64_t id = packet_take_u64(in);
	struct delivery *delivery;

	qmgr_clock(qmgr);
	HASH_FIND(hh, qmgr->in_flight, &id, sizeof(id), delivery);
	if (in->bad || delivery == NULL ||
	    schedule_destination_transport(delivery->entry.destination) !=
		    transport ||
	    (in->type != WIRE_RESULT && in->type != WIRE_RESULT_RELAY)) {
		log_warning("%s: unexpected packet of type %d", agent->path,
			    in->type);
		return;
	}
	if (in->type == WIRE_RESULT_RELAY)
		take_relays(in, delivery);
	else
		take_result(agent, in, delivery);
}

static const struct agent_ops transport_agent_ops = {
	.opened = transport_opened,
	.packet = transport_packet,
	.writable = transport_writable,
	.lost = transport_lost,
	.failed = transport_failed,
};

struct transport *delivery_transport(struct qmgr *qmgr, const char *name)
{
	struct transport *transport =
		schedule_transport_find(qmgr->schedule, name);
	struct agent_setup setup = {
		.poller = qmgr->poller,
		.ops = &transport_agent_ops,
		.connect = qmgr->connect,
		.connect_arg = qmgr->connect_arg,
	};
	struct transport_settings settings;
	struct fault fault;

	if (transport == NULL) {
		const struct conf *conf = qmgr->conf->conf;
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

		if (transport_settings_load(conf, name, &settings, &fault) !=
		    RC_OK) {
			log_error("%s", fault.text);
			return NULL;
		}
		transport =
			schedule_transport_add(qmgr->schedule, name, &settings);
		setup.owner = transport;
		setup.hello_ms = conf->v.qmgr_ipc_timeout * 1000;
		transport->owner = agent_new(
			transport, mem_printf(tmp, "private/%s", name), &setup);
	}
	if (!transport->is_dead)
		agent_want(transport->owner);
	return transport;
}
