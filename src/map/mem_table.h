/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem_table - keys and values held in memory, found by hash.
 *
 * Order    entries keep the order they were added in
 * Units    at most MEM_TABLE_MAX_BYTES of keys and values
 * Owner    one talloc tree; spans point into it until the next add
 * Threads  immutable once filled: then any may look
 */
#pragma once

#include "base/mem.h"

enum { MEM_TABLE_MAX_BYTES = 200 * 1024 * 1024 };

struct mem_table;

enum mem_add { MEM_ADDED, MEM_DUPLICATE, MEM_FULL };

struct mem_table *mem_table_new(TALLOC_CTX *mem);
MUST_CHECK enum mem_add mem_table_add(struct mem_table *table, struct span key,
				      struct span value);
/* The same, but a key that is there gets the new value. */
MUST_CHECK enum mem_add mem_table_set(struct mem_table *table, struct span key,
				      struct span value);
MUST_CHECK bool mem_table_find(const struct mem_table *table, struct span key,
			       struct span *ret_value);
size_t mem_table_count(const struct mem_table *table);
void mem_table_at(const struct mem_table *table, size_t i, struct span *ret_key,
		  struct span *ret_value);
