/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/peers_priv.h"

#include <strings.h>

enum { ITEM_BYTES_MAX = 64 * 1024 };

int list_pass(const struct message *message)
{
	static const int passes[] = {
		[MESSAGE_ACTIVE] = 0,
		[MESSAGE_INCOMING] = 1,
		[MESSAGE_DEFERRED] = 2,
		[MESSAGE_HOLD] = 3,
	};

	return passes[message->state];
}

static bool part_waits(const struct part *part)
{
	return part->state == PART_TODO || part->state == PART_ASSIGNED ||
	       part->state == PART_DEFERRED;
}

/* Recipients from number *at on, as many as fit; *at moves on. */
static uint32_t put_active(struct buf *out, const struct attempt *attempt,
			   uint32_t *at)
{
	uint32_t count = 0;

	for (; *at < attempt->env->recipient_count && out->len < ITEM_BYTES_MAX;
	     (*at)++) {
		const struct recipient *rcpt = &attempt->env->recipients[*at];
		const struct part *part = &attempt->parts[*at];
		struct packet_out wrap = { .buf = *out };

		if (!part_waits(part))
			continue;
		packet_put_text(&wrap, rcpt->address);
		packet_put_text(&wrap, rcpt->original == NULL ? rcpt->address
							      : rcpt->original);
		packet_put_text(&wrap, part->status == NULL
					       ? ""
					       : part->status->reason);
		*out = wrap.buf;
		count++;
	}
	return count;
}

static uint32_t put_parked(struct buf *out, const struct message *message,
			   uint32_t *at)
{
	struct parked_recipient rcpt;
	uint32_t count = 0, place = 0, number = 0;

	while (out->len < ITEM_BYTES_MAX &&
	       message_recipient_next(message, &place, &rcpt)) {
		struct packet_out wrap = { .buf = *out };

		if (number++ < *at)
			continue;
		(*at)++;
		packet_put_text(&wrap, rcpt.address);
		packet_put_text(&wrap, rcpt.original);
		packet_put_text(&wrap, rcpt.reason);
		*out = wrap.buf;
		count++;
	}
	return count;
}

static bool list_more(const struct message *message, uint32_t at)
{
	return at < (message->attempt != NULL ?
			     message->attempt->env->recipient_count :
			     message_recipient_count(message));
}

bool list_send(struct peer *peer, struct message *message)
{
	do {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		const struct attempt *attempt = message->attempt;
		uint32_t at = peer->list_at, count;
		struct packet_out out;
		struct fault fault;
		struct buf rest;

		buf_init(&rest, tmp, PACKET_MAX_BYTES);
		count = attempt != NULL ? put_active(&rest, attempt, &at)
					: put_parked(&rest, message, &at);
		packet_begin(&out, tmp, WIRE_LIST_ITEM);
		packet_put_text(&out, message_queue_name(message));
		packet_put_text(&out, message->id);
		packet_put_u64(&out, message->arrival_us);
		packet_put_u64(&out, message->size_bytes);
		packet_put_u32(&out, message->force_expire);
		packet_put_text(&out, attempt != NULL
					      ? attempt->env->sender
					      : message_sender(message));
		packet_put_u32(&out, count);
		buf_add(&out.buf, buf_span(&rest));
		if (packet_send(peer->fd, &out, &fault) == RC_NONE)
			return false;
		/* A peer that is gone is noticed by the poller. */
		peer->list_at = at;
	} while (list_more(message, peer->list_at));
	peer->list_at = 0;
	return true;
}

static bool address_is_at(const char *address, const char *site)
{
	const char *at = strrchr(address, '@');

	return at != NULL && strcasecmp(at + 1, site) == 0;
}

bool sweep_site(struct qmgr *qmgr, struct message *message, const char *site)
{
	struct parked_recipient rcpt;
	uint32_t at = 0;

	if (message->state != MESSAGE_DEFERRED)
		return false;
	while (message_recipient_next(message, &at, &rcpt))
		if (address_is_at(rcpt.address, site)) {
			qmgr_flush_message(qmgr, message);
			return true;
		}
	return false;
}

bool sweep_admin(struct qmgr *qmgr, struct message *message,
		 enum admin_action action, const char *queue_name)
{
	if (queue_name[0] != '\0' &&
	    strcmp(queue_name, message_queue_name(message)) != 0)
		return false;
	return admin_apply(qmgr, message, action);
}
