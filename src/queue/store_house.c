/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "queue/store_priv.h"
#include "sys/log.h"

enum {
	STRAGGLER_AFTER_MS = 5000,
	STRAGGLER_AGAIN_MS = 30000,
	STRAGGLERS_MAX = 1000, /* in one call */
};

typedef void (*straggler_fn)(void *arg, const struct place *place,
			     const char *queue_id);

static size_t report_stragglers(struct store_segment *segment,
				straggler_fn straggler, void *arg)
{
	struct place place = { .segment = segment->number,
			       .generation = segment->generation };
	size_t count = 0;

	memcpy(place.writer, segment->writer, sizeof(place.writer));
	for (uint64_t at = SEGMENT_HEAD_BYTES; at < segment->size_bytes;
	     at += IMAGE_ALIGN_BYTES) {
		struct image_head head;

		if (!store_segment_is_known(segment, at) ||
		    store_segment_is_done(segment, at) ||
		    image_head_read(segment->fd, at, &head, NULL) != RC_OK)
			continue;
		place.offset = at;
		place.length = head.length;
		straggler(arg, &place, head.queue_id);
		count++;
	}
	return count;
}

static bool nothing_is_alive(const struct store_segment *segment)
{
	size_t map_bytes = segment->size_bytes / IMAGE_ALIGN_BYTES / 8 + 1;

	for (size_t i = 0; i < map_bytes; i++)
		if ((segment->known[i] & ~segment->done[i]) != 0)
			return false;
	return true;
}

static void recycle(struct store *store, struct store_segment *segment)
{
	struct fault fault;

	if (segment_recycle(store->dirs, segment->writer, segment->number,
			    segment->generation, &fault) == RC_OK)
		store_segment_forget(store, segment);
	else
		log_warning("%s", fault.text);
}

static void segment_keep(struct store *store, struct store_segment *segment)
{
	if (!segment->sealed && store_segment_seal(segment))
		segment->sealed_ms = clock_mono_ms();
	if (segment->sealed && !segment->complete)
		store_segment_scan(store, segment, true);
	if (segment->complete && nothing_is_alive(segment))
		recycle(store, segment);
}

void store_stragglers(struct store *store, straggler_fn straggler, void *arg)
{
	uint64_t now_ms = clock_mono_ms();
	struct store_segment *segment, *next;
	size_t count = 0;

	if (store->mode != STORE_OWNER)
		return;
	store_moves_settle(store);
	store_outcome_keep(store);
	HASH_ITER(hh, store->segments, segment, next)
		segment_keep(store, segment);
	HASH_ITER(hh, store->segments, segment, next) {
		bool due = segment->complete && count < STRAGGLERS_MAX &&
			   now_ms - segment->sealed_ms >= STRAGGLER_AFTER_MS &&
			   (segment->reported_ms == 0 ||
			    now_ms - segment->reported_ms >=
				    STRAGGLER_AGAIN_MS);

		if (!due)
			continue;
		segment->reported_ms = now_ms;
		count += report_stragglers(segment, straggler, arg);
	}
}
