/* SPDX-License-Identifier: Apache-2.0 */
#include "map_world.h"

#include <pthread.h>
#include <stdatomic.h>

#include "map/map_store.h"

static const char *const types[] = { "hash", "btree", "lmdb" };

static void bad_and_duplicate_lines_are_named_and_skipped(void **state)
{
	struct world *w = *state;
	static const struct {
		struct span line;
		const char *want;
	} cases[] = {
		{ SPAN("a c\n"),
		  "line 2: duplicate entry: \"a\" (line 1 counts)" },
		{ SPAN("A c\n"),
		  "line 2: duplicate entry: \"a\" (line 1 counts)" },
		{ SPAN("novalue\n"), "line 2: expected format: key whitespace "
				     "value -- ignoring this line" },
		{ SPAN("\"open v\n"), "line 2: unbalanced '\"' in '\"open v' "
				      "-- ignoring this line" },
		{ SPAN("\xff x\n"), "line 2: non-UTF-8 input \"? x\" -- "
				    "ignoring this line" },
		{ SPAN("key: x\n"), "line 2: record is in \"key: value\" "
				    "format; is this an alias file?" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fault fault;
		struct buf text;

		buf_init(&text, w, 1000);
		buf_add_text(&text, "a b\n");
		buf_add(&text, cases[i].line);
		world_write(w, "bad", buf_span(&text));
		w->warnings = 0;
		assert_int_equal(world_build(w, "hash", "bad",
					     MAP_BUILD_CHECK_UTF8, &fault),
				 RC_OK);
		assert_int_equal(w->warnings, 1);
		assert_true(
			span_ends(span_from(w->last_warning), cases[i].want));
	}
	w->warnings = 0;
	world_write(w, "bad", SPAN_OF("a b\na c\n"));
	assert_int_equal(world_build(w, "hash", "bad", MAP_BUILD_IGNORE_DUP,
				     &(struct fault){ 0 }),
			 RC_OK);
	assert_int_equal(w->warnings, 0);
	assert_int_equal(world_build(w, "hash", "bad", MAP_BUILD_REPLACE,
				     &(struct fault){ 0 }),
			 RC_OK);
	assert_int_equal(w->warnings, 0);
	assert_found(
		world_map(w, mem_printf(w, "hash:%s", world_path(w, "bad"))),
		"a", "c");
}

static void keys_can_be_added_changed_and_removed(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		char *name =
			mem_printf(w, "%s:%s", types[i], world_path(w, "edit"));
		struct map_build_options options = {
			.flags = MAP_BUILD_INCREMENTAL,
			.warn = world_warn,
			.warn_arg = w,
		};
		struct map_writer *writer;
		struct fault fault;

		print_message("  %s\n", types[i]);
		world_write(w, "edit", SPAN_OF("a 1\nb 2\nc 3\n"));
		assert_int_equal(world_build(w, types[i], "edit", 0, &fault),
				 RC_OK);
		assert_int_equal(map_writer_open(w, w->conf, span_from(name),
						 NULL, &options, &writer,
						 &fault),
				 RC_OK);
		assert_int_equal(map_writer_put(writer, SPAN_OF("D"),
						SPAN_OF("4"), &fault),
				 RC_OK);
		assert_int_equal(map_writer_put(writer, SPAN_OF("a"),
						SPAN_OF("9"), &fault),
				 RC_NONE);
		assert_int_equal(
			map_writer_delete(writer, SPAN_OF("B"), &fault), RC_OK);
		assert_int_equal(
			map_writer_delete(writer, SPAN_OF("x"), &fault),
			RC_NONE);
		assert_int_equal(map_writer_commit(writer, &fault), RC_OK);
		talloc_free(writer);
		assert_found(world_map(w, name), "d", "4");
		assert_found(world_map(w, name), "a", "1");
		assert_found(world_map(w, name), "b", NULL);
	}
}

static void owner_and_mode_are_kept(void **state)
{
	struct world *w = *state;
	char *table = world_path(w, "rights.db");
	struct stat st;
	struct fault fault;

	world_write(w, "rights", SPAN_OF("a 1\n"));
	assert_int_equal(chmod(world_path(w, "rights"), 0640), 0);
	assert_int_equal(world_build(w, "hash", "rights", 0, &fault), RC_OK);
	assert_int_equal(stat(table, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(chmod(table, 0604), 0);
	assert_int_equal(world_build(w, "hash", "rights", 0, &fault), RC_OK);
	assert_int_equal(stat(table, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0604);
	assert_int_equal(unlink(table), 0);
	assert_int_equal(
		world_build(w, "hash", "rights", MAP_BUILD_NEW_MODE, &fault),
		RC_OK);
	assert_int_equal(stat(table, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
}

static void a_build_that_fails_leaves_the_old_table(void **state)
{
	struct world *w = *state;
	char *name = mem_printf(w, "hash:%s", world_path(w, "fails"));
	struct map_build_options options = { .warn = world_warn,
					     .warn_arg = w };
	struct map_writer *writer;
	struct fault fault;

	world_write(w, "fails", SPAN_OF("a 1\n"));
	assert_int_equal(world_build(w, "hash", "fails", 0, &fault), RC_OK);
	assert_int_equal(map_writer_open(w, w->conf, span_from(name), NULL,
					 &options, &writer, &fault),
			 RC_OK);
	assert_int_equal(
		map_writer_put(writer, SPAN_OF("a"), SPAN_OF("2"), &fault),
		RC_OK);
	talloc_free(writer); /* without a commit */
	assert_found(world_map(w, name), "a", "1");
	assert_int_equal(world_build(w, "hash", "missing", 0, &fault), RC_CONF);
	assert_int_equal(world_build(w, "texthash", "fails", 0, &fault),
			 RC_CONF);
	assert_string_equal(fault.text,
			    "unsupported dictionary type: texthash does not "
			    "support bulk-mode creation. (what can be made: "
			    "btree, "
#ifdef HAVE_CDB
			    "cdb, "
#endif
			    "hash, lmdb)");
}

struct reader {
	struct world *w;
	char *name;
	atomic_bool stop;
	atomic_int asked, bad;
};

/* Opens it anew each time, so that it meets every moment of a build. */
static void *read_all_the_time(void *arg)
{
	struct reader *reader = arg;

	while (!atomic_load(&reader->stop)) {
		TALLOC_CTX *mem = talloc_new(NULL);
		struct fault fault;
		struct span value;
		struct map *map;

		if (map_open(mem, reader->w->conf, span_from(reader->name),
			     MAP_FOLD, &map, &fault) != RC_OK ||
		    map_lookup(map, mem, SPAN_OF("a"), &value, &fault) != RC_OK)
			atomic_fetch_add(&reader->bad, 1);
		atomic_fetch_add(&reader->asked, 1);
		talloc_free(mem);
	}
	return NULL;
}

static void readers_never_meet_half_a_table(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct reader reader = { .w = w };
		struct fault fault;
		pthread_t thread;

		print_message("  %s\n", types[i]);
		reader.name =
			mem_printf(w, "%s:%s", types[i], world_path(w, "busy"));
		world_write(w, "busy", SPAN_OF("a 1\nb 2\n"));
		assert_int_equal(world_build(w, types[i], "busy", 0, &fault),
				 RC_OK);
		assert_int_equal(pthread_create(&thread, NULL,
						read_all_the_time, &reader),
				 0);
		for (int n = 0; n < 10 || atomic_load(&reader.asked) < 10; n++)
			assert_int_equal(
				world_build(w, types[i], "busy", 0, &fault),
				RC_OK);
		atomic_store(&reader.stop, true);
		pthread_join(thread, NULL);
		assert_int_equal(atomic_load(&reader.bad), 0);
	}
}

static void nul_at_the_end_is_as_was_asked_for(void **state)
{
	struct world *w = *state;
	static const struct {
		int flags;
		bool nul;
	} cases[] = { { 0, true },
		      { MAP_BUILD_NUL, true },
		      { MAP_BUILD_NO_NUL, false } };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *name = mem_printf(w, "lmdb:%s", world_path(w, "nul"));
		char bytes[32768];
		struct fault fault;
		ssize_t n;
		int fd;

		world_write(w, "nul", SPAN_OF("keykey valval\n"));
		assert_int_equal(
			world_build(w, "lmdb", "nul", cases[i].flags, &fault),
			RC_OK);
		assert_found(world_map(w, name), "keykey", "valval");
		fd = open(world_path(w, "nul.lmdb"), O_RDONLY);
		n = read(fd, bytes, sizeof(bytes));
		close(fd);
		assert_true(n > 0);
		assert_int_equal(memmem(bytes, (size_t)n, "keykey\0valval\0",
					14) != NULL,
				 cases[i].nul);
	}
}

static void values_can_be_files(void **state)
{
	struct world *w = *state;
	char *name = mem_printf(w, "hash:%s", world_path(w, "sni"));
	struct fault fault;
	struct span value;

	world_write(w, "one", SPAN_OF("first\n"));
	world_write(w, "two", SPAN_OF("second\n"));
	world_write(
		w, "sni",
		span_from(mem_printf(w, "host %s, %s\n", world_path(w, "one"),
				     world_path(w, "two"))));
	assert_int_equal(
		world_build(w, "hash", "sni", MAP_BUILD_FILE_VALUES, &fault),
		RC_OK);
	assert_found(world_map(w, name), "host", "Zmlyc3QKc2Vjb25kCg==");
	assert_int_equal(map_value_decode(w, SPAN_OF("Zmlyc3QKc2Vjb25kCg=="),
					  &value, &fault),
			 RC_OK);
	assert_true(span_is(value, "first\nsecond\n"));
	assert_int_equal(
		map_value_decode(w, SPAN_OF("no base64!"), &value, &fault),
		RC_CONF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_and_duplicate_lines_are_named_and_skipped),
		cmocka_unit_test(keys_can_be_added_changed_and_removed),
		cmocka_unit_test(owner_and_mode_are_kept),
		cmocka_unit_test(a_build_that_fails_leaves_the_old_table),
		cmocka_unit_test(readers_never_meet_half_a_table),
		cmocka_unit_test(nul_at_the_end_is_as_was_asked_for),
		cmocka_unit_test(values_can_be_files),
	};

	return cmocka_run_group_tests(tests, world_open, world_close);
}
