/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qmgr_world - the queue manager with agents and tools at the ends of socket
 * pairs, and a store that only remembers.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "fake_store.h"
#include "plan/qmgr_priv.h"

enum { AGENTS_MAX = 16 };

struct fake_agent {
	char path[64];
	int fd; /* our end; -1: closed */
	int connects;
	bool refuses;
};

struct world {
	char directory[64];
	struct conf *conf;
	struct poller *poller;
	struct qmgr *qmgr;
	struct fake_agent agents[AGENTS_MAX];
	int tool;
	struct fault fault;
};

struct answer {
	enum delivery_action action;
	const char *dsn, *reason, *dsn_action;
	const char *site; /* why the destination is out of reach */
};

struct notice_seen {
	uint64_t id;
	uint32_t kind, count;
	uint32_t recipients[16];
	char reason[100];
};

extern const struct place in_journal;
extern const struct place in_file;
extern const struct answer sent;
extern const struct answer later;
extern const struct answer never;
extern const struct answer unreachable;

struct fake_agent *agent_at(struct world *world, const char *path);
struct world *world_new(const char *main_cf);
void world_free(struct world *world);
void turn(struct world *world);
void hello(struct world *world, const char *path, uint32_t capacity);
struct envelope *mail(struct world *world, const char *id, const char *sender,
		      const char *recipients, int age_s);
void announce(struct world *world, const char *id, const char *sender,
	      const char *recipients);
void found(struct world *world, const char *id, const char *sender,
	   const char *recipients, int age_s);
void put_status(struct packet_out *out, uint32_t recipient,
		const struct answer *answer);
struct delivery_request *take(struct world *world, const char *path);
void give(struct world *world, const char *path,
	  struct delivery_request *request, const struct answer *answer);
bool take_notice(struct world *world, struct notice_seen *ret);
void notice_answer(struct world *world, uint64_t id, bool done);
struct message *message(struct world *world, const char *id);
