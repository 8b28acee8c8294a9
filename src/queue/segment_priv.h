/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment_priv - one file of the intake journal.
 *
 * Shape    a head of SEGMENT_HEAD_BYTES, then images, each at a multiple of
 *          IMAGE_ALIGN_BYTES; the file is written over in whole before its
 *          first use, so that a commit never allocates
 * Lock     flock on the file. It is the writer's until its last commit is
 *          answered, then qmgr's: who has the lock may write or rename
 * Name     journal/<writer>.<number>; while it is prepared, journal/free/...
 *          A file whose head names another writer or number was taken over by
 *          a crash in the middle and holds nothing.
 */
#pragma once

#include "base/fault.h"
#include "base/mem.h"
#include "queue/io_priv.h"
#include "queue/place.h"

enum {
	SEGMENT_BYTES = 16 * 1024 * 1024,
	SEGMENT_HEAD_BYTES = 4096,
	SEGMENT_HEAD_COPY_AT = 2048, /* a bit must not cost a segment */
	SEGMENT_NAME_MAX_BYTES = WRITER_NAME_MAX_BYTES + 16,
	SEGMENT_FREE_MAX = 8, /* more of them are removed */
	JOURNAL_FILE_MODE = 0600,
	JOURNAL_DIR_MODE = 0700,
};

#define SEGMENT_MAGIC "PSTNseg1"

struct segment_head {
	char magic[8];
	uint32_t version;
	uint32_t crc; /* of all that follows */
	uint64_t generation;
	uint64_t size_bytes;
	uint64_t created_us;
	uint32_t number;
	uint32_t unused;
	char writer[WRITER_NAME_MAX_BYTES];
};

/* The directories of a queue, opened once. */
struct queue_dirs {
	int root, journal, free, queue, corrupt;
};

/* Opens them, and makes those that are missing. */
MUST_CHECK enum rc queue_dirs_open(TALLOC_CTX *mem, const char *directory,
				   bool may_make, struct queue_dirs **ret_dirs,
				   struct fault *fault);
/* A file that root made belongs to the owner of the directory. */
void queue_file_adopt(int dir, int fd);
/* The directory of queue/<path> is there and durable; -1 and errno. */
int queue_hash_dir_make(const struct queue_dirs *dirs, const char *path);
/* Opens a lock file and takes its lock at once; -1 and errno otherwise. */
int queue_lock_take(int dir, const char *name);

void segment_name(const char *writer, uint32_t number,
		  char ret_name[SEGMENT_NAME_MAX_BYTES]);
/* False: the name is not that of a segment. */
bool segment_name_parse(const char *name, char ret_writer[WRITER_NAME_MAX_BYTES],
			uint32_t *ret_number);
bool segment_writer_is_valid(const char *writer);
/* RC_NONE: not what the name says, so it holds nothing; RC_PERM: damaged. */
MUST_CHECK enum rc segment_head_read(int fd, const char *writer,
				     uint32_t number,
				     struct segment_head *ret_head,
				     struct fault *fault);
/* The highest number in use by this writer, 0: none. */
MUST_CHECK enum rc segment_last_number(const struct queue_dirs *dirs,
				       const char *writer, uint32_t *ret_number,
				       struct fault *fault);

/* A new or recycled segment, locked, named and durable. */
MUST_CHECK enum rc segment_prepare(const struct queue_dirs *dirs,
				   const struct queue_io *io,
				   const char *writer, uint32_t number,
				   int *ret_fd, struct segment_head *ret_head,
				   struct fault *fault);
/* Give it back: to journal/free/, or removed when there are enough. The caller
 * has its lock. */
MUST_CHECK enum rc segment_recycle(const struct queue_dirs *dirs,
				   const char *writer, uint32_t number,
				   uint64_t generation, struct fault *fault);
/* Remove what a crash left in journal/free/. */
void segment_clean_free(const struct queue_dirs *dirs);
