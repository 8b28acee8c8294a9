/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify_work - what the verify service does on threads of its own, because it
 * may take long: putting probes into the queue, and reading and writing the
 * table.
 *
 * Order    verify_work_open, verify_work_load, then the rest
 * Holds    changes of the table are written together, about once a second, and
 *          at the end
 * Threads  the functions are for the main thread; `wake` is called by others
 */
#pragma once

#include "map/map.h"
#include "queue/intake.h"

struct verify_work;

struct verify_work_setup {
	struct conf *conf;
	struct intake *intake;
	void (*wake)(void *arg); /* there is something done */
	void *arg;
};

MUST_CHECK enum rc verify_work_open(TALLOC_CTX *mem,
				    const struct verify_work_setup *setup,
				    struct verify_work **ret_work,
				    struct fault *fault);
/* Every entry there is. RC_NONE: the table cannot be listed, entries are to be
 * found one by one; or there is none, and *ret_has_table is false. */
typedef void verify_work_each_fn(void *arg, struct span key, struct span value);
MUST_CHECK enum rc verify_work_load(struct verify_work *work,
				    verify_work_each_fn *each, void *arg,
				    bool *ret_has_table, struct fault *fault);

void verify_work_probe(struct verify_work *work, const char *address);
void verify_work_find(struct verify_work *work, const char *address);
/* text NULL: forget it. */
void verify_work_save(struct verify_work *work, const char *address,
		      const char *text);
/* Write what was saved, unless that is under way already. */
void verify_work_flush(struct verify_work *work);
/* The same now, and wait for all that is under way. */
void verify_work_end(struct verify_work *work);

struct verify_done {
	enum { VERIFY_DONE_PROBE, VERIFY_DONE_FIND } what;
	const char *address; /* texts live until the next call */
	struct span text;    /* found; empty: none */
	bool failed;	     /* the probe is not in the queue */
};
/* false: nothing more. */
MUST_CHECK bool verify_work_done(struct verify_work *work,
				 struct verify_done *ret_done);
