/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map_build - make and change lookup tables on disk: what postmap does.
 *
 * Server   redis and memcache tables are changed one entry at a time, with
 *          MAP_BUILD_INCREMENTAL; a change is made when the call returns
 * Readers  see the old table or the new one, never half of one: a whole table
 *          is built beside and renamed into place, with owner and mode kept
 * Errors   RC_CONF with table, file and line; RC_TEMP: the disk, a lock
 * Threads  none of its own
 */
#pragma once

#include <limits.h>

#include "map/map.h"

/* Bad and duplicate lines: "/etc/postfix/access, line 3: ..." */
typedef void map_build_warn_fn(void *arg, const char *text);

enum map_build_flags {
	MAP_BUILD_NO_FOLD = 1,	     /* -f */
	MAP_BUILD_INCREMENTAL = 2,   /* -i: change the table that is there */
	MAP_BUILD_REPLACE = 4,	     /* -r: a duplicate key wins */
	MAP_BUILD_IGNORE_DUP = 8,    /* -w: a duplicate key is no warning */
	MAP_BUILD_NUL = 16,	     /* -N: keys and values end in NUL */
	MAP_BUILD_NO_NUL = 32,	     /* -n; neither: as the type has it */
	MAP_BUILD_KEEP_USER = 64,    /* -o: do not become the source's owner */
	MAP_BUILD_NEW_MODE = 128,    /* -p: do not take the source's mode */
	MAP_BUILD_FILE_VALUES = 256, /* -F: values are files, kept as base64 */
	MAP_BUILD_CHECK_UTF8 = 512,  /* a line must be UTF-8 */
	MAP_BUILD_MUST_EXIST = 1024, /* with INCREMENTAL: make no new table */
};

/* How far a build is; called every few thousand lines. */
struct map_build_progress {
	enum {
		MAP_BUILD_READS, /* lines and bytes of the source */
		MAP_BUILD_WRITES /* records of the table */
	} phase;
	uint64_t lines;	      /* read, or written */
	uint64_t done, total; /* bytes, or records; total 0: not known */
};
typedef void map_build_progress_fn(void *arg,
				   const struct map_build_progress *progress);

struct map_build_options {
	int flags; /* enum map_build_flags */
	map_build_warn_fn *warn;
	void *warn_arg;
	map_build_progress_fn *progress; /* may be NULL */
	void *progress_arg;
};

/* A table open for changes. */
struct map_writer;

/* A new, empty table beside the old one, or with MAP_BUILD_INCREMENTAL the old
 * one itself. `source` (NULL: none) gives owner and mode. talloc_free without
 * map_writer_commit leaves the old table as it was. */
MUST_CHECK enum rc map_writer_open(TALLOC_CTX *mem, const struct conf *conf,
				   struct span type_and_name,
				   const char *source,
				   const struct map_build_options *options,
				   struct map_writer **ret_writer,
				   struct fault *fault);
/* RC_NONE: the key was there and nothing was changed (no MAP_BUILD_REPLACE). */
MUST_CHECK enum rc map_writer_put(struct map_writer *writer, struct span key,
				  struct span value, struct fault *fault);
/* The same, the key is not folded. */
MUST_CHECK enum rc map_writer_put_as_is(struct map_writer *writer,
					struct span key, struct span value,
					struct fault *fault);
/* One line of a source. A new table is written by map_writer_commit, in the
 * order that is best for it; in an old one the change is made now. The warnings
 * of the options hear about a key that was there: the first line counts, or
 * with MAP_BUILD_REPLACE the last. The key is not folded with as_is. */
struct map_writer_line {
	struct span key, value;
	unsigned int number; /* MAP_LINE_NONE: of our own, gives way quietly */
	bool as_is;
};
enum { MAP_LINE_NONE = INT_MAX };
MUST_CHECK enum rc map_writer_add(struct map_writer *writer,
				  const struct map_writer_line *line,
				  struct fault *fault);
/* RC_NONE: no such key. */
MUST_CHECK enum rc map_writer_delete(struct map_writer *writer, struct span key,
				     struct fault *fault);
/* On stable storage and seen by readers. */
MUST_CHECK enum rc map_writer_commit(struct map_writer *writer,
				     struct fault *fault);

/* "/etc/postfix/access.db" */
const char *map_writer_path(const struct map_writer *writer);

/* Every entry, in the table's own order. A callback that does not return RC_OK
 * stops the walk. */
typedef enum rc map_each_fn(void *arg, struct span key, struct span value,
			    struct fault *fault);
MUST_CHECK enum rc map_each(struct map *map, map_each_fn *each, void *arg,
			    struct fault *fault);

/* Where the lines of a table come from. */
struct map_source {
	const char *name; /* for messages: "/etc/postfix/access", "stdin" */
	int fd;
};

/* Open the source of a table, "/etc/postfix/access"; with
 * MAP_BUILD_INCREMENTAL standard input. */
MUST_CHECK enum rc map_source_open(struct span type_and_name,
				   const struct map_build_options *options,
				   TALLOC_CTX *mem,
				   struct map_source **ret_source,
				   struct fault *fault);
/* A process of root does what is left as the owner of the source, when others
 * than root may write where the table is (unless MAP_BUILD_KEEP_USER). Not for
 * processes with threads. */
MUST_CHECK enum rc
map_source_become_owner(const struct map_source *source,
			const struct map_build_options *options,
			struct fault *fault);
void map_source_become_self(void);

/* Counts what was read, and tells the options now and then. */
struct map_source_progress {
	const struct map_build_options *options;
	struct map_build_progress now;
	unsigned int calls;
};
void map_source_progress_init(struct map_source_progress *progress,
			      const struct map_build_options *options, int fd);
void map_source_progress_line(struct map_source_progress *progress,
			      unsigned int number, size_t len);

/* What postmap does: read the source into the table of that name. */
MUST_CHECK enum rc map_build(const struct conf *conf, struct span type_and_name,
			     const struct map_build_options *options,
			     struct fault *fault);

/* MAP_BUILD_FILE_VALUES: "a.pem, b.pem" is the base64 of both files; and back,
 * RC_CONF when the text is no base64. */
MUST_CHECK enum rc map_value_of_files(TALLOC_CTX *mem, struct span names,
				      struct span *ret_value,
				      struct fault *fault);
MUST_CHECK enum rc map_value_decode(TALLOC_CTX *mem, struct span value,
				    struct span *ret_bytes,
				    struct fault *fault);
