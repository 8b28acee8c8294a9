/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/heap.h"

enum { HEAP_SIZE_MIN = 64 };

void heap_init(struct heap *heap, TALLOC_CTX *mem)
{
	*heap = (struct heap){ .mem = mem };
}

static bool item_before(const struct heap_item *a, const struct heap_item *b)
{
	return a->key < b->key || (a->key == b->key && a->order < b->order);
}

static void heap_set(struct heap *heap, uint32_t at, struct heap_item *item)
{
	heap->items[at] = item;
	item->place = at + 1;
}

static void heap_rise(struct heap *heap, uint32_t at, struct heap_item *item)
{
	while (at > 0) {
		uint32_t parent = (at - 1) / 2;

		if (!item_before(item, heap->items[parent]))
			break;
		heap_set(heap, at, heap->items[parent]);
		at = parent;
	}
	heap_set(heap, at, item);
}

static void heap_sink(struct heap *heap, uint32_t at, struct heap_item *item)
{
	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= heap->count)
			break;
		if (child + 1 < heap->count &&
		    item_before(heap->items[child + 1], heap->items[child]))
			child++;
		if (!item_before(heap->items[child], item))
			break;
		heap_set(heap, at, heap->items[child]);
		at = child;
	}
	heap_set(heap, at, item);
}

void heap_put(struct heap *heap, struct heap_item *item, uint64_t key)
{
	heap_drop(heap, item);
	item->key = key;
	item->order = heap->next_order++;
	if (heap->count == heap->size) {
		heap->size = MAX_OF(heap->size * 2, (uint32_t)HEAP_SIZE_MIN);
		heap->items = mem_resize(heap->mem, heap->items,
					 struct heap_item *, heap->size);
	}
	heap_rise(heap, heap->count++, item);
}

void heap_drop(struct heap *heap, struct heap_item *item)
{
	uint32_t at = item->place - 1;
	struct heap_item *last;

	if (item->place == 0)
		return;
	assert(heap->items[at] == item);
	item->place = 0;
	last = heap->items[--heap->count];
	if (last == item)
		return;
	if (at > 0 && item_before(last, heap->items[(at - 1) / 2]))
		heap_rise(heap, at, last);
	else
		heap_sink(heap, at, last);
}

void timer_set(struct heap *timers, struct timer *timer, uint64_t at_ms)
{
	heap_put(timers, &timer->item, at_ms);
}

void timer_cancel(struct heap *timers, struct timer *timer)
{
	heap_drop(timers, &timer->item);
}

void timers_run(struct heap *timers, uint64_t now_ms)
{
	struct heap_item *item;

	while ((item = heap_top(timers)) != NULL && item->key <= now_ms) {
		struct timer *timer = HOLDER_OF(item, struct timer, item);

		heap_drop(timers, item);
		timer->fire(timer, now_ms);
	}
}

uint64_t timers_next_ms(const struct heap *timers)
{
	const struct heap_item *item = heap_top(timers);

	return item == NULL ? UINT64_MAX : item->key;
}
