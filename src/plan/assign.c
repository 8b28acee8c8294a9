/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/qmgr_priv.h"

#include <utlist.h>

#include "sys/log.h"

enum {
	/* Recipients of one request, whatever the limits say: it must fit in a
	 * packet beside the envelope. */
	REQUEST_RECIPIENTS_MAX = 2000,
	REQUEST_BYTES_MAX = 64 * 1024,
	RECIPIENT_OVERHEAD_BYTES = 40,
	CLOG_SHARE = 2, /* one destination with half of all active entries */
	CLOG_ACTIVE_MIN = 100,
	TRANSPORT_NAME_MAX = 64,
};

struct assignment {
	struct destination *destination;
	const char *nexthop, *address;
	uint32_t recipient;
};

static int assignment_compare(const void *left, const void *right)
{
	const struct assignment *a = left, *b = right;

	if (a->destination != b->destination)
		return (uintptr_t)a->destination < (uintptr_t)b->destination
			       ? -1
			       : 1;
	return a->recipient < b->recipient ? -1 : a->recipient > b->recipient;
}

static size_t recipient_bytes(const struct recipient *recipient,
			      const char *address)
{
	size_t size = strlen(address) + RECIPIENT_OVERHEAD_BYTES;

	if (recipient->original != NULL)
		size += strlen(recipient->original);
	if (recipient->dsn_orcpt != NULL)
		size += strlen(recipient->dsn_orcpt);
	return size;
}

/* How many of them go into one request. */
static size_t batch_size(const struct attempt *attempt,
			 const struct assignment *list, size_t count)
{
	const struct transport *transport =
		schedule_destination_transport(list[0].destination);
	int limit = transport->settings.recipient_limit;
	size_t max = REQUEST_RECIPIENTS_MAX, bytes = 0;

	if (limit > 0)
		max = MIN_OF(max, (size_t)limit);
	if (attempt->env->verp != NULL)
		max = 1;
	for (size_t i = 0; i < count; i++) {
		bytes += recipient_bytes(
			&attempt->env->recipients[list[i].recipient],
			list[i].address);
		if (i > 0 && (i == max || bytes > REQUEST_BYTES_MAX ||
			      list[i].destination != list[0].destination))
			return i;
	}
	return count;
}

static struct delivery *delivery_new(struct attempt *attempt,
				     const struct assignment *list,
				     size_t count)
{
	struct delivery *delivery = mem_new(attempt, struct delivery);

	delivery->attempt = attempt;
	delivery->entry.owner = delivery;
	delivery->nexthop = mem_strdup(delivery, list[0].nexthop);
	delivery->count = (uint32_t)count;
	delivery->recipients = mem_array(delivery, uint32_t, count);
	delivery->addresses = mem_array(delivery, const char *, count);
	for (size_t i = 0; i < count; i++) {
		const struct recipient *recipient =
			&attempt->env->recipients[list[i].recipient];

		delivery->recipients[i] = list[i].recipient;
		delivery->addresses[i] =
			strcmp(list[i].address, recipient->address) == 0
				? recipient->address
				: mem_strdup(delivery, list[i].address);
		attempt->parts[list[i].recipient].state = PART_ASSIGNED;
	}
	DL_APPEND(attempt->deliveries, delivery);
	return delivery;
}

static void clog_warn(struct qmgr *qmgr, const struct destination *destination)
{
	uint32_t active = qmgr->index->counts[MESSAGE_ACTIVE];
	uint32_t load = schedule_destination_load(destination);
	int every_s = qmgr->conf->conf->v.qmgr_clog_warn_time;
	uint32_t limit =
		(uint32_t)qmgr->conf->conf->v.qmgr_message_active_limit;

	if (every_s <= 0 || active < CLOG_ACTIVE_MIN ||
	    active < limit / CLOG_SHARE || load < active / CLOG_SHARE ||
	    qmgr->schedule->now_ms < qmgr->clog_warned_ms)
		return;
	qmgr->clog_warned_ms =
		qmgr->schedule->now_ms + (uint64_t)every_s * 1000;
	log_warning("mail for %s is using up %u of %u active queue entries",
		    schedule_destination_name(destination), load, active);
}

static void assign_all(struct attempt *attempt, struct assignment *list,
		       size_t count)
{
	struct job *job = NULL;
	const struct transport *of = NULL;

	qsort(list, count, sizeof(*list), assignment_compare);
	while (count > 0) {
		struct destination *destination = list[0].destination;
		struct transport *transport =
			schedule_destination_transport(destination);
		size_t size = batch_size(attempt, list, count);
		struct delivery *delivery = delivery_new(attempt, list, size);

		/* Sorted by destination, not by transport: a job may come up
		 * twice for a message, which costs nothing but order. */
		if (job == NULL || of != transport)
			job = schedule_job_new(transport);
		of = transport;
		schedule_add(job, destination, &delivery->entry);
		clog_warn(attempt->qmgr, destination);
		list += size;
		count -= size;
	}
}

static void defer_here(struct attempt *attempt, const uint32_t *recipients,
		       size_t count, const char *dsn, const char *reason)
{
	for (size_t i = 0; i < count; i++)
		attempt_decide(attempt, recipients[i], DELIVERY_DEFERRED, dsn,
			       reason);
}

void attempt_defer(struct attempt *attempt, const uint32_t *recipients,
		   size_t count, const char *dsn, const char *reason)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct assignment *list = mem_array(tmp, struct assignment, count);
	struct transport *retry = delivery_transport(attempt->qmgr, "retry");
	const char *nexthop = mem_printf(tmp, "%s %s", dsn, reason);
	struct destination *destination;

	if (count == 0)
		return;
	if (retry == NULL || retry->is_dead || attempt->message->doomed) {
		defer_here(attempt, recipients, count, dsn, reason);
		return;
	}
	destination = schedule_destination(retry, nexthop);
	for (size_t i = 0; i < count; i++)
		list[i] = (struct assignment){
			.destination = destination,
			.nexthop = nexthop,
			.address =
				attempt->env->recipients[recipients[i]].address,
			.recipient = recipients[i],
		};
	assign_all(attempt, list, count);
}

static void defer_one(struct attempt *attempt, const struct routing *routing,
		      const char *dsn, const char *reason)
{
	attempt_defer(attempt, &routing->recipient, 1, dsn, reason);
}

/* The transport that takes it now; NULL: it was deferred. */
static struct transport *transport_for(struct attempt *attempt,
				       const struct routing *routing)
{
	struct qmgr *qmgr = attempt->qmgr;
	struct transport *transport;

	if (strlen(routing->transport) > TRANSPORT_NAME_MAX ||
	    routing->transport[0] == '\0' ||
	    strchr(routing->transport, '/') != NULL) {
		defer_one(attempt, routing, "4.3.5",
			  "mail system configuration error");
		return NULL;
	}
	/* RC_TEMP: a table of the list failed, so it waits, too. */
	if (!attempt->message->is_flushed &&
	    match_list_domain(qmgr->conf->defer_transports,
			      span_from(routing->transport), NULL) != RC_NONE) {
		defer_one(attempt, routing, "4.3.2", "deferred transport");
		return NULL;
	}
	transport = delivery_transport(qmgr, routing->transport);
	if (transport == NULL) {
		defer_one(attempt, routing, "4.3.5",
			  "mail system configuration error");
		return NULL;
	}
	if (transport->is_dead) {
		defer_one(attempt, routing, transport->dead.dsn,
			  transport->dead.text);
		return NULL;
	}
	return transport;
}

static bool assign_one(struct attempt *attempt, const struct routing *routing,
		       struct assignment *ret)
{
	struct transport *transport = transport_for(attempt, routing);
	struct destination *destination;
	const struct fault *dead;

	if (transport == NULL)
		return false;
	/* With one recipient a delivery, limits count for each recipient. */
	destination = schedule_destination(
		transport, transport->settings.recipient_limit == 1
				   ? routing->address
				   : routing->nexthop);
	dead = schedule_destination_dead(destination);
	if (dead != NULL) {
		struct fault why = *dead;

		defer_one(attempt, routing, why.dsn, why.text);
		return false;
	}
	*ret = (struct assignment){
		.destination = destination,
		.nexthop = routing->nexthop,
		.address = routing->address,
		.recipient = routing->recipient,
	};
	return true;
}

void attempt_assign(struct attempt *attempt, const struct routing *routings,
		    size_t count)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct assignment *list = mem_array(tmp, struct assignment, count);
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (routings[i].is_double_bounce)
			attempt_decide(attempt, routings[i].recipient,
				       DELIVERY_SENT, "2.0.0",
				       "undeliverable postmaster notification "
				       "discarded");
		else if (assign_one(attempt, &routings[i], &list[kept]))
			kept++;
	}
	assign_all(attempt, list, kept);
}
