/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer_heap - who is due first. A 4-ary heap of times; each entry points to
 * the `place` member of its owner's struct (see HOLDER_OF), which is 0 while
 * the entry is not in the heap.
 */
#pragma once

#include "base/mem.h"

struct timer_heap_node {
	uint64_t due_ms;
	uint32_t *place;
};

struct timer_heap {
	struct timer_heap_node *nodes;
	size_t count, room;
	TALLOC_CTX *mem;
};

void timer_heap_init(struct timer_heap *heap, TALLOC_CTX *mem);
void timer_heap_set(struct timer_heap *heap, uint32_t *place, uint64_t due_ms);
void timer_heap_clear(struct timer_heap *heap, uint32_t *place);
/* The earliest, or NULL. */
static inline const struct timer_heap_node *
timer_heap_first(const struct timer_heap *heap)
{
	return heap->count == 0 ? NULL : &heap->nodes[0];
}
