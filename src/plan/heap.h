/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap - things in the order of a number, smallest first. What lies in it holds
 * a heap_item, so taking out of the middle costs no search. Equal keys come out
 * in the order they were put in.
 *
 * Owner    the array is a child of mem; items stay their holder's
 * Threads  the owner's
 */
#pragma once

#include "base/mem.h"

struct heap_item {
	uint64_t key;
	uint64_t order; /* breaks ties */
	uint32_t place; /* position + 1; 0: in no heap */
};

struct heap {
	TALLOC_CTX *mem;
	struct heap_item **items;
	uint32_t count, size;
	uint64_t next_order;
};

void heap_init(struct heap *heap, TALLOC_CTX *mem);
static inline bool heap_has(const struct heap_item *item)
{
	return item->place != 0;
}
static inline struct heap_item *heap_top(const struct heap *heap)
{
	return heap->count == 0 ? NULL : heap->items[0];
}
/* Put it in, or give it a new key; either way behind its equals. */
void heap_put(struct heap *heap, struct heap_item *item, uint64_t key);
/* Nothing happens when it is not in. */
void heap_drop(struct heap *heap, struct heap_item *item);

/* A call at a time; the owner of the set runs it. */
struct timer {
	struct heap_item item; /* key: milliseconds of the owner's clock */
	void (*fire)(struct timer *timer, uint64_t now_ms);
};

static inline bool timer_is_set(const struct timer *timer)
{
	return heap_has(&timer->item);
}
void timer_set(struct heap *timers, struct timer *timer, uint64_t at_ms);
void timer_cancel(struct heap *timers, struct timer *timer);
/* Fire all that are due. A timer may set itself again. */
void timers_run(struct heap *timers, uint64_t now_ms);
/* When the next is due; UINT64_MAX when none is set. */
uint64_t timers_next_ms(const struct heap *timers);
