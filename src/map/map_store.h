/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map_store - a library that keeps tables in files: what a driver for one must
 * do, and what all of them share.
 *
 * Small    a file of at most STORE_SMALL_BYTES is read into memory whole; a
 *          larger one stays open and is asked under a lock, as other programs
 *          that change it expect
 * NUL      keys and values of files made by the reference end in a NUL that is
 *          not part of them; both ways are read
 * Threads  one at a time for each handle
 */
#pragma once

#include "map/map_watch.h"
#include "map/table_sort.h"

enum { STORE_SMALL_BYTES = 4 * 1024 * 1024 };

/* What a new table will hold, more or less. */
struct map_store_fill {
	size_t records;
	uint64_t bytes; /* keys and values */
};

/* A handle is a talloc object that closes itself. */
struct map_store {
	const char *suffix; /* ".db" */
	bool ends_in_nul;   /* made so unless told otherwise */
	bool can_edit;	    /* an existing file can be changed */
	bool sees_edits;    /* a handle answers from the file as it is now */

	/* NULL, or what is wrong with a file that is not empty: "truncated". A
	 * library may take what is left of one for all of it. */
	const char *(*check)(int fd, off_t size);
	/* Read under a bus_guard. */
	enum rc (*open)(TALLOC_CTX *mem, const struct map *map,
			const char *path, int fd, void **ret_handle,
			struct fault *fault);
	enum rc (*get)(void *handle, TALLOC_CTX *mem, struct span key,
		       struct span *ret_value, struct fault *fault);
	enum rc (*walk)(void *handle, map_each_fn *each, void *arg,
			struct fault *fault);

	/* An empty file to be filled, or with `edit` an existing table. */
	enum rc (*open_write)(TALLOC_CTX *mem, const struct map *map,
			      const char *path, bool edit, void **ret_handle,
			      struct fault *fault);
	/* An empty file for records that come sorted, each key once; NULL:
	 * open_write and put do. */
	enum rc (*open_fill)(TALLOC_CTX *mem, const struct map *map,
			     const char *path,
			     const struct map_store_fill *fill,
			     void **ret_handle, struct fault *fault);
	enum rc (*add)(void *handle, struct span key, struct span value,
		       struct fault *fault);
	enum table_order order; /* of those records */
	/* RC_NONE: the key is there, and `replace` is false. */
	enum rc (*put)(void *handle, struct span key, struct span value,
		       bool replace, struct fault *fault);
	enum rc (*erase)(void *handle, struct span key, struct fault *fault);
	/* All is in the file, written to the disk. */
	enum rc (*finish)(void *handle, struct fault *fault);
};

enum rc map_store_open(struct map *map, struct fault *fault);
enum rc map_store_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
			 struct span *ret_value, struct fault *fault);
enum rc map_store_each(struct map *map, map_each_fn *each, void *arg,
		       struct fault *fault);
bool map_store_needs_restart(const struct map *map);

/* "/etc/postfix/access.db" */
char *map_store_path(TALLOC_CTX *mem, const struct map *map);
/* The key and a NUL after it. */
struct span map_store_with_nul(TALLOC_CTX *mem, struct span text);
/* Both, each with a NUL after it; in `small` when they fit. */
void map_store_pair_with_nul(TALLOC_CTX *mem, struct span *key,
			     struct span *value, char *small,
			     size_t small_size);
