/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table_sort - the records of a table in the order in which a library takes
 * them fastest, however many there are.
 *
 * Shape    records are kept in memory up to SORT_MEMORY_BYTES, then as sorted
 *          runs in a file without a name beside the table; runs are merged
 * Errors   RC_TEMP: the disk; RC_CONF: a record is too large
 * Owner    a child of mem; records point into it and are good until the next
 * Threads  one
 */
#pragma once

#include "base/fault.h"
#include "base/mem.h"

enum {
	SORT_MEMORY_BYTES = 24 * 1024 * 1024,
	SORT_RECORD_MAX_BYTES = 64 * 1024 * 1024,
};

enum table_order {
	TABLE_BY_KEY,  /* bytes, the shorter first: LMDB, DB_BTREE */
	TABLE_BY_HASH, /* bits of FNV-1 reversed: pages of DB_HASH in turn */
};

struct table_record {
	struct span key, value;
	unsigned int line;
	/* Not 0: the key was in this line before; the record does not count. */
	unsigned int winner_line;
};

struct table_sort;

/* `path`: the table; its directory gets the file for the runs. last_wins: of
 * equal keys the last line counts, not the first. */
struct table_sort *table_sort_new(TALLOC_CTX *mem, const char *path,
				  enum table_order order, bool last_wins);
MUST_CHECK enum rc table_sort_add(struct table_sort *sort, struct span key,
				  struct span value, unsigned int line,
				  struct fault *fault);
size_t table_sort_count(const struct table_sort *sort);
/* Of keys and values. */
uint64_t table_sort_bytes(const struct table_sort *sort);

/* All records, once; nothing can be added afterwards. */
typedef enum rc table_sort_fn(void *arg, const struct table_record *record,
			      struct fault *fault);
MUST_CHECK enum rc table_sort_each(struct table_sort *sort, table_sort_fn *fn,
				   void *arg, struct fault *fault);
