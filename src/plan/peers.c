/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who connects to public/qmgr: writers, which tell of new messages, and tools,
 * which list, flush and administer. A long answer is made in slices, so that it
 * holds up nobody.
 */
#include "plan/peers_priv.h"

#include <errno.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "queue/queue_id.h"
#include "sys/log.h"
#include "sys/socket_unix.h"

enum {
	PEERS_MAX = 1000,
	PEERS_UNTRUSTED_MAX = 50,
	PACKETS_A_TURN = 64,
	ACCEPTS_A_TURN = 16,
	SWEEP_A_ROUND = 1000, /* messages looked at */
	SWEEP_ACTS_A_ROUND = 200,
	LIST_LOOKS_A_TURN = 4000,
	LIST_ITEMS_A_TURN = 200,
	SITE_MAX_BYTES = 255,
};

static int peer_done(struct peer *peer)
{
	struct peer_set *set = peer->set;

	if (peer->sweep != SWEEP_NONE)
		message_cursor_end(set->qmgr->index, &peer->cursor);
	TALLOC_FREE(peer->watch);
	close(peer->fd);
	DL_DELETE(set->all, peer);
	set->count--;
	set->untrusted -= !peer->is_trusted;
	return 0;
}

static void peer_want(struct peer *peer)
{
	uint32_t events =
		peer->sweep == SWEEP_NONE && !peer->has_reply ? EPOLLIN : 0;

	if (peer->sweep == SWEEP_LIST || peer->has_reply)
		events = EPOLLOUT;
	poller_watch_want(peer->watch, events);
}

static void peer_reply(struct peer *peer, enum rc rc, uint32_t count,
		       const char *text)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct packet_out out;
	struct fault fault;

	packet_begin(&out, tmp, WIRE_REPLY);
	packet_put_u32(&out, rc);
	packet_put_u32(&out, count);
	packet_put_text(&out, text);
	peer->has_reply = packet_send(peer->fd, &out, &fault) == RC_NONE;
	if (peer->has_reply) {
		peer->reply_rc = rc;
		peer->reply_count = count;
	}
	peer_want(peer);
}

static void sweep_begin(struct peer *peer, enum sweep_kind kind)
{
	peer->sweep = kind;
	peer->affected = 0;
	peer->pass = 0;
	message_cursor_begin(peer->set->qmgr->index, &peer->cursor);
	peer_want(peer);
}

static void sweep_end(struct peer *peer)
{
	message_cursor_end(peer->set->qmgr->index, &peer->cursor);
	peer->sweep = SWEEP_NONE;
	peer_reply(peer, RC_OK, peer->affected, "");
}

/* Another user's tool: may it ask this? */
static bool peer_may(struct peer *peer, const struct match_list *users)
{
	const struct passwd *user;
	struct fault fault;

	if (peer->is_trusted)
		return true;
	user = getpwuid(peer->uid);
	return match_list_domain(
		       users,
		       span_from(user == NULL ? "unknown" : user->pw_name),
		       &fault) == RC_OK;
}

static void writer_hello(struct peer *peer, struct packet_in *in)
{
	struct qmgr *qmgr = peer->set->qmgr;
	struct span name = packet_take_span(in);
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct fault fault;

	if (in->bad || name.len == 0 || name.len >= WRITER_NAME_MAX_BYTES)
		return;
	if (store_scan_writer(qmgr->store, mem_span_dup(tmp, name), qmgr_found,
			      qmgr, &fault) != RC_OK)
		log_warning("journal of %.*s: %s", SPAN_FMT(name), fault.text);
}

static void writer_new(struct peer *peer, struct packet_in *in)
{
	for (;;) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct place place;
		struct envelope *env;
		bool with_recipients;
		struct fault fault;
		enum rc rc;

		rc = writer_new_take(tmp, in, &place, &env, &with_recipients,
				     &fault);
		if (rc == RC_NONE)
			return;
		if (rc != RC_OK || env->queue_id == NULL ||
		    !queue_id_is_valid(span_from(env->queue_id))) {
			log_warning("malformed announcement of a message; it "
				    "will be found in the journal");
			return;
		}
		qmgr_new_message(peer->set->qmgr, &place, env->queue_id,
				 with_recipients ? env : NULL);
	}
}

static void peer_set_text(struct peer *peer, struct span text)
{
	talloc_free(peer->text);
	peer->text = mem_span_dup(peer, text);
}

static bool site_is_valid(struct span site)
{
	return site.len > 0 && site.len <= SITE_MAX_BYTES;
}

/* Only for domains of fast_flush_domains, as where each has a file. */
static void tool_flush_site(struct peer *peer, struct span site)
{
	struct qmgr *qmgr = peer->set->qmgr;
	struct fault fault = { 0 };

	peer_set_text(peer, site);
	switch (match_list_domain(qmgr->conf->flush_domains, site, &fault)) {
	case RC_OK:
		schedule_forgive(qmgr->schedule);
		sweep_begin(peer, SWEEP_SITE);
		break;
	case RC_NONE:
		peer_reply(peer, RC_CONF, 0,
			   "not configured for this destination");
		break;
	default:
		log_warning("fast_flush_domains: %s", fault.text);
		peer_reply(peer, RC_TEMP, 0, "fast_flush_domains cannot be "
					     "looked up");
	}
}

static void tool_flush(struct peer *peer, struct packet_in *in)
{
	struct qmgr *qmgr = peer->set->qmgr;
	struct span what = packet_take_span(in);

	if (in->bad || !peer_may(peer, qmgr->conf->flush_users)) {
		peer_reply(peer, RC_PERM, 0, "not authorized");
		return;
	}
	if (what.len == 0) {
		qmgr_flush_all(qmgr);
		peer_reply(peer, RC_OK, qmgr->index->counts[MESSAGE_DEFERRED],
			   "");
		return;
	}
	if (span_starts(what, "id:")) {
		struct message *message;

		peer_set_text(peer, span_skip(what, 3));
		message = message_find(qmgr->index, peer->text);
		if (message != NULL)
			qmgr_flush_message(qmgr, message);
		schedule_forgive(qmgr->schedule);
		peer_reply(peer, RC_OK, message != NULL, "");
		return;
	}
	if (span_starts(what, "site:") && site_is_valid(span_skip(what, 5))) {
		tool_flush_site(peer, span_skip(what, 5));
		return;
	}
	peer_reply(peer, RC_PERM, 0, "malformed request");
}

static void tool_admin(struct peer *peer, struct packet_in *in)
{
	struct qmgr *qmgr = peer->set->qmgr;
	uint32_t action = packet_take_u32(in);
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *id = packet_take_text(in, tmp);
	struct message *message;

	peer_set_text(peer, packet_take_span(in));
	if (in->bad || !peer->is_trusted || action > ADMIN_EXPIRE) {
		peer_reply(peer, RC_PERM, 0,
			   peer->is_trusted ? "malformed request"
					    : "not authorized");
		return;
	}
	peer->action = (enum admin_action)action;
	if (strcmp(id, "ALL") == 0) {
		sweep_begin(peer, SWEEP_ADMIN);
		return;
	}
	message = message_find(qmgr->index, id);
	if (message == NULL ||
	    (peer->text[0] != '\0' &&
	     strcmp(peer->text, message_queue_name(message)) != 0)) {
		peer_reply(peer, RC_NONE, 0, "no such message");
		return;
	}
	peer_reply(peer, RC_OK, admin_apply(qmgr, message, peer->action), "");
}

static void tool_list(struct peer *peer, struct packet_in *in)
{
	if (!peer_may(peer, peer->set->qmgr->conf->mailq_users)) {
		peer_reply(peer, RC_PERM, 0, "not authorized");
		return;
	}
	peer_set_text(peer, packet_take_span(in));
	if (in->bad)
		peer_reply(peer, RC_PERM, 0, "malformed request");
	else
		sweep_begin(peer, SWEEP_LIST);
}

static void probes_hello(struct peer *peer, struct packet_in *in)
{
	peer->wants_probes = true;
}

void peers_probed(struct peer_set *set, const struct recipient *recipient,
		  const struct delivery_status *status)
{
	struct peer *peer;

	DL_FOREACH (set->all, peer) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct packet_out out;
		struct fault fault;

		if (!peer->wants_probes)
			continue;
		packet_begin(&out, tmp, WIRE_PROBED);
		packet_put_text(&out, recipient->address);
		packet_put_text(&out, recipient->original);
		packet_put_u32(&out, status->action);
		packet_put_text(&out, status->reason);
		/* One that is lost is asked for again in time. */
		if (packet_send(peer->fd, &out, &fault) != RC_OK)
			log_warning("result of a probe is lost: %s",
				    fault.text);
	}
}

static void tool_ping(struct peer *peer, struct packet_in *in)
{
	peer_reply(peer, RC_OK, 0, "");
}

static const struct {
	uint16_t type;
	bool trusted_only;
	void (*handle)(struct peer *peer, struct packet_in *in);
} requests[] = {
	{ WIRE_WRITER_NEW, true, writer_new },
	{ WIRE_WRITER_HELLO, true, writer_hello },
	{ WIRE_PROBES_HELLO, true, probes_hello },
	{ WIRE_PING, false, tool_ping },
	{ WIRE_LIST, false, tool_list },
	{ WIRE_FLUSH, false, tool_flush },
	{ WIRE_ADMIN, false, tool_admin },
};

static void peer_packet(struct peer *peer, struct packet_in *in)
{
	if (in->fd >= 0)
		close(packet_take_fd(in));
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		if (requests[i].type != in->type)
			continue;
		if (!requests[i].trusted_only || peer->is_trusted) {
			requests[i].handle(peer, in);
			return;
		}
	}
	peer_reply(peer, RC_PERM, 0, "request refused");
}

/* false: no more packets now, or the peer is gone. */
static bool peer_read(struct peer *peer)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct packet_in in;
	struct fault fault;
	enum rc rc = packet_receive(mem, peer->fd, &in, &fault);
	bool more = rc == RC_OK;

	if (rc == RC_OK) {
		peer_packet(peer, &in);
		more = peer->sweep == SWEEP_NONE && !peer->has_reply;
	} else if (rc != RC_NONE) {
		talloc_free(peer);
	}
	talloc_free(mem);
	return more;
}

/* One more message of the listing; false: the peer must read first. */
static bool list_one(struct peer *peer, struct message *message)
{
	if (peer->pass != (uint32_t)list_pass(message))
		return true;
	if (!list_send(peer, message))
		return false;
	peer->items++;
	return true;
}

static void list_go_on(struct peer *peer)
{
	struct message_index *index = peer->set->qmgr->index;

	peer->items = 0;
	if (peer->text[0] != '\0') {
		struct message *message = message_find(index, peer->text);

		if (message == NULL || list_send(peer, message))
			sweep_end(peer);
		return;
	}
	for (int i = 0; i < LIST_LOOKS_A_TURN; i++) {
		struct message *message = peer->cursor.at;

		if (message == NULL && ++peer->pass < MESSAGE_STATES) {
			peer->cursor.at = index->all;
			continue;
		}
		if (message == NULL) {
			sweep_end(peer);
			return;
		}
		if (!list_one(peer, message))
			return;
		message_cursor_next(&peer->cursor);
		if (peer->items >= LIST_ITEMS_A_TURN)
			return;
	}
}

static void peer_ready(void *arg, int fd, uint32_t events)
{
	struct peer *peer = arg;

	if ((events & (EPOLLHUP | EPOLLERR)) != 0 && (events & EPOLLIN) == 0) {
		talloc_free(peer);
		return;
	}
	if ((events & EPOLLOUT) != 0) {
		if (peer->has_reply)
			peer_reply(peer, peer->reply_rc, peer->reply_count, "");
		else if (peer->sweep == SWEEP_LIST)
			list_go_on(peer);
		return;
	}
	for (int i = 0; i < PACKETS_A_TURN; i++)
		if (!peer_read(peer))
			return;
}

void peers_add(struct peer_set *set, int fd, uint32_t uid)
{
	struct peer *peer;
	struct fault fault;
	bool trusted = uid == 0 || uid == geteuid() ||
		       uid == set->qmgr->conf->mail_owner_uid;

	if (set->count >= PEERS_MAX ||
	    (!trusted && set->untrusted >= PEERS_UNTRUSTED_MAX)) {
		close(fd);
		return;
	}
	peer = mem_new(set, struct peer);
	peer->set = set;
	peer->fd = fd;
	peer->uid = uid;
	peer->is_trusted = trusted;
	peer->text = mem_strdup(peer, "");
	DL_APPEND(set->all, peer);
	set->count++;
	set->untrusted += !trusted;
	talloc_set_destructor(peer, peer_done);
	if (poller_watch(peer, set->qmgr->poller, fd, EPOLLIN, peer_ready, peer,
			 &peer->watch, &fault) != RC_OK) {
		log_warning("%s", fault.text);
		talloc_free(peer);
	}
}

static void listen_ready(void *arg, int fd, uint32_t events)
{
	struct peer_set *set = arg;
	struct ucred cred;
	struct fault fault;
	int client;

	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		if (socket_unix_accept(fd, SOCK_NONBLOCK, &client, &fault) !=
		    RC_OK)
			return;
		if (socket_unix_peer(client, &cred, &fault) != RC_OK) {
			close(client);
			continue;
		}
		peers_add(set, client, cred.uid);
	}
}

static int set_done(struct peer_set *set)
{
	struct peer *peer, *after;

	DL_FOREACH_SAFE (set->all, peer, after)
		talloc_free(peer);
	return 0;
}

struct peer_set *peers_open(struct qmgr *qmgr)
{
	struct peer_set *set = mem_new(qmgr, struct peer_set);

	set->qmgr = qmgr;
	talloc_set_destructor(set, set_done);
	return set;
}

void peers_listen(struct peer_set *set, int fd)
{
	struct poller_watch *watch;
	struct fault fault;

	if (poller_watch(set, set->qmgr->poller, fd, EPOLLIN, listen_ready, set,
			 &watch, &fault) != RC_OK)
		log_fatal("listen on public/qmgr: %s", fault.text);
}

/* Requests that go over the whole queue, a slice at a time. */
static void sweep_go_on(struct peer *peer)
{
	struct qmgr *qmgr = peer->set->qmgr;
	int acts = 0;

	for (int i = 0; i < SWEEP_A_ROUND && acts < SWEEP_ACTS_A_ROUND; i++) {
		struct message *message = message_cursor_next(&peer->cursor);
		bool affected;

		if (message == NULL) {
			sweep_end(peer);
			return;
		}
		affected = peer->sweep == SWEEP_SITE
				   ? sweep_site(qmgr, message, peer->text)
				   : sweep_admin(qmgr, message, peer->action,
						 peer->text);
		acts += affected;
		peer->affected += affected;
	}
}

void peers_work(struct peer_set *set)
{
	struct peer *peer, *after;

	DL_FOREACH_SAFE (set->all, peer, after)
		if (peer->sweep == SWEEP_SITE || peer->sweep == SWEEP_ADMIN)
			sweep_go_on(peer);
}

bool peers_are_busy(const struct peer_set *set)
{
	struct peer *peer;

	DL_FOREACH (set->all, peer)
		if (peer->sweep == SWEEP_SITE || peer->sweep == SWEEP_ADMIN)
			return true;
	return false;
}
