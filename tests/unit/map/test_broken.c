/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are no tables, or not any more. */
#include "map_world.h"

#include <pthread.h>
#include <stdatomic.h>

#include "sys/bus_guard.h"

enum { THREADS = 4, ENTRIES = 50000, CUTS = 8 };

static const struct {
	const char *type, *suffix;
} types[] = {
	{ "hash", ".db" },
	{ "btree", ".db" },
	{ "lmdb", ".lmdb" },
#ifdef HAVE_CDB
	{ "cdb", ".cdb" },
#endif
};

static char *name_of(struct world *w, size_t i)
{
	return mem_printf(w, "%s:%s", types[i].type, world_path(w, "table"));
}

static char *file_of(struct world *w, size_t i)
{
	return mem_printf(w, "%s%s", world_path(w, "table"), types[i].suffix);
}

static void source_write(struct world *w, int entries)
{
	struct buf text;

	buf_init(&text, w, 64 * 1024 * 1024);
	for (int i = 0; i < entries; i++)
		buf_addf(&text,
			 "key%d value %d, long enough to be more than "
			 "is read into memory whole, all of them\n",
			 i, i);
	world_write(w, "table", buf_span(&text));
	buf_done(&text);
}

static void build(struct world *w, size_t i)
{
	struct fault fault;

	if (world_build(w, types[i].type, "table", 0, &fault) != RC_OK)
		fail_msg("%s", fault.text);
}

static void a_part_of_a_file_is_no_table(void **state)
{
	struct world *w = *state;
	struct fault fault;
	struct map *map;
	struct stat st;

	source_write(w, 3000);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		print_message("  %s\n", types[i].type);
		build(w, i);
		assert_int_equal(stat(file_of(w, i), &st), 0);
		for (int part = 0; part < CUTS; part++) {
			build(w, i);
			assert_int_equal(truncate(file_of(w, i),
						  st.st_size * part / CUTS),
					 0);
			assert_int_equal(map_open(w, w->conf,
						  span_from(name_of(w, i)),
						  MAP_FOLD, &map, &fault),
					 RC_CONF);
			if (strstr(fault.text, file_of(w, i)) == NULL)
				fail_msg("%s", fault.text);
		}
		build(w, i);
		talloc_free(world_map(w, name_of(w, i)));
	}
}

struct asker {
	struct map *map;
	_Atomic bool stop;
	_Atomic int good, later, wrong;
};

static void *ask_for_ever(void *arg)
{
	struct asker *asker = arg;
	unsigned int n = 0;

	while (!asker->stop) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		char *key = mem_printf(tmp, "key%u", n = (n + 7919) % ENTRIES);
		struct fault fault;
		struct span value;
		enum rc rc = map_lookup(asker->map, tmp, span_from(key), &value,
					&fault);

		if (rc == RC_OK)
			asker->good++;
		else if (rc == RC_TEMP)
			asker->later++;
		else
			asker->wrong++;
	}
	return NULL;
}

/* At most ten seconds. */
static void wait_more(_Atomic int *number)
{
	int want = *number + 50;

	for (int i = 0; *number < want; i++) {
		if (i == 1000)
			fail_msg("no progress");
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
}

static void a_file_cut_short_under_its_readers_is_try_later(void **state)
{
	struct world *w = *state;

#ifdef __SANITIZE_THREAD__
	skip(); /* it does not follow a jump out of a signal handler */
#endif
	bus_guard_install(); /* the tests' library has its own handlers */
	source_write(w, ENTRIES);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct asker asker = { .good = 0 };
		pthread_t threads[THREADS];
		struct stat st;

		print_message("  %s\n", types[i].type);
		build(w, i);
		assert_int_equal(stat(file_of(w, i), &st), 0);
		asker.map = world_map(w, name_of(w, i));
		for (int k = 0; k < THREADS; k++)
			pthread_create(&threads[k], NULL, ask_for_ever, &asker);
		for (int round = 1; round <= 2; round++) {
			wait_more(&asker.good);
			assert_int_equal(
				truncate(file_of(w, i), st.st_size * round / 4),
				0);
			wait_more(&asker.later);
			build(w, i);
		}
		wait_more(&asker.good);
		asker.stop = true;
		for (int k = 0; k < THREADS; k++)
			pthread_join(threads[k], NULL);
		assert_int_equal(asker.wrong, 0);
		talloc_free(asker.map);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_part_of_a_file_is_no_table),
		cmocka_unit_test(
			a_file_cut_short_under_its_readers_is_try_later),
	};

	return cmocka_run_group_tests(tests, world_open, world_close);
}
