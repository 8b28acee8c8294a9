/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_priv - the inside of the store: segments and their bitmaps (store.c),
 * reading them (store_scan.c), message files (store_file.c), moves
 * (store_move.c), the outcome journal (store_outcome.c), the sync thread
 * (store_sync.c), recycling (store_house.c).
 */
#pragma once

#include <pthread.h>
#include <uthash.h>

#include "queue/image_priv.h"
#include "queue/outcome_priv.h"
#include "queue/segment_priv.h"
#include "queue/store.h"

struct record_key {
	uint64_t generation, offset;
};

/* What is known about the records of a segment: a bit each, by offset. */
struct store_segment {
	uint64_t generation;
	char writer[WRITER_NAME_MAX_BYTES];
	uint32_t number;
	int fd; /* read-only; holds the lock when sealed */
	uint64_t size_bytes;
	uint8_t *known, *done;
	uint32_t known_count, done_count;
	bool sealed;  /* its writer is through with it */
	bool complete; /* read to its end after it was sealed */
	uint64_t sealed_ms, reported_ms;
	UT_hash_handle hh;
};

/* Statuses of a journal record that is not finished, as outcome records. */
struct store_partial {
	struct record_key key;
	struct buf log;
	UT_hash_handle hh;
};

/* A file that is finished by the outcomes but may still be there. */
struct store_gone {
	uint64_t generation;
	UT_hash_handle hh;
};

/* A move whose file is not known to be durable yet. */
struct store_pending {
	uint64_t generation; /* of the file */
	struct record_key origin;
	bool finished; /* meanwhile: nothing is left to record */
	UT_hash_handle hh;
};

enum sync_kind { SYNC_FILE, SYNC_MOVE, SYNC_ROTATE };

struct sync_job {
	struct sync_job *next;
	enum sync_kind kind;
	int fd; /* the job's; ROTATE: the outcome file before */
	char path[QUEUE_PATH_MAX_BYTES];
	uint64_t generation; /* of a moved file */
	uint32_t number;     /* ROTATE: all outcome files up to this one go */
	bool failed;
};

struct store_sync {
	pthread_t thread;
	bool runs;
	pthread_mutex_t lock;
	pthread_cond_t wanted;
	/* Behind the lock: */
	struct sync_job *jobs, **jobs_tail;
	struct sync_job *through; /* moves, for the owner to take */
	int outcome_fd;
	bool dirty, stopping, outcome_failed;
	const struct queue_dirs *dirs;
	const struct queue_io *io;
};

struct store {
	enum store_mode mode;
	struct queue_dirs *dirs;
	const struct queue_io *io;
	int lock_fd;
	int file_fd; /* of the last store_descriptor */
	struct store_segment *segments, *last_segment;
	struct store_partial *partials;
	struct store_gone *gone;
	struct store_pending *pending;
	store_found_fn found;
	void *found_arg;
	/* The outcome journal. */
	int outcome_fd;
	uint32_t outcome_number;
	uint64_t outcome_bytes;
	struct buf backlog; /* could not be written yet */
	struct sync_job *batch; /* moves since the last flush */
	struct store_sync sync;
};

/* store.c */
struct store_segment *store_segment_find(struct store *store,
					 uint64_t generation);
/* Opens it when it is there and of this generation (0: any). */
MUST_CHECK enum rc store_segment_open(struct store *store, const char *writer,
				      uint32_t number, uint64_t generation,
				      struct store_segment **ret_segment,
				      struct fault *fault);
/* The same; NULL when it cannot be had. */
struct store_segment *store_segment_get(struct store *store, const char *writer,
					uint32_t number, uint64_t generation);
void store_segment_forget(struct store *store, struct store_segment *segment);
bool store_segment_is_known(const struct store_segment *segment,
			    uint64_t offset);
bool store_segment_is_done(const struct store_segment *segment,
			   uint64_t offset);
/* False: it was already. Or the offset is none of this segment. */
bool store_segment_set_known(struct store_segment *segment, uint64_t offset);
bool store_segment_set_done(struct store_segment *segment, uint64_t offset);
struct store_partial *store_partial_find(struct store *store,
					 struct record_key key);
struct store_partial *store_partial_get(struct store *store,
					struct record_key key);
void store_partial_drop(struct store *store, struct record_key key);

/* store_entry.c: an entry out of an envelope and a log. */
struct store_entry *store_entry_make(TALLOC_CTX *mem, struct envelope *env,
				     struct span log);

/* The log a file begins with: everything the entry says. */
void store_entry_log(struct buf *out, uint64_t generation,
		     const struct store_entry *entry);

/* store_compact.c: a log that has grown is written anew, without what later
 * records made void. */
bool store_compact_is_due(uint64_t before_bytes, uint64_t after_bytes);
MUST_CHECK enum rc store_file_compact(struct store *store, const char *path,
				      struct fault *fault);

/* store_scan.c */
MUST_CHECK enum rc store_segments_load(struct store *store, const char *writer,
				       struct fault *fault);
/* Reports what is neither known nor done. `report_files`: of references too. */
void store_segment_scan(struct store *store, struct store_segment *segment,
			bool report_files);
bool store_segment_seal(struct store_segment *segment);

/* store_file.c */
MUST_CHECK enum rc store_file_entry(TALLOC_CTX *mem, struct store *store,
				    const char *path,
				    struct store_entry **ret_entry,
				    struct fault *fault);
MUST_CHECK enum rc store_file_log(struct store *store, const char *queue_id,
				  struct span log, bool durable,
				  struct fault *fault);
MUST_CHECK enum rc store_files_scan(struct store *store, struct fault *fault);
/* Aside, where nothing is delivered from. */
void store_file_condemn(struct store *store, const char *path,
			const char *why);

/* store_outcome.c */
MUST_CHECK enum rc store_outcomes_load(struct store *store,
				       struct fault *fault);
void store_outcome_append(struct store *store, struct span records);
void store_outcome_done(struct store *store, struct record_key key);
/* Begin a new outcome file beside the old ones: what is at the end of the last
 * may be torn. */
MUST_CHECK enum rc store_outcome_begin(struct store *store,
				       struct fault *fault);
/* Begin a new outcome file with what still counts; the old ones go. */
MUST_CHECK enum rc store_outcome_rotate(struct store *store,
					struct fault *fault);
void store_outcome_keep(struct store *store);

/* store_sync.c */
MUST_CHECK enum rc store_sync_start(struct store *store, struct fault *fault);
void store_sync_stop(struct store *store);
void store_sync_push(struct store *store, struct sync_job *jobs);
void store_sync_outcome(struct store *store);

/* store_move.c */
void store_moves_settle(struct store *store);
/* A journal record and a file of the same id, after a crash: true when the file
 * is whole and so the record is done; one that is not whole is removed. */
bool store_move_was_made(struct store *store, const struct image_head *head,
			 uint64_t offset);
