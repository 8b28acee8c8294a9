/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/timer_heap_priv.h"

enum { WAYS = 4, FIRST_ROOM = 64 };

void timer_heap_init(struct timer_heap *heap, TALLOC_CTX *mem)
{
	*heap = (struct timer_heap){ .mem = mem };
}

static void node_put(struct timer_heap *heap, size_t at,
		     struct timer_heap_node node)
{
	heap->nodes[at] = node;
	*node.place = (uint32_t)at + 1;
}

static void sift_up(struct timer_heap *heap, size_t at)
{
	struct timer_heap_node node = heap->nodes[at];

	while (at > 0) {
		size_t parent = (at - 1) / WAYS;

		if (heap->nodes[parent].due_ms <= node.due_ms)
			break;
		node_put(heap, at, heap->nodes[parent]);
		at = parent;
	}
	node_put(heap, at, node);
}

static size_t first_child(const struct timer_heap *heap, size_t at)
{
	size_t best = at * WAYS + 1;
	size_t end = MIN_OF(best + WAYS, heap->count);

	for (size_t i = best + 1; i < end; i++)
		if (heap->nodes[i].due_ms < heap->nodes[best].due_ms)
			best = i;
	return best;
}

static void sift_down(struct timer_heap *heap, size_t at)
{
	struct timer_heap_node node = heap->nodes[at];

	while (at * WAYS + 1 < heap->count) {
		size_t child = first_child(heap, at);

		if (heap->nodes[child].due_ms >= node.due_ms)
			break;
		node_put(heap, at, heap->nodes[child]);
		at = child;
	}
	node_put(heap, at, node);
}

void timer_heap_set(struct timer_heap *heap, uint32_t *place, uint64_t due_ms)
{
	size_t at;
	bool later;

	if (*place == 0) {
		assert(heap->count < UINT32_MAX - 1);
		if (heap->count == heap->room) {
			heap->room = MAX_OF(heap->room * 2, (size_t)FIRST_ROOM);
			heap->nodes =
				mem_resize(heap->mem, heap->nodes,
					   struct timer_heap_node, heap->room);
		}
		at = heap->count++;
		heap->nodes[at] = (struct timer_heap_node){ due_ms, place };
		sift_up(heap, at);
		return;
	}
	at = *place - 1;
	later = due_ms > heap->nodes[at].due_ms;
	heap->nodes[at].due_ms = due_ms;
	if (later)
		sift_down(heap, at);
	else
		sift_up(heap, at);
}

void timer_heap_clear(struct timer_heap *heap, uint32_t *place)
{
	size_t at = *place - 1;

	if (*place == 0)
		return;
	*place = 0;
	heap->count--;
	if (at == heap->count)
		return;
	heap->nodes[at] = heap->nodes[heap->count];
	if (at > 0 &&
	    heap->nodes[at].due_ms < heap->nodes[(at - 1) / WAYS].due_ms)
		sift_up(heap, at);
	else
		sift_down(heap, at);
}
