/* SPDX-License-Identifier: Apache-2.0 */
/* What every table driver must do. */
#include "map_world.h"

#include "fake_tables.h"

#ifdef HAVE_SQLITE
#include <sqlite3.h>
#endif

enum { THREADS = 4, ROUNDS = 500, LARGE_ENTRIES = 50000 };

#define LARGE_VALUE                                                           \
	"value number %d, long enough that so many of them are more than is " \
	"read into memory whole"

static const char source_text[] = "# a comment\n"
				  "alpha one\n"
				  "Beta  two words\n"
				  "\n"
				  "gamma three\n"
				  "  goes on\n"
				  "\"q k\" quoted\n"
				  "d\xc3\x89j\xc3\xa0 \xd0\x94\xd0\x90\n";

/* Tables with the text above, or what of it their kind can hold. */
static const struct {
	const char *format; /* %s: the source's path */
	bool built;	    /* by map_build, from the source */
	bool pattern, only_alpha;
	int server; /* 1 + enum fake_kind, at a server that the test has */
} cases[] = {
	{ "hash:%s", true, false, false, 0 },
	{ "btree:%s", true, false, false, 0 },
	{ "lmdb:%s", true, false, false, 0 },
#ifdef HAVE_CDB
	{ "cdb:%s", true, false, false, 0 },
#endif
#ifdef HAVE_SQLITE
	{ "sqlite:%s.cf", false, false, false, 0 },
#endif
	{ "texthash:%s", false, false, false, 0 },
	{ "proxy:texthash:%s", false, false, false, 0 },
	{ "unionmap:{texthash:%s}", false, false, false, 0 },
	{ "pipemap:{texthash:%s,regexp:{{/(.*)/ $1}}}", false, true, false, 0 },
	{ "inline:{alpha=one}", false, false, true, 0 },
	{ "regexp:{{/^alpha$/x one}}", false, true, true, 0 },
	{ "pcre:{{/^alpha$/ one}}", false, true, true, 0 },
	{ "debug:inline:{alpha=one}", false, false, true, 0 },
	{ "tcp", false, true, true, 1 + FAKE_TCP },
	{ "socketmap", false, true, true, 1 + FAKE_SOCKETMAP },
	{ "memcache", false, false, true, 1 + FAKE_MEMCACHE },
	{ "redis", false, false, true, 1 + FAKE_REDIS },
};

static char *case_name(struct world *w, size_t i)
{
	char *path = world_path(w, "source");
	const char *at = strstr(cases[i].format, "%s");

	if (cases[i].server > 0)
		return fake_table(w, (enum fake_kind)(cases[i].server - 1),
				  w->servers[cases[i].server - 1]->port);
	if (at == NULL)
		return mem_strdup(w, cases[i].format);
	return mem_printf(w, "%.*s%s%s", (int)(at - cases[i].format),
			  cases[i].format, path, at + 2);
}

#ifdef HAVE_SQLITE
/* The same entries, and the settings of a table that asks for them. */
static void make_database(struct world *w)
{
	static const char sql[] =
		"DROP TABLE IF EXISTS t; CREATE TABLE t (k, v);"
		"INSERT INTO t VALUES ('alpha', 'one'), ('beta', 'two words'),"
		" ('gamma', 'three  goes on'), ('\"q k\"', 'quoted'),"
		" ('d\xc3\xa9j\xc3\xa0', '\xd0\x94\xd0\x90'), ('', 'empty');";
	char *path = world_path(w, "sqlite");
	char *text = mem_printf(w,
				"dbpath = %s\n"
				"query = SELECT v FROM t WHERE k = '%%s'\n",
				path);
	sqlite3 *db;

	world_write(w, "source.cf", span_from(text));
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}
#endif

static struct map *case_map(struct world *w, size_t i)
{
	char *name = case_name(w, i);
	struct map_build_options options = { .warn = world_warn,
					     .warn_arg = w };
	struct fault fault;

	world_write(w, "source", SPAN_OF(source_text));
#ifdef HAVE_SQLITE
	if (span_starts(span_from(name), "sqlite:"))
		make_database(w);
#endif
	if (cases[i].built &&
	    map_build(w->conf, span_from(name), &options, &fault) != RC_OK)
		fail_msg("case %zu: %s", i, fault.text);
	return world_map(w, name);
}

static void what_is_there_is_found_and_what_is_not_is_not(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct map *map = case_map(w, i);

		assert_int_equal(map_is_pattern(map), cases[i].pattern);
		assert_found(map, "alpha", "one");
		assert_found(map, "alph", NULL);
		assert_found(map, "alphaa", NULL);
		assert_found(map, "", NULL);
		if (cases[i].only_alpha || cases[i].pattern)
			continue;
		assert_found(map, "ALPHA", "one");
		assert_found(map, "beta", "two words");
		assert_found(map, "BETA", "two words");
		assert_found(map, "gamma", "three  goes on");
		assert_found(map, "\"Q k\"", "quoted");
		assert_found(map, "q", NULL);
		assert_found(map, "D\xc3\xa9J\xc3\x80", "\xd0\x94\xd0\x90");
	}
}

static void an_answer_outlives_its_table_and_leaves_nothing_in_it(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct map *map = case_map(w, i);
		TALLOC_CTX *mem = talloc_new(NULL);
		struct fault fault;
		struct span value;
		size_t blocks;

		blocks = talloc_total_blocks(map);
		assert_int_equal(
			map_lookup(map, mem, SPAN_OF("alpha"), &value, &fault),
			RC_OK);
		assert_int_equal(talloc_total_blocks(map), blocks);
		talloc_free(map);
		assert_true(span_is(value, "one"));
		talloc_free(mem);
	}
}

static void a_key_with_nul_is_only_another_key(void **state)
{
	struct world *w = *state;
	struct fault fault;
	struct span value;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct map *map = case_map(w, i);

		assert_int_equal(
			map_lookup(map, w, SPAN_OF("alpha\0x"), &value, &fault),
			RC_NONE);
	}
}

static void *ask_many_times(void *arg)
{
	struct map *map = arg;

	for (int i = 0; i < ROUNDS; i++) {
		TALLOC_CTX *mem = talloc_new(NULL);
		struct fault fault;
		struct span value;

		if (map_lookup(map, mem, SPAN_OF("alpha"), &value, &fault) !=
			    RC_OK ||
		    !span_is(value, "one") ||
		    map_lookup(map, mem, SPAN_OF("none"), &value, &fault) !=
			    RC_NONE) {
			talloc_free(mem);
			return arg;
		}
		talloc_free(mem);
	}
	return NULL;
}

static void ask_from_threads(struct map *map)
{
	pthread_t threads[THREADS];
	void *bad;

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, ask_many_times, map),
			0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &bad);
		assert_null(bad);
	}
}

static void many_threads_may_ask(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		ask_from_threads(case_map(w, i));
}

static const char *const file_types[] = {
	"hash",
	"btree",
	"lmdb",
#ifdef HAVE_CDB
	"cdb",
#endif
};

/* Large files stay open and are asked themselves. */
static void a_large_table_answers_like_a_small_one(void **state)
{
	struct world *w = *state;
	struct buf text;
	struct fault fault;

	buf_init(&text, w, 64 * 1024 * 1024);
	buf_add_text(&text, "alpha one\n");
	for (int i = 0; i < LARGE_ENTRIES; i++)
		buf_addf(&text, "key%d " LARGE_VALUE "\n", i, i);
	world_write(w, "large", buf_span(&text));
	for (size_t i = 0; i < ARRAY_LEN(file_types); i++) {
		struct map *map;

		print_message("  %s\n", file_types[i]);
		if (world_build(w, file_types[i], "large", 0, &fault) != RC_OK)
			fail_msg("%s", fault.text);
		map = world_map(w, mem_printf(w, "%s:%s", file_types[i],
					      world_path(w, "large")));
		assert_found(map, "alpha", "one");
		assert_found(map, "key4711", mem_printf(w, LARGE_VALUE, 4711));
		assert_found(map, "KEY49999",
			     mem_printf(w, LARGE_VALUE, 49999));
		assert_found(map, "key50000", NULL);
		ask_from_threads(map);
		talloc_free(map);
	}
}

/* Until it answers so, at most five seconds. */
static void wait_found(struct map *map, const char *key, const char *want)
{
	for (int i = 0; i < 250; i++) {
		TALLOC_CTX *mem = talloc_new(NULL);
		struct fault fault;
		struct span value;
		enum rc rc =
			map_lookup(map, mem, span_from(key), &value, &fault);
		bool found = rc == RC_OK && span_is(value, want);

		talloc_free(mem);
		if (found)
			return;
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	}
	fail_msg("%s did not change", map_name(map));
}

static void a_table_made_anew_is_noticed(void **state)
{
	struct world *w = *state;
	struct fault fault;

	for (size_t i = 0; i < ARRAY_LEN(file_types); i++) {
		struct map *map;

		print_message("  %s\n", file_types[i]);
		world_write(w, "news", SPAN_OF("alpha one\n"));
		assert_int_equal(
			world_build(w, file_types[i], "news", 0, &fault),
			RC_OK);
		map = world_map(w, mem_printf(w, "%s:%s", file_types[i],
					      world_path(w, "news")));
		assert_found(map, "alpha", "one");
		world_write(w, "news", SPAN_OF("alpha two\n"));
		assert_int_equal(
			world_build(w, file_types[i], "news", 0, &fault),
			RC_OK);
		wait_found(map, "alpha", "two");
	}
}

static void a_text_written_in_place_is_noticed(void **state)
{
	struct world *w = *state;
	struct map *map;

	world_write(w, "text", SPAN_OF("alpha one\n"));
	map = world_map(w, mem_printf(w, "texthash:%s", world_path(w, "text")));
	assert_found(map, "alpha", "one");
	world_write(w, "text", SPAN_OF("alpha two\n"));
	wait_found(map, "alpha", "two");
}

static void put_one(struct world *w, const char *name, const char *key,
		    const char *value)
{
	struct map_build_options options = {
		.flags = MAP_BUILD_INCREMENTAL | MAP_BUILD_REPLACE,
		.warn = world_warn,
		.warn_arg = w,
	};
	struct map_writer *writer;
	struct fault fault;

	assert_int_equal(map_writer_open(w, w->conf, span_from(name), NULL,
					 &options, &writer, &fault),
			 RC_OK);
	assert_int_equal(map_writer_put(writer, span_from(key),
					span_from(value), &fault),
			 RC_OK);
	assert_int_equal(map_writer_commit(writer, &fault), RC_OK);
	talloc_free(writer);
}

static void a_key_changed_in_the_file_is_noticed(void **state)
{
	struct world *w = *state;
	struct fault fault;
	struct buf text;

	buf_init(&text, w, 64 * 1024 * 1024);
	buf_add_text(&text, "alpha one\n");
	for (size_t i = 0; i < 3; i++) { /* cdb is only made anew */
		char *name = mem_printf(w, "%s:%s", file_types[i],
					world_path(w, "edited"));
		struct map *map;

		print_message("  %s\n", name);
		world_write(w, "edited", buf_span(&text));
		assert_int_equal(
			world_build(w, file_types[i], "edited", 0, &fault),
			RC_OK);
		map = world_map(w, name);
		assert_found(map, "alpha", "one");
		put_one(w, name, "alpha", "two");
		wait_found(map, "alpha", "two");
	}
}

static void a_key_changed_in_a_large_file_is_noticed_soon(void **state)
{
	struct world *w = *state;
	struct fault fault;
	struct buf text;

	buf_init(&text, w, 64 * 1024 * 1024);
	buf_add_text(&text, "alpha one\n");
	for (int i = 0; i < LARGE_ENTRIES; i++)
		buf_addf(&text, "key%d " LARGE_VALUE "\n", i, i);
	world_write(w, "edited", buf_span(&text));
	for (size_t i = 0; i < 3; i++) {
		char *name = mem_printf(w, "%s:%s", file_types[i],
					world_path(w, "edited"));
		struct map *map;

		print_message("  %s\n", name);
		assert_int_equal(
			world_build(w, file_types[i], "edited", 0, &fault),
			RC_OK);
		map = world_map(w, name);
		assert_found(map, "alpha", "one");
		put_one(w, name, "alpha", "two");
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
		assert_found(map, "alpha", "two");
		assert_found(map, "key4711", mem_printf(w, LARGE_VALUE, 4711));
		talloc_free(map);
	}
}

/* Until it fails so, at most five seconds. */
static void wait_temp(struct map *map, const char *key)
{
	for (int i = 0; i < 250; i++) {
		TALLOC_CTX *mem = talloc_new(NULL);
		struct fault fault;
		struct span value;
		enum rc rc =
			map_lookup(map, mem, span_from(key), &value, &fault);

		talloc_free(mem);
		assert_int_not_equal(rc, RC_NONE);
		if (rc == RC_TEMP)
			return;
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	}
	fail_msg("%s did not fail", map_name(map));
}

#ifdef HAVE_SQLITE
static void database_do(struct world *w, const char *name, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(world_path(w, name), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void a_database_that_changes_or_is_replaced_is_noticed(void **state)
{
	struct world *w = *state;
	struct map *map;

	make_database(w);
	map = world_map(w,
			mem_printf(w, "sqlite:%s", world_path(w, "source.cf")));
	assert_found(map, "alpha", "one");
	database_do(w, "sqlite", "UPDATE t SET v = 'two' WHERE k = 'alpha'");
	assert_found(map, "alpha", "two");
	database_do(w, "other",
		    "CREATE TABLE t (k, v);"
		    "INSERT INTO t VALUES ('alpha', 'three')");
	assert_int_equal(
		rename(world_path(w, "other"), world_path(w, "sqlite")), 0);
	wait_found(map, "alpha", "three");
	database_do(w, "sqlite", "DROP TABLE t");
	wait_temp(map, "alpha");
	make_database(w);
	assert_found(map, "alpha", "one");
}
#endif

static void a_table_that_is_gone_is_try_later_until_it_is_back(void **state)
{
	static const char *const tables[] = { "hash:%s", "texthash:%s",
					      "regexp:%s" };
	struct world *w = *state;
	struct fault fault;

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		char *path = world_path(w, "gone");
		char *type = mem_span_dup(w, span_take(span_from(tables[i]),
						       strlen(tables[i]) - 3));
		char *file = i == 0 ? world_path(w, "gone.db") : path;
		struct map *map;

		print_message("  %s\n", type);
		world_write(w, "gone", SPAN_OF("/a/ b\n"));
		assert_int_equal(world_build(w, "hash", "gone", 0, &fault),
				 RC_OK);
		map = world_map(w, mem_printf(w, "%s:%s", type, path));
		assert_found(map, "/a/", "b");
		assert_int_equal(unlink(file), 0);
		wait_temp(map, "/a/");
		world_write(w, "gone", SPAN_OF("/a/ c\n"));
		assert_int_equal(world_build(w, "hash", "gone", 0, &fault),
				 RC_OK);
		wait_found(map, "/a/", "c");
	}
}

static void a_table_that_cannot_be_opened_says_what_to_do(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *text, *want;
	} faults[] = {
		{ "hash:/nonexistent/x",
		  "open database /nonexistent/x.db: No such file or directory; "
		  "write /nonexistent/x and run: postmap hash:/nonexistent/x" },
		{ "texthash:/nonexistent/x",
		  "open /nonexistent/x: No such file or directory" },
		{ "regexp:/nonexistent/x",
		  "open /nonexistent/x: No such file or directory" },
		{ "foo:/x", "unsupported dictionary type: foo (there are "
			    "btree," },
		{ "hash", "open dictionary: expecting \"type:name\" form" },
		{ "hash:", "open dictionary: expecting \"type:name\" form" },
		{ "inline:{a}", "inline:{a}: expected name=value" },
		{ "inline:{}", "empty table: \"inline:{}\"" },
		{ "inline:{{a=b}x}", "syntax error after '}' in \"{a=b}x\"" },
		{ "static:{x", "bad syntax: \"static:{x\"" },
		{ "static:{a}{b}", "bad syntax: \"static:{a}{b}\"" },
		{ "unix:shadow", "unknown unix:shadow" },
		{ "unionmap:{foo:x}", "unsupported dictionary type: foo" },
	};

	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		struct fault fault;
		struct map *map;

		assert_int_equal(map_open(w, w->conf, span_from(faults[i].text),
					  MAP_FOLD, &map, &fault),
				 RC_CONF);
		if (!span_starts(span_from(fault.text), faults[i].want))
			fail_msg("%s", fault.text);
	}
}

static void a_broken_table_in_a_list_is_try_later_until_it_is_made(void **state)
{
	struct world *w = *state;
	char *text =
		mem_printf(w, "inline:{a=b}, hash:%s", world_path(w, "later"));
	struct fault fault;
	struct span value;
	struct maps *maps;

	assert_int_equal(maps_open(w, w->conf, "alias_maps", text, MAP_FOLD,
				   &maps, &fault),
			 RC_OK);
	assert_true(span_starts(span_from(fault.text), "open database"));
	assert_int_equal(maps_count(maps), 2);
	assert_int_equal(maps_lookup(maps, w, SPAN_OF("a"), &value, &fault),
			 RC_OK);
	assert_int_equal(maps_lookup(maps, w, SPAN_OF("x"), &value, &fault),
			 RC_TEMP);
	world_write(w, "later", SPAN_OF("x y\n"));
	assert_int_equal(world_build(w, "hash", "later", 0, &fault), RC_OK);
	wait_found(maps_at(maps, 1), "x", "y");
	assert_int_equal(maps_lookup(maps, w, SPAN_OF("z"), &value, &fault),
			 RC_NONE);
}

static void a_table_that_fails_is_never_no_match(void **state)
{
	struct world *w = *state;
	struct fault fault;
	struct span value;
	struct maps *maps;

	assert_int_equal(maps_open(w, w->conf, "x_maps",
				   "inline:{ {a = b c} } fail:x", MAP_FOLD,
				   &maps, &fault),
			 RC_OK);
	assert_int_equal(maps_lookup(maps, w, SPAN_OF("A"), &value, &fault),
			 RC_OK);
	assert_true(span_is(value, "b c"));
	assert_int_equal(maps_lookup(maps, w, SPAN_OF("x"), &value, &fault),
			 RC_TEMP);
	assert_int_equal(maps_open(w, w->conf, "x_maps", "inline:{a=b", 0,
				   &maps, &fault),
			 RC_CONF);
	assert_int_equal(
		maps_open(w, w->conf, "x_maps", "nothing", 0, &maps, &fault),
		RC_CONF);
	assert_int_equal(maps_open(w, w->conf, "x_maps", "", 0, &maps, &fault),
			 RC_OK);
	assert_true(maps_is_empty(maps));
}

static int contract_open(void **state)
{
	struct world *w;

	world_open(state);
	w = *state;
	for (int kind = 0; kind < FAKES; kind++)
		w->servers[kind] = fake_start((enum fake_kind)kind, 0);
	return 0;
}

static int contract_close(void **state)
{
	struct world *w = *state;

	for (int kind = 0; kind < FAKES; kind++)
		fake_stop(w->servers[kind]);
	return world_close(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_there_is_found_and_what_is_not_is_not),
		cmocka_unit_test(
			an_answer_outlives_its_table_and_leaves_nothing_in_it),
		cmocka_unit_test(a_key_with_nul_is_only_another_key),
		cmocka_unit_test(many_threads_may_ask),
		cmocka_unit_test(a_large_table_answers_like_a_small_one),
		cmocka_unit_test(a_table_made_anew_is_noticed),
		cmocka_unit_test(a_text_written_in_place_is_noticed),
		cmocka_unit_test(a_key_changed_in_the_file_is_noticed),
		cmocka_unit_test(
			a_key_changed_in_a_large_file_is_noticed_soon),
		cmocka_unit_test(
			a_table_that_is_gone_is_try_later_until_it_is_back),
#ifdef HAVE_SQLITE
		cmocka_unit_test(
			a_database_that_changes_or_is_replaced_is_noticed),
#endif
		cmocka_unit_test(a_table_that_cannot_be_opened_says_what_to_do),
		cmocka_unit_test(
			a_broken_table_in_a_list_is_try_later_until_it_is_made),
		cmocka_unit_test(a_table_that_fails_is_never_no_match),
	};

	return cmocka_run_group_tests(tests, contract_open, contract_close);
}
