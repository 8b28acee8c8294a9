/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intake_priv - the inside of the intake: the journal with its group commit
 * (intake_journal.c), files of large messages (intake_file.c), the line to qmgr
 * (intake_notify.c), messages (intake.c).
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "queue/content_scan_priv.h"
#include "queue/image_priv.h"
#include "queue/intake.h"
#include "queue/segment_priv.h"
#include "queue/wire.h"

enum {
	MESSAGE_MEMORY_MAX_BYTES = 256 * 1024, /* more goes to a file */
	HEADER_MAX_BYTES = 16 * 1024 * 1024,
	RECORD_MAX_BYTES = 1024 * 1024, /* of the journal */
	FILE_CHUNK_BYTES = 64 * 1024,
	FILE_BODY_OFFSET = 512,
	SPACE_CHECK_MS = 1000,
	PREPARE_RETRY_MS = 1000,
	NOTIFY_RETRY_MS = 1000,
	RECORD_PARTS_MAX = 5,
};

struct notify {
	pthread_mutex_t lock;
	const char *writer, *directory, *socket_path;
	int root_dir;
	_Atomic int fd; /* -1: not connected */
	bool missed;	/* qmgr must look for itself */
	uint64_t next_try_ms;
};

void notify_init(struct notify *notify, const struct intake_config *config,
		 int root_dir);
void notify_done(struct notify *notify);
void notify_send(struct notify *notify, struct packet_out *packet);
/* Something was committed that the packet does not say. */
void notify_miss(struct notify *notify);
/* qmgr has not been asked yet to look for what it was not told. */
bool notify_is_behind(struct notify *notify);
void notify_check(struct notify *notify);

/* A segment in use; freed when neither current nor in a batch. Behind
 * journal->lock. */
struct segment {
	int fd;
	int journal_dir;
	struct segment_head head;
	uint64_t end; /* where the next record goes */
	size_t users;
	bool failed;	 /* takes no more records */
	bool has_synced; /* something in it was acknowledged */
};

/* Records that one fdatasync makes durable. Behind journal->lock. */
struct batch {
	struct batch *next;
	struct segment *segment;
	struct packet_out news; /* for qmgr */
	uint64_t *offsets;
	bool *cancelled;
	size_t count, members;
	bool closed, done, any_cancelled;
	enum rc rc;
	struct fault fault;
	pthread_cond_t cond;
};

struct journal {
	const struct queue_dirs *dirs;
	const struct queue_io *io;
	const char *writer;
	struct notify *notify;
	int timeout_ms;

	pthread_mutex_t lock;
	struct segment *current, *spare;
	struct batch *first, *last; /* not flushed yet, oldest first */
	bool flushing;
	uint32_t next_number;

	/* The thread that keeps a spare segment ready. */
	pthread_t preparer;
	bool preparer_runs, stopping, spare_wanted;
	pthread_cond_t wanted, prepared;
	struct fault spare_fault; /* why there is none */
	bool spare_failed;
	uint64_t retry_ms;

	_Atomic uint64_t flushes; /* counted for the benchmark */
};

struct record {
	struct image_head *head; /* generation is filled in when it is placed */
	struct span envelope, header, body;
	struct span news_env; /* for qmgr */
	bool news_has_recipients;
	struct place place; /* for qmgr; of a file: complete */
};

MUST_CHECK enum rc journal_open(struct journal *journal, struct fault *fault);
void journal_close(struct journal *journal);
/* Append and wait until it is on stable storage. Any thread. */
MUST_CHECK enum rc journal_commit(struct journal *journal,
				  struct record *record, struct fault *fault);

struct intake {
	struct intake_config config;
	struct queue_dirs *dirs;
	int writer_lock_fd, slot_fd;
	struct queue_id_source ids;
	struct journal journal;
	struct notify notify;
	atomic_size_t memory_used;
	_Atomic uint64_t space_checked_ms;
	_Atomic bool space_low;
};

/* For tests: other calls to reach the disk by. Before the first message. */
void intake_set_io(struct intake *intake, const struct queue_io *io);
uint64_t intake_flush_count(const struct intake *intake);

struct intake_priv {
	struct intake_message message; /* the public part, first */
	struct intake *intake;
	char id[QUEUE_ID_MAX_BYTES];
	struct buf header, body;
	size_t memory_counted;
	struct content_scan scan; /* of the body */
	uint32_t body_crc;
	uint64_t body_bytes;
	bool failed;
	/* A large message. */
	int fd; /* -1: in memory */
	uint64_t file_end;
	char path[QUEUE_PATH_MAX_BYTES], temporary[QUEUE_PATH_MAX_BYTES + 8];
	bool named; /* has its final name */
};

#define TEMPORARY_SUFFIX ".new"

/* From memory to a file of its own; body is written out and stays a buffer. */
MUST_CHECK enum rc message_file_begin(struct intake_priv *priv,
				      struct fault *fault);
MUST_CHECK enum rc message_file_write(struct intake_priv *priv,
				      struct span bytes, struct fault *fault);
/* Everything on stable storage, under the final name. */
MUST_CHECK enum rc message_file_finish(struct intake_priv *priv,
				       struct image_head *head,
				       struct span envelope,
				       struct fault *fault);
void message_file_drop(struct intake_priv *priv);
