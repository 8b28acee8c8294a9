/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peers_priv - one connection to public/qmgr and what it is in the middle of.
 */
#pragma once

#include "plan/qmgr_priv.h"

enum sweep_kind { SWEEP_NONE, SWEEP_LIST, SWEEP_SITE, SWEEP_ADMIN };

struct peer {
	struct peer_set *set;
	struct peer *prev, *next;
	int fd;
	uint32_t uid;
	bool is_trusted;
	bool wants_probes; /* the verify service */
	struct poller_watch *watch;
	enum sweep_kind sweep;
	struct message_cursor cursor;
	char *text; /* of the request: id, site or queue name */
	enum admin_action action;
	uint32_t pass;	/* of a listing: the state that is its turn */
	uint32_t items; /* in this turn */
	uint32_t affected;
	/* Recipients of one message already sent: a number and no place, for
	 * the message may have become another one since. */
	uint32_t list_at;
	bool has_reply;	  /* which did not fit in the socket */
	enum rc reply_rc;
	uint32_t reply_count;
};

struct peer_set {
	struct qmgr *qmgr;
	struct peer *all;
	uint32_t count, untrusted;
};

/* list.c */
/* active, incoming, deferred, hold. */
int list_pass(const struct message *message);
/* Send WIRE_LIST_ITEM, or several of the same id when there are very many
 * recipients. false: the socket is full; call again with the same message. */
bool list_send(struct peer *peer, struct message *message);
/* Is it due because it has mail for this site? */
bool sweep_site(struct qmgr *qmgr, struct message *message, const char *site);
bool sweep_admin(struct qmgr *qmgr, struct message *message,
		 enum admin_action action, const char *queue_name);
