/* SPDX-License-Identifier: Apache-2.0 */
#include "map/table_sort.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"

enum {
	ARENA_FIRST_BYTES = 64 * 1024,
	RUN_BUFFER_BYTES = 128 * 1024,
	RUNS_MAX = 4096,
};

/* In the arena and in the file: this, the key, the value. */
struct head {
	uint32_t key_len, value_len;
	uint32_t line;
};

struct slot {
	uint64_t rank; /* orders most keys without a look at them */
	uint32_t at;   /* of its head in the arena */
	uint32_t line;
};

struct run {
	off_t at, end; /* what is left in the file */
	char *buffer;
	size_t size, len, used;
	struct head head; /* of the record in front */
	uint64_t rank;
	const char *bytes;
};

struct table_sort {
	const char *path;
	enum table_order order;
	bool last_wins;
	char *arena;
	size_t arena_len, arena_cap;
	struct slot *slots;
	size_t slot_count, slot_cap;
	int fd; /* -1: no runs yet */
	off_t file_end;
	struct run *runs;
	size_t run_count;
	size_t count;
	uint64_t bytes;
	struct buf last_key; /* of the record before, and its line */
	unsigned int last_line;
	bool has_last;
};

static int sort_close(struct table_sort *sort)
{
	if (sort->fd >= 0)
		close(sort->fd);
	return 0;
}

struct table_sort *table_sort_new(TALLOC_CTX *mem, const char *path,
				  enum table_order order, bool last_wins)
{
	struct table_sort *sort = mem_new(mem, struct table_sort);

	sort->path = mem_strdup(sort, path);
	sort->order = order;
	sort->last_wins = last_wins;
	sort->fd = -1;
	buf_init(&sort->last_key, sort, SORT_RECORD_MAX_BYTES);
	talloc_set_destructor(sort, sort_close);
	return sort;
}

size_t table_sort_count(const struct table_sort *sort)
{
	return sort->count;
}

uint64_t table_sort_bytes(const struct table_sort *sort)
{
	return sort->bytes;
}

static uint32_t bits_reversed(uint32_t x)
{
	x = (x & 0x55555555u) << 1 | (x >> 1 & 0x55555555u);
	x = (x & 0x33333333u) << 2 | (x >> 2 & 0x33333333u);
	x = (x & 0x0f0f0f0fu) << 4 | (x >> 4 & 0x0f0f0f0fu);
	return __builtin_bswap32(x);
}

/* FNV-1 as Berkeley DB has it: a page is the low bits of it. */
static uint64_t rank_by_hash(struct span key)
{
	uint32_t hash = 0;

	for (size_t i = 0; i < key.len; i++)
		hash = hash * 16777619u ^ (unsigned char)key.ptr[i];
	return (uint64_t)bits_reversed(hash) << 32;
}

static uint64_t rank_by_key(struct span key)
{
	uint64_t rank = 0;

	if (key.len >= sizeof(rank)) {
		memcpy(&rank, key.ptr, sizeof(rank));
		return be64toh(rank);
	}
	memcpy(&rank, key.ptr, key.len);
	return be64toh(rank);
}

static uint64_t rank_of(const struct table_sort *sort, struct span key)
{
	return sort->order == TABLE_BY_HASH ? rank_by_hash(key)
					    : rank_by_key(key);
}

static int key_compare(struct span a, struct span b)
{
	int order = memcmp(a.ptr, b.ptr, MIN_OF(a.len, b.len));

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int line_compare(const struct table_sort *sort, uint32_t a, uint32_t b)
{
	int order = (a > b) - (a < b);

	return sort->last_wins ? -order : order;
}

static struct span slot_key(const struct table_sort *sort,
			    const struct slot *slot)
{
	struct head head;

	memcpy(&head, sort->arena + slot->at, sizeof(head));
	return (struct span){ sort->arena + slot->at + sizeof(head),
			      head.key_len };
}

static int slot_compare(const void *left, const void *right, void *arg)
{
	const struct slot *a = left, *b = right;
	const struct table_sort *sort = arg;
	int order;

	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	order = key_compare(slot_key(sort, a), slot_key(sort, b));
	return order != 0 ? order : line_compare(sort, a->line, b->line);
}

static void slots_sort(struct table_sort *sort)
{
	if (sort->slot_count > 1)
		qsort_r(sort->slots, sort->slot_count, sizeof(*sort->slots),
			slot_compare, sort);
}

/* A file that vanishes with us; the disk of the table has the room if any. */
static enum rc file_open(struct table_sort *sort, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *folder = dirname(mem_strdup(tmp, sort->path));
	char *name = mem_printf(tmp, "%s.sort.XXXXXX", sort->path);

	sort->fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (sort->fd < 0) {
		sort->fd = mkostemp(name, O_CLOEXEC);
		if (sort->fd >= 0)
			unlink(name);
	}
	if (sort->fd < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "create %s: %m",
				 name);
	return RC_OK;
}

static enum rc file_write(struct table_sort *sort, struct buf *out,
			  struct fault *fault)
{
	struct span rest = buf_span(out);

	while (rest.len > 0) {
		ssize_t done =
			pwrite(sort->fd, rest.ptr, rest.len, sort->file_end);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return fault_set(fault, RC_TEMP, "4.3.0",
					 "write beside %s: %m", sort->path);
		sort->file_end += done;
		rest = span_skip(rest, (size_t)done);
	}
	buf_clear(out);
	return RC_OK;
}

/* What is in memory becomes a run. */
static enum rc run_write(struct table_sort *sort, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	off_t start = sort->file_end;
	struct buf out;

	if (sort->run_count == RUNS_MAX)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "%s: too many records", sort->path);
	if (sort->fd < 0 && file_open(sort, fault) != RC_OK)
		return RC_TEMP;
	slots_sort(sort);
	buf_init(&out, tmp, SORT_RECORD_MAX_BYTES + 2 * RUN_BUFFER_BYTES);
	for (size_t i = 0; i < sort->slot_count; i++) {
		const char *at = sort->arena + sort->slots[i].at;
		struct head head;

		memcpy(&head, at, sizeof(head));
		buf_add(&out, (struct span){ at, sizeof(head) + head.key_len +
							 head.value_len });
		if (out.len >= RUN_BUFFER_BYTES &&
		    file_write(sort, &out, fault) != RC_OK)
			return RC_TEMP;
	}
	if (file_write(sort, &out, fault) != RC_OK)
		return RC_TEMP;
	sort->runs =
		mem_resize(sort, sort->runs, struct run, sort->run_count + 1);
	sort->runs[sort->run_count++] =
		(struct run){ .at = start, .end = sort->file_end };
	sort->slot_count = 0;
	sort->arena_len = 0;
	return RC_OK;
}

static void make_room(struct table_sort *sort, size_t need)
{
	size_t cap = sort->arena_cap;

	if (sort->slot_count == sort->slot_cap) {
		sort->slot_cap = sort->slot_cap * 2 + 1024;
		sort->slots = mem_resize(sort, sort->slots, struct slot,
					 sort->slot_cap);
	}
	if (sort->arena_len + need <= cap)
		return;
	cap = cap * 2 > ARENA_FIRST_BYTES ? cap * 2 : ARENA_FIRST_BYTES;
	cap = MIN_OF(cap, (size_t)SORT_MEMORY_BYTES);
	if (cap < sort->arena_len + need)
		cap = sort->arena_len + need;
	sort->arena = mem_resize(sort, sort->arena, char, cap);
	sort->arena_cap = cap;
}

enum rc table_sort_add(struct table_sort *sort, struct span key,
		       struct span value, unsigned int line,
		       struct fault *fault)
{
	struct head head = { (uint32_t)key.len, (uint32_t)value.len, line };
	size_t need = sizeof(head) + key.len + value.len;
	size_t in_use;
	char *at;

	if (key.len > SORT_RECORD_MAX_BYTES ||
	    value.len > SORT_RECORD_MAX_BYTES || need > SORT_RECORD_MAX_BYTES)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "%s: a record has at most %d bytes",
				 sort->path, SORT_RECORD_MAX_BYTES);
	in_use = sort->arena_len + sort->slot_count * sizeof(struct slot);
	if (sort->slot_count > 0 && in_use + need > SORT_MEMORY_BYTES &&
	    run_write(sort, fault) != RC_OK)
		return fault == NULL ? RC_TEMP : fault->rc;
	make_room(sort, need);
	at = sort->arena + sort->arena_len;
	memcpy(at, &head, sizeof(head));
	memcpy(at + sizeof(head), key.ptr, key.len);
	memcpy(at + sizeof(head) + key.len, value.ptr, value.len);
	sort->slots[sort->slot_count++] =
		(struct slot){ rank_of(sort, key), (uint32_t)sort->arena_len,
			       line };
	sort->arena_len += need;
	sort->count++;
	sort->bytes += key.len + value.len;
	return RC_OK;
}

/* Hand one record on, and say whether its key was there already. */
static enum rc record_give(struct table_sort *sort, const struct head *head,
			   const char *bytes, table_sort_fn *fn, void *arg,
			   struct fault *fault)
{
	struct table_record record = {
		.key = { bytes, head->key_len },
		.value = { bytes + head->key_len, head->value_len },
		.line = head->line,
	};

	if (sort->has_last && span_eq(record.key, buf_span(&sort->last_key))) {
		record.winner_line = sort->last_line;
	} else {
		buf_clear(&sort->last_key);
		buf_add(&sort->last_key, record.key);
		sort->last_line = record.line;
		sort->has_last = true;
	}
	return fn(arg, &record, fault);
}

static enum rc each_in_memory(struct table_sort *sort, table_sort_fn *fn,
			      void *arg, struct fault *fault)
{
	slots_sort(sort);
	for (size_t i = 0; i < sort->slot_count; i++) {
		const char *at = sort->arena + sort->slots[i].at;
		struct head head;
		enum rc rc;

		memcpy(&head, at, sizeof(head));
		rc = record_give(sort, &head, at + sizeof(head), fn, arg,
				 fault);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

/* Have at least `need` bytes at buffer + used. */
static enum rc run_fill(struct table_sort *sort, struct run *run, size_t need,
			struct fault *fault)
{
	size_t left = run->len - run->used;

	if (left >= need)
		return RC_OK;
	if (run->buffer != NULL)
		memmove(run->buffer, run->buffer + run->used, left);
	run->used = 0;
	run->len = left;
	if (run->size < need || run->buffer == NULL) {
		run->size = need > RUN_BUFFER_BYTES ? need : RUN_BUFFER_BYTES;
		run->buffer = mem_resize(sort, run->buffer, char, run->size);
	}
	while (run->len < run->size && run->at < run->end) {
		size_t want = MIN_OF(run->size - run->len,
				     (size_t)(run->end - run->at));
		ssize_t got =
			pread(sort->fd, run->buffer + run->len, want, run->at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return fault_set(fault, RC_TEMP, "4.3.0",
					 "read beside %s: %m", sort->path);
		run->len += (size_t)got;
		run->at += got;
	}
	return RC_OK;
}

/* The next record to the front. RC_NONE: the run is used up. */
static enum rc run_next(struct table_sort *sort, struct run *run,
			struct fault *fault)
{
	size_t size;

	if (run->at >= run->end && run->used == run->len)
		return RC_NONE;
	if (run_fill(sort, run, sizeof(run->head), fault) != RC_OK)
		return RC_TEMP;
	memcpy(&run->head, run->buffer + run->used, sizeof(run->head));
	size = sizeof(run->head) + run->head.key_len + run->head.value_len;
	if (run_fill(sort, run, size, fault) != RC_OK)
		return RC_TEMP;
	run->bytes = run->buffer + run->used + sizeof(run->head);
	run->rank =
		rank_of(sort, (struct span){ run->bytes, run->head.key_len });
	run->used += size;
	return RC_OK;
}

static bool run_before(const struct table_sort *sort, const struct run *a,
		       const struct run *b)
{
	int order;

	if (a->rank != b->rank)
		return a->rank < b->rank;
	order = key_compare((struct span){ a->bytes, a->head.key_len },
			    (struct span){ b->bytes, b->head.key_len });
	if (order == 0)
		order = line_compare(sort, a->head.line, b->head.line);
	return order < 0;
}

/* heap[0] comes before all others; put the one at `at` where it belongs. */
static void heap_sink(const struct table_sort *sort, struct run **heap,
		      size_t count, size_t at)
{
	for (;;) {
		size_t first = at, child = 2 * at + 1;
		struct run *moved;

		for (size_t i = child; i < count && i < child + 2; i++)
			if (run_before(sort, heap[i], heap[first]))
				first = i;
		if (first == at)
			return;
		moved = heap[at];
		heap[at] = heap[first];
		heap[first] = moved;
		at = first;
	}
}

static enum rc heap_make(struct table_sort *sort, struct run **heap,
			 size_t *ret_count, struct fault *fault)
{
	size_t count = 0;

	for (size_t i = 0; i < sort->run_count; i++) {
		enum rc rc = run_next(sort, &sort->runs[i], fault);

		if (rc == RC_OK)
			heap[count++] = &sort->runs[i];
		else if (rc != RC_NONE)
			return rc;
	}
	for (size_t i = count / 2; i-- > 0;)
		heap_sink(sort, heap, count, i);
	*ret_count = count;
	return RC_OK;
}

static enum rc each_merged(struct table_sort *sort, table_sort_fn *fn,
			   void *arg, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct run **heap = mem_array(tmp, struct run *, sort->run_count);
	size_t count;
	enum rc rc;

	rc = heap_make(sort, heap, &count, fault);
	while (rc == RC_OK && count > 0) {
		struct run *run = heap[0];

		rc = record_give(sort, &run->head, run->bytes, fn, arg, fault);
		if (rc != RC_OK)
			return rc;
		rc = run_next(sort, run, fault);
		if (rc == RC_NONE) {
			heap[0] = heap[--count];
			rc = RC_OK;
		}
		if (rc == RC_OK)
			heap_sink(sort, heap, count, 0);
	}
	return rc;
}

enum rc table_sort_each(struct table_sort *sort, table_sort_fn *fn, void *arg,
			struct fault *fault)
{
	if (sort->run_count == 0)
		return each_in_memory(sort, fn, arg, fault);
	if (sort->slot_count > 0 && run_write(sort, fault) != RC_OK)
		return fault == NULL ? RC_TEMP : fault->rc;
	/* The readers of the runs want the memory. */
	TALLOC_FREE(sort->arena);
	TALLOC_FREE(sort->slots);
	return each_merged(sort, fn, arg, fault);
}
