/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qmgr_priv - the queue manager as its own files see it.
 *
 *   peers (writers, tools) ─▶ message index ─▶ attempt ─▶ deliveries ─▶ agents
 *                                  ▲              │  ◀─── results ───────┘
 *                                  └── parked ────┴──▶ notices ─▶ bounce
 *
 * Threads  one, except the jobs of routing.c and requeue.c
 */
#pragma once

#include "base/clock.h"
#include "plan/agent.h"
#include "plan/message.h"
#include "plan/routing.h"
#include "plan/schedule.h"
#include "queue/store.h"
#include "queue/wire.h"
#include "sys/workers.h"

struct peer_set;
struct notice;
struct delivery;
struct jobs;

struct qmgr {
	struct plan_conf *conf;
	struct store *store;
	struct poller *poller;
	struct heap timers; /* of the scheduler, milliseconds */
	struct schedule *schedule;
	struct message_index *index;
	struct delivery *in_flight; /* by request id */
	struct delivery *stillborn; /* could not be sent; next round */
	struct agent *bounce;
	struct notice *notices;	     /* not sent yet, oldest first */
	struct notice *notices_sent; /* by request id */
	uint32_t notice_capacity, notices_busy;
	struct peer_set *peers;
	struct jobs *jobs; /* made when first needed */
	uint64_t next_request;
	uint64_t now_us; /* wall clock of this round */
	uint32_t active_recipients;
	uint32_t probes; /* of the verify service, active */
	bool turn_of_deferred;
	bool have_moved; /* store_move since the last flush */
	bool is_draining;
	uint64_t clog_warned_ms;
	uint64_t housekeeping_ms;
	struct poller_timer tick;
	agent_connect_fn *connect;
	void *connect_arg;
};

/* What is known of one recipient during an attempt. */
enum part_state {
	PART_SETTLED,  /* nothing to do any more */
	PART_TODO,     /* not tried in this attempt */
	PART_ASSIGNED, /* in a delivery */
	PART_SENT,
	PART_DEFERRED,
	PART_FAILED, /* a notice is due */
};

struct part {
	uint8_t state;
	bool is_unsaved; /* the store does not know yet */
	bool is_noted;	 /* a success notice is under way or done */
	bool is_fresh;	 /* of this attempt, and not reported on yet */
	const char *relay; /* by way of what, or NULL; child of the attempt */
	struct delivery_status *status; /* the latest, child of the attempt */
};

struct attempt {
	struct qmgr *qmgr;
	struct message *message;
	struct envelope *env;
	struct part *parts; /* as env->recipients */
	struct delivery *deliveries;
	uint64_t active_us, warned_us;
	uint32_t notices; /* under way */
	bool is_routing;  /* a job looks up where it goes */
	bool notice_failed, failure_noted, delay_noted;
};

struct delivery {
	struct entry entry;
	struct attempt *attempt;      /* NULL: nobody waits for it any more */
	struct delivery *prev, *next; /* of the attempt */
	struct delivery *next_stillborn;
	uint64_t id;
	uint64_t link_id; /* of the connection it was sent on */
	const char *nexthop;
	uint32_t count;
	uint32_t *recipients;		/* indices in the envelope */
	const char **addresses;		/* where to, as resolved */
	char failed_dsn[DSN_MAX_BYTES]; /* of the stillborn */
	char failed_text[FAULT_TEXT_MAX_BYTES];
	UT_hash_handle hh;
};

/* Between rounds: what comes in is stamped with the time it comes. */
static inline void qmgr_clock(struct qmgr *qmgr)
{
	qmgr->now_us = MAX_OF(qmgr->now_us, clock_wall_us());
}

/* qmgr.c */
/* Open what works without privileges too; runs nothing yet. */
MUST_CHECK enum rc qmgr_open(TALLOC_CTX *mem, struct conf *conf,
			     struct store *store, struct poller *poller,
			     struct qmgr **ret_qmgr, struct fault *fault);
/* The store's inventory; call once. */
MUST_CHECK enum rc qmgr_load(struct qmgr *qmgr, struct fault *fault);
void qmgr_reload(struct qmgr *qmgr, struct conf *conf);
void qmgr_drain(struct qmgr *qmgr);
/* True when nothing is under way. */
bool qmgr_is_idle(const struct qmgr *qmgr);
/* Everything that is due; at the end of a round. */
void qmgr_work(struct qmgr *qmgr, uint64_t now_ms, uint64_t now_us);
void qmgr_found(void *arg, TALLOC_CTX *mem, const struct store_entry *entry);
/* A writer's announcement; env may be NULL: it is in the image. Takes env. */
void qmgr_new_message(struct qmgr *qmgr, const struct place *place,
		      const char *queue_id, struct envelope *env);
/* Its time has come. */
void qmgr_flush_message(struct qmgr *qmgr, struct message *message);
void qmgr_flush_all(struct qmgr *qmgr);

/* attempt.c */
/* Make the message active. entry (may be NULL) says more than env; env is
 * stolen. */
void attempt_begin(struct qmgr *qmgr, struct message *message,
		   struct envelope *env, const struct store_entry *entry);
/* Read it from the store first. */
void attempt_begin_parked(struct qmgr *qmgr, struct message *message);
void attempt_routed(struct attempt *attempt, const struct routing *routings,
		    size_t count);
void attempt_free(struct attempt *attempt);
/* Nothing is delivered, and it is tried only once. */
static inline bool attempt_is_probe(const struct attempt *attempt)
{
	return (attempt->env->flags & ENVELOPE_PROBE) != 0;
}
/* Take back what has not been sent yet. */
void attempt_withdraw(struct attempt *attempt);

/* assign.c */
/* Make deliveries of the routed recipients. */
void attempt_assign(struct attempt *attempt, const struct routing *routings,
		    size_t count);
/* Not now, for this reason: by way of the retry service, which logs it. */
void attempt_defer(struct attempt *attempt, const uint32_t *recipients,
		   size_t count, const char *dsn, const char *reason);

/* outcome.c */
/* What an agent, or we ourselves, say about a recipient. */
void attempt_apply(struct attempt *attempt,
		   const struct delivery_status *status);
/* Log and apply a status of our own. */
void attempt_decide(struct attempt *attempt, uint32_t recipient,
		    enum delivery_action action, const char *dsn,
		    const char *reason);
/* Go on: save, send notices, finish or park. The attempt may be gone then. */
void attempt_progress(struct attempt *attempt);
/* From the journal to a file of its own, unless somebody reads it there. */
void attempt_move(struct attempt *attempt);
/* All that is not saved, in one go. */
void attempt_save(struct attempt *attempt, bool with_deferred);

/* delivery.c */
extern const struct schedule_ops delivery_schedule_ops;
struct transport *delivery_transport(struct qmgr *qmgr, const char *name);
void delivery_free(struct delivery *delivery);
void delivery_stillborn_work(struct qmgr *qmgr);

/* notice.c */
/* Send notices that the attempt owes; false: none. */
bool notice_begin(struct attempt *attempt);
void notice_work(struct qmgr *qmgr);
void notice_open(struct qmgr *qmgr);
void notice_close(struct qmgr *qmgr);

/* jobs.c */
bool jobs_route(struct attempt *attempt, struct routing *routings,
		size_t count);
void jobs_requeue(struct qmgr *qmgr, struct message *message);
bool jobs_are_idle(const struct qmgr *qmgr);

/* admin.c */
/* One message; true when it was affected. */
bool admin_apply(struct qmgr *qmgr, struct message *message,
		 enum admin_action action);
const char *message_queue_name(const struct message *message);

/* peers.c */
struct peer_set *peers_open(struct qmgr *qmgr);
void peers_listen(struct peer_set *peers, int fd);
void peers_close(struct peer_set *peers);
void peers_work(struct peer_set *peers);
bool peers_are_busy(const struct peer_set *peers);
/* What came of a probe, to those who asked for it. */
void peers_probed(struct peer_set *peers, const struct recipient *recipient,
		  const struct delivery_status *status);
/* A connection that was accepted. */
void peers_add(struct peer_set *peers, int fd, uint32_t uid);
