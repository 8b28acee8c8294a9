/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify - what is known of addresses, when one is asked about anew, and who
 * waits for the answer. Pure: table, probes and peers are the owner's.
 *
 *   ask ─▶ known? ──yes──▶ answer        (and a probe, when it is getting old)
 *            └─no─▶ "in progress" ─▶ one probe for all who ask ─▶ result ─▶
 *                   answer all of them, keep the entry
 *
 * Entry    "status:probed:updated:text", the reference's: 0 deliverable, 1 not
 *          now, 2 undeliverable; seconds since 1970; probed 0: no probe is
 *          under way. The key is the address as it was asked for.
 * Holds    one probe at a time for an address; a good result is not replaced by
 *          a bad one before it expires; a bad one is not kept without
 *          address_verify_negative_cache
 * Limits   VERIFY_ENTRIES_MAX (the oldest go), VERIFY_WAITERS_MAX, probes under
 *          way: settings.pending_max
 * Units    seconds of the wall clock
 * Threads  the owner's
 */
#pragma once

#include "base/mem.h"
#include "base/span.h"
#include "queue/wire.h"

enum {
	VERIFY_ENTRIES_MAX = 200000,
	VERIFY_WAITERS_MAX = 100000,
	VERIFY_PROBE_S = 1000, /* no result after this: it is lost */
	VERIFY_TEXT_MAX_BYTES = 1000,
	VERIFY_ADDRESS_MAX_BYTES = 400,
};

struct verify_settings {
	int positive_expire_s, positive_refresh_s;
	int negative_expire_s, negative_refresh_s;
	bool negative_cache;
	uint32_t pending_max;
};

/* Who asked: for the owner to find. */
struct verify_waiter {
	uint64_t peer, number;
};

struct verify_ops {
	/* Send a probe; what comes of it is told with verify_result or
	 * verify_probe_failed. */
	void (*probe)(void *arg, const char *address);
	/* Look it up where entries cannot be listed, and say so with
	 * verify_found. */
	void (*find)(void *arg, const char *address);
	/* text NULL: it is to be forgotten. */
	void (*save)(void *arg, const char *address, const char *text);
	void (*answer)(void *arg, struct verify_waiter waiter,
		       enum verify_status status, const char *text);
};

struct verify;

struct verify *verify_new(TALLOC_CTX *mem,
			  const struct verify_settings *settings,
			  const struct verify_ops *ops, void *arg);
/* From now on what is not known is nowhere: ops->find is not used. */
void verify_all_loaded(struct verify *verify);
/* An entry of the table, before anybody asks. What cannot be read or has
 * expired is saved as forgotten. */
void verify_load(struct verify *verify, struct span address, struct span text,
		 int64_t now_s);
/* Answers at once, with VERIFY_TODO when nothing is known; then once more when
 * there is a result. */
void verify_ask(struct verify *verify, const char *address,
		struct verify_waiter waiter, int64_t now_s);
void verify_result(struct verify *verify, const char *address,
		   enum verify_status status, const char *text, int64_t now_s);
void verify_probe_failed(struct verify *verify, const char *address);
/* The answer to ops->find; an empty span: there is none. */
void verify_found(struct verify *verify, const char *address, struct span text,
		  int64_t now_s);
/* Nobody is there any more to hear it. */
void verify_peer_gone(struct verify *verify, uint64_t peer);
/* Forget what has expired. */
void verify_clean(struct verify *verify, int64_t now_s, uint32_t *ret_retained,
		  uint32_t *ret_dropped);
uint32_t verify_pending(const struct verify *verify);

/* "0:0:1795313579:250 2.1.5 ok" */
struct verify_entry {
	enum verify_status status;
	int64_t probed_s, updated_s;
	struct span text;
};
MUST_CHECK bool verify_entry_parse(struct span text,
				   struct verify_entry *ret_entry);
