/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire - the packets processes send each other. Fields in the order given;
 * "env" is a span of envelope_encode, "place" is place_put, "status"
 * delivery_status_put.
 * New fields go at the end.
 *
 *   sender          socket                 receiver
 *   writers, tools  public/qmgr            qmgr
 *   qmgr            private/<transport>    delivery agents (and bounce)
 *   master          control fd 3           every service
 *
 * qmgr trusts a peer by SO_PEERCRED: root and mail_owner may do everything,
 * others (tools run by users) only LIST, FLUSH and PING, as
 * authorized_mailq_users and authorized_flush_users allow.
 */
#pragma once

#include "queue/envelope.h"
#include "queue/place.h"
#include "queue/status.h"

enum wire_type {
	/* Writer to qmgr. One connection for the life of the writer. */
	WIRE_WRITER_HELLO = 1, /* text writer. qmgr scans its segments */
	WIRE_WRITER_NEW,       /* one or more messages, to the end of the
				* packet: place, env, u32 1 when all
				* recipients are in it; when 0 qmgr reads the
				* image. See writer_new_take */

	/* Delivery agent to qmgr, on accept of qmgr's connection. */
	WIRE_AGENT_HELLO = 16, /* u32 deliveries at once (max_processes) */
	/* qmgr to agent. The file passed is read-only. */
	WIRE_DELIVER,	/* struct delivery_request, see below */
	/* agent to qmgr: one or more, the last with done = 1. A recipient that
	 * is in none of them is tried again later. */
	WIRE_RESULT,	/* u64 request id, u32 done, u32 count, count x status,
			 * and with done = 1: text site dsn, text site reason.
			 * Both "" (or left out) when the destination took part;
			 * else why no session with any of its hosts could be
			 * begun (connect, greeting, EHLO, STARTTLS, AUTH): that
			 * counts against the destination's concurrency, and
			 * "delivery temporarily suspended: <reason>" may follow
			 */

	WIRE_RESULT_RELAY, /* before it, of a message with ENVELOPE_REPORT: u64
			    * request id, u32 count, count x { u32 recipient,
			    * text relay } */

	/* qmgr to bounce: the same request with kind; statuses to report on. */
	WIRE_NOTICE = 32, /* u64 request id, u32 enum notice_kind, text queue id,
			   * u64 image offset, u32 count, count x status;
			   * file: the image */
	WIRE_NOTICE_DONE, /* u64 request id, u32 1 sent / 0 try later */

	/* The verify service to qmgr: it wants to hear of probes. */
	WIRE_PROBES_HELLO,
	WIRE_PROBED, /* qmgr to it: text address as it went, text as it was
		      * given, u32 enum delivery_action, text reason */
	/* smtpd to verify: u64 number, text address; and the answer. */
	WIRE_VERIFY,
	WIRE_VERIFIED, /* u64 number, u32 enum verify_status, text reason */

	/* Tools to qmgr. */
	WIRE_PING = 48,	/* reply WIRE_REPLY */
	WIRE_LIST,	/* text queue id or "" for all; replies WIRE_LIST_ITEM...
			 * and WIRE_REPLY */
	WIRE_LIST_ITEM,	/* text queue name (active incoming deferred hold),
			 * text id, u64 arrival us, u64 size, u32 force expire,
			 * text sender, u32 count, count x { text address,
			 * text original, text reason } */
	WIRE_FLUSH,	/* text "" all, "id:ID" or "site:DOMAIN" */
	WIRE_ADMIN,	/* u32 enum admin_action, text queue id or "ALL",
			 * text queue name or "" */
	WIRE_REPLY,	/* u32 enum rc, u32 count (messages affected), text */

	/* Master to a service. */
	CONTROL_DRAIN = 64, /* u32 1 when the whole system ends: finish what is
			     * begun, then exit 0. 0 (a successor serves
			     * already): sessions may go on */
	CONTROL_RELOAD,	    /* to qmgr and others that reload in place */
	CONTROL_WAKEUP,	    /* the wakeup field of master.cf, or a trigger */
	CONTROL_LOG,	    /* fd: the new log file; dup2 it onto fd 4 */
	/* A service to the master. */
	CONTROL_READY = 80, /* initialised, before the first accept */
	CONTROL_RENEW,	    /* a successor could read what this one cannot */
};

/* The numbers are those of the reference's cache files. */
enum verify_status {
	VERIFY_OK,     /* deliverable */
	VERIFY_DEFER,  /* cannot be said now */
	VERIFY_BOUNCE, /* undeliverable */
	VERIFY_TODO,   /* nothing is known yet */
};

enum notice_kind {
	NOTICE_FAILURE,
	NOTICE_DELAY,
	NOTICE_SUCCESS,
	NOTICE_TRACE, /* sendmail -v, -bv: what became of every recipient */
	NOTICE_KINDS,
};

enum admin_action {
	ADMIN_DELETE,
	ADMIN_HOLD,
	ADMIN_RELEASE,
	ADMIN_REQUEUE,
	ADMIN_EXPIRE,
};

struct delivery_request {
	uint64_t id;
	uint64_t image_offset;
	const char *queue_id;
	const char *transport; /* master.cf service name */
	const char *nexthop;
	uint64_t active_us; /* wall clock when it became active */
	struct envelope *env; /* without recipients, from the image or NEW */
	struct recipient *recipients;
	uint32_t *recipient_index; /* in the message's envelope */
	size_t recipient_count;
	int fd; /* the image, read-only */
};

void place_put(struct packet_out *out, const struct place *place);
MUST_CHECK bool place_take(struct packet_in *in, struct place *ret_place);

/* A message for WIRE_WRITER_NEW; `env` is the output of envelope_encode. */
void writer_new_put(struct packet_out *out, const struct place *place,
		    struct span env, bool with_recipients);
/* The next message of a WIRE_WRITER_NEW packet; RC_NONE after the last one,
 * RC_PERM the packet makes no sense. *ret_env is a child of mem. */
MUST_CHECK enum rc writer_new_take(TALLOC_CTX *mem, struct packet_in *in,
				   struct place *ret_place,
				   struct envelope **ret_env,
				   bool *ret_with_recipients,
				   struct fault *fault);

/* out->fd is set to request->fd. */
void delivery_request_put(struct packet_out *out,
			  const struct delivery_request *request);
/* Takes the file out of the packet; a destructor of the request closes it. */
MUST_CHECK enum rc delivery_request_take(TALLOC_CTX *mem, struct packet_in *in,
					 struct delivery_request **ret_request,
					 struct fault *fault);
