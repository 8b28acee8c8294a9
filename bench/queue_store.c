/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast the store moves messages to files, finds them again at start, and
 * finishes them. Fill the directory with bench_queue_intake first.
 * usage: bench_queue_store move|scan|finish directory
 */
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/store.h"

struct work {
	struct store *store;
	bool move;
	size_t count, cap;
	struct kept {
		struct place place;
		char id[32];
	} *kept;
};

static void found(void *arg, TALLOC_CTX *mem, const struct store_entry *entry)
{
	struct work *work = arg;
	struct kept *kept;

	if (work->count == work->cap) {
		work->cap = MAX_OF(work->cap * 2, (size_t)1024);
		work->kept = realloc(work->kept, work->cap * sizeof(*kept));
	}
	kept = &work->kept[work->count++];
	kept->place = entry->place;
	snprintf(kept->id, sizeof(kept->id), "%s", entry->env->queue_id);
}

static void straggler(void *arg, const struct place *place, const char *id)
{
}

static void move_one(struct work *work, struct kept *kept)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct delivery_status status = { .action = DELIVERY_DEFERRED,
					  .dsn = "4.4.1",
					  .dsn_action = "delayed",
					  .reason = "connect to "
						    "mx.example.test[192.0.2.1]"
						    ":25: Connection refused" };
	struct store_entry *entry;
	struct fault fault;

	if (kept->place.in_file ||
	    store_read(tmp, work->store, &kept->place, kept->id, &entry,
		       &fault) != RC_OK)
		return;
	entry->statuses = &status;
	entry->status_count = 1;
	entry->next_attempt_us = clock_wall_us() + 300000000;
	if (store_move(work->store, &kept->place, entry, &fault) != RC_OK)
		fprintf(stderr, "%s\n", fault.text);
}

static void report(const char *what, size_t count, uint64_t begin_ms)
{
	double s = (double)(clock_mono_ms() - begin_ms) / 1000;
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	printf("%s: %zu messages in %.2f s, %.0f/s; %ld MB at most\n", what,
	       count, s, (double)count / s, use.ru_maxrss / 1024);
}

int main(int argc, char **argv)
{
	struct work work = { 0 };
	uint64_t begin_ms = clock_mono_ms();
	struct fault fault;

	if (argc != 3)
		return 2;
	if (store_open(NULL, argv[2], STORE_OWNER, &work.store, &fault) !=
		    RC_OK ||
	    store_scan(work.store, found, &work, &fault) != RC_OK) {
		fprintf(stderr, "%s\n", fault.text);
		return 1;
	}
	report("scan", work.count, begin_ms);
	begin_ms = clock_mono_ms();
	for (size_t i = 0; i < work.count; i++) {
		if (strcmp(argv[1], "move") == 0)
			move_one(&work, &work.kept[i]);
		else if (strcmp(argv[1], "finish") == 0 &&
			 store_finish(work.store, &work.kept[i].place,
				      work.kept[i].id, &fault) != RC_OK)
			fprintf(stderr, "%s\n", fault.text);
		if (i % 20 == 0 &&
		    store_move_flush(work.store, &fault) != RC_OK)
			fprintf(stderr, "%s\n", fault.text);
		if (i % 1000 == 0)
			store_stragglers(work.store, straggler, NULL);
	}
	report(argv[1], work.count, begin_ms);
	begin_ms = clock_mono_ms();
	talloc_free(work.store);
	report("close", work.count, begin_ms);
	free(work.kept);
	return 0;
}
