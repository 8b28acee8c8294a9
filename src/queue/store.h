/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store - the queue on disk as qmgr sees it: intake segments, message files and
 * the outcome journal. Also for tools, when no qmgr runs.
 *
 * Layout   journal/<writer>.<n>, journal/outcome.<n>, journal/free/, queue/xx/ID
 * Holds    what was accepted, less what the outcomes say, is what is still to
 *          do. Outcomes are written at once and made durable within a second,
 *          by a thread of the store; store_move is durable before the journal
 *          record counts as moved. A segment in which nothing is alive is
 *          recycled.
 * Threads  one owner thread; the store's own sync thread shares only
 *          descriptors
 * Errors   RC_TEMP I/O (the store stays usable), RC_CONF wrong rights or a
 *          queue that is not ours; what is damaged is moved to corrupt/ and
 *          logged, never deleted
 */
#pragma once

#include "queue/envelope.h"
#include "queue/place.h"
#include "queue/status.h"

struct store;

struct store_entry { /* one message that is not finished */
	struct place place;
	struct envelope *env; /* child of the callback's mem; all recipients */
	const uint8_t *recipient_done; /* 1: nothing to do any more */
	uint64_t next_attempt_us; /* wall clock; 0: at once */
	uint64_t warned_us;	  /* when the delay notice went, 0: not */
	bool on_hold, force_expire;
	/* Failures recorded for a notice, and the latest reason for each
	 * recipient that waits (action DEFERRED). */
	const struct delivery_status *statuses;
	size_t status_count;
};

typedef void (*store_found_fn)(void *arg, TALLOC_CTX *mem,
			       const struct store_entry *entry);

enum store_mode {
	STORE_OWNER,	 /* qmgr: takes the lock, may write */
	STORE_READ_ONLY, /* tools beside a running qmgr */
};

MUST_CHECK enum rc store_open(TALLOC_CTX *mem, const char *queue_directory,
			      enum store_mode mode, struct store **ret_store,
			      struct fault *fault);
/* Everything there is, at start. Each message is reported once: a file wins
 * over a journal record of the same id. `found` and `arg` are kept for what
 * store_stragglers finds later. */
MUST_CHECK enum rc store_scan(struct store *store, store_found_fn found,
			      void *arg, struct fault *fault);
/* One message, without a scan of all files; for tools that look. RC_NONE: it is
 * not here, or finished. */
MUST_CHECK enum rc store_find(TALLOC_CTX *mem, struct store *store,
			      const char *queue_id,
			      struct store_entry **ret_entry,
			      struct fault *fault);
/* Before store_scan, owner only: files that lie in the wrong directory, after a
 * restore from a backup for example, go where they are looked for. */
MUST_CHECK enum rc store_repair(struct store *store, uint32_t *ret_moved,
				struct fault *fault);
/* The segments of one writer, for records not reported yet: a writer has
 * (re)connected and may have committed what qmgr was not told. */
MUST_CHECK enum rc store_scan_writer(struct store *store, const char *writer,
				     store_found_fn found, void *arg,
				     struct fault *fault);
/* A record a writer told us about. False: known already or done; ignore it. */
bool store_note(struct store *store, const struct place *place,
		const char *queue_id);
/* The open file to pass to an agent; read-only; stays the store's and is good
 * until the next call that takes the store. */
MUST_CHECK enum rc store_descriptor(struct store *store,
				    const struct place *place,
				    const char *queue_id, int *ret_fd,
				    struct fault *fault);
/* Read a whole entry again (a message that was only an index entry). */
MUST_CHECK enum rc store_read(TALLOC_CTX *mem, struct store *store,
			      const struct place *place, const char *queue_id,
			      struct store_entry **ret_entry,
			      struct fault *fault);

/* What happened to recipients; in the outcome journal or the file's own log. */
MUST_CHECK enum rc store_record(struct store *store, const struct place *place,
				const char *queue_id,
				const struct delivery_status *statuses,
				size_t count, struct fault *fault);
/* The notice about all failures recorded so far has been sent. */
MUST_CHECK enum rc store_set_noticed(struct store *store,
				     const struct place *place,
				     const char *queue_id, struct fault *fault);
/* The message is finished: nothing left to do, no notice left to send. The
 * generation of a file's place may be 0 here and everywhere: not remembered. */
MUST_CHECK enum rc store_finish(struct store *store, const struct place *place,
				const char *queue_id, struct fault *fault);
/* Journal to file: it has to wait. *place becomes the file's. The log of the
 * file begins with entry's statuses, hold and force_expire, its next attempt is
 * entry->next_attempt_us. The owner calls store_move_flush once per loop: it
 * hands the batch to the sync thread and does not wait; until the file is
 * durable the journal record stays alive too. */
MUST_CHECK enum rc store_move(struct store *store, struct place *place,
			      const struct store_entry *entry,
			      struct fault *fault);
MUST_CHECK enum rc store_move_flush(struct store *store, struct fault *fault);
/* Files only (move first). */
MUST_CHECK enum rc store_set_next_attempt(struct store *store,
					  const char *queue_id,
					  uint64_t when_us,
					  struct fault *fault);
MUST_CHECK enum rc store_set_hold(struct store *store, const char *queue_id,
				  bool on_hold, struct fault *fault);
MUST_CHECK enum rc store_set_force_expire(struct store *store,
					  const char *queue_id,
					  struct fault *fault);
MUST_CHECK enum rc store_set_warned(struct store *store, const char *queue_id,
				    uint64_t when_us, struct fault *fault);
/* Housekeeping, called once a second by the owner: recycles segments, and
 * reports the places of messages that keep a segment from it: they should be
 * moved. Records that no writer told us about are reported as found. */
void store_stragglers(struct store *store,
		      void (*straggler)(void *arg, const struct place *place,
					const char *queue_id),
		      void *arg);
