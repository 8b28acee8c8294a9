/* SPDX-License-Identifier: Apache-2.0 */
/* Tables at a server: what goes wrong there. */
#include "map_world.h"

#include "fake_tables.h"

enum { THREADS = 8 };

static const char *const kinds[] = { "tcp", "socketmap", "memcache", "redis" };

static void what_a_server_says_is_taken_or_try_later(void **state)
{
	static const struct {
		const char *key;
		const char *want[FAKES]; /* part of the text */
	} cases[] = {
		{ "temp",
		  { "try later", "temporary error: why", "SERVER_ERROR why",
		    "the server says: ERR why" } },
		{ "timeout",
		  { "try later", "timeout error: why", "reply: ERROR",
		    "the server says: BUSY x" } },
		{ "perm",
		  { "bad status code: 300 what", "permanent error: why",
		    "CLIENT_ERROR why", "the server says: WRONGTYPE" } },
		{ "garbage",
		  { "malformed reply: what", "input format error",
		    "unexpected memcache server reply: what",
		    "malformed reply: what" } },
		{ "number",
		  { "malformed reply: 200", "input format error",
		    "reply: VALUE number 0 x", "bad length in reply: x" } },
		{ "other",
		  { "malformed reply: 200 %zz", "unknown error: ok one",
		    "reply: VALUE another 0 3", "malformed reply: *1" } },
		{ "long",
		  { "more than 4095 bytes", "socketmap_max_reply_size",
		    "reply: VALUE long 0 10241", "data_size_limit" } },
		{ "cut",
		  { "lost connection", "lost connection", "lost connection",
		    "lost connection" } },
		{ "close",
		  { "lost connection", "lost connection", "lost connection",
		    "lost connection" } },
		{ "slow", { NULL, NULL, "timed out", "timed out" } },
	};
	struct world *w = *state;

	for (int kind = 0; kind < FAKES; kind++) {
		struct fake *fake = fake_start((enum fake_kind)kind, 0);
		char *name = fake_table(w, (enum fake_kind)kind, fake->port);
		char *where = mem_printf(w, "127.0.0.1:%d: ", fake->port);

		for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
			struct map *map = world_map(w, name);
			struct fault fault = { 0 };
			struct span value;

			if (cases[i].want[kind] == NULL)
				continue;
			print_message("  %s: %s\n", kinds[kind], cases[i].key);
			assert_found(map, "alpha", "one");
			assert_int_equal(map_lookup(map, w,
						    span_from(cases[i].key),
						    &value, &fault),
					 RC_TEMP);
			if (strstr(fault.text, cases[i].want[kind]) == NULL ||
			    strstr(fault.text, where) == NULL ||
			    strstr(fault.text, name) == NULL)
				fail_msg("%s", fault.text);
			talloc_free(map);
		}
		fake_stop(fake);
	}
}

static void one_bad_answer_is_no_harm_to_the_next(void **state)
{
	static const char *const bad[] = { "temp", "perm", "garbage", "long" };
	struct world *w = *state;

	for (int kind = 0; kind < FAKES; kind++) {
		struct fake *fake = fake_start((enum fake_kind)kind, 0);
		struct map *map = world_map(
			w, fake_table(w, (enum fake_kind)kind, fake->port));

		for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
			struct fault fault;
			struct span value;

			assert_int_equal(map_lookup(map, w, span_from(bad[i]),
						    &value, &fault),
					 RC_TEMP);
			assert_found(map, "alpha", "one");
			assert_found(map, "none", NULL);
			assert_found(map, "blank", "a %\n");
		}
		talloc_free(map);
		fake_stop(fake);
	}
}

static enum rc ask(struct map *map, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct span value;
	enum rc rc = map_lookup(map, tmp, SPAN_OF("alpha"), &value, fault);

	if (rc == RC_OK)
		assert_true(span_is(value, "one"));
	return rc;
}

/* Within five seconds. */
static void wait_answers(struct map *map)
{
	struct fault fault = { 0 };

	for (int i = 0; i < 250; i++) {
		enum rc rc = ask(map, &fault);

		assert_int_not_equal(rc, RC_NONE);
		if (rc == RC_OK)
			return;
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	}
	fail_msg("it does not recover: %s", fault.text);
}

static void a_dead_server_is_try_later_at_once_until_it_is_back(void **state)
{
	struct world *w = *state;

	for (int kind = 0; kind < FAKES; kind++) {
		struct fake *fake = fake_start((enum fake_kind)kind, 0);
		uint16_t port = fake->port;
		struct map *map =
			world_map(w, fake_table(w, (enum fake_kind)kind, port));
		struct fault fault = { 0 };

		print_message("  %s\n", kinds[kind]);
		assert_int_equal(ask(map, &fault), RC_OK);
		fake_stop(fake);
		for (int i = 0; i < 200; i++)
			assert_int_equal(ask(map, &fault), RC_TEMP);
		assert_non_null(strstr(fault.text, "Connection refused"));
		fake = fake_start((enum fake_kind)kind, port);
		wait_answers(map);
		talloc_free(map);
		fake_stop(fake);
	}
}

struct hammer {
	struct map *map;
	_Atomic bool stop;
	_Atomic int good, later, wrong;
};

static void *hammer_run(void *arg)
{
	struct hammer *hammer = arg;

	while (!hammer->stop) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct fault fault;
		struct span value;
		enum rc rc = map_lookup(hammer->map, tmp, SPAN_OF("alpha"),
					&value, &fault);

		if (rc == RC_OK && span_is(value, "one"))
			hammer->good++;
		else if (rc == RC_TEMP)
			hammer->later++;
		else
			hammer->wrong++;
	}
	return NULL;
}

static void wait_more(_Atomic int *number, int more)
{
	int want = *number + more;

	for (int i = 0; *number < want; i++) {
		if (i == 1000)
			fail_msg("no progress in ten seconds");
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
}

static void
threads_get_no_wrong_answer_while_the_server_comes_and_goes(void **state)
{
	struct world *w = *state;

	for (int kind = 0; kind < FAKES; kind++) {
		struct fake *fake = fake_start((enum fake_kind)kind, 0);
		uint16_t port = fake->port;
		struct hammer hammer = {
			.map = world_map(
				w, fake_table(w, (enum fake_kind)kind, port))
		};
		pthread_t threads[THREADS];

		print_message("  %s\n", kinds[kind]);
		for (int i = 0; i < THREADS; i++)
			pthread_create(&threads[i], NULL, hammer_run, &hammer);
		wait_more(&hammer.good, 200);
		fake_stop(fake);
		wait_more(&hammer.later, 20);
		fake = fake_start((enum fake_kind)kind, port);
		wait_more(&hammer.good, 200);
		hammer.stop = true;
		for (int i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(hammer.wrong, 0);
		talloc_free(hammer.map);
		fake_stop(fake);
	}
}

static void the_next_host_answers_for_a_dead_one(void **state)
{
	struct world *w = *state;
	struct fake *dead = fake_start(FAKE_REDIS, 0);
	struct fake *fake = fake_start(FAKE_REDIS, 0);
	struct map *map;

	world_write(w, "two.cf",
		    span_from(mem_printf(
			    w, "hosts = 127.0.0.1:%d, inet:127.0.0.1:%d\n",
			    dead->port, fake->port)));
	map = world_map(w, mem_printf(w, "redis:%s", world_path(w, "two.cf")));
	assert_found(map, "alpha", "one");
	fake_stop(dead);
	for (int i = 0; i < 50; i++)
		assert_found(map, "alpha", "one");
	talloc_free(map);
	fake_stop(fake);
}

static void settings_that_cannot_work_are_refused(void **state)
{
	static const struct {
		const char *type, *text, *want;
	} cases[] = {
		{ "redis", "hosts = localhost:no-such-port\n",
		  "hosts: localhost:no-such-port: expecting inet:host:port" },
		{ "redis", "hosts =\n", "line 1: hosts = : bad string length" },
		{ "redis", "key_format = %z\n",
		  "key_format: Invalid template" },
		{ "redis", "tls = yes\ntls_ca_file = /nonexistent\n",
		  "/nonexistent" },
		{ "memcache", "memcache = localhost\n",
		  "expecting inet:host:port or unix:path" },
		{ "memcache", "backup = nothing\n",
		  "backup: open dictionary: expecting \"type:name\"" },
		{ "memcache", "max_try = 0\n", "max_try" },
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *name = mem_printf(w, "%s:%s", cases[i].type,
					world_path(w, "bad.cf"));
		struct fault fault = { 0 };
		struct map *map;

		world_write(w, "bad.cf", span_from(cases[i].text));
		assert_int_equal(map_open(w, w->conf, span_from(name), MAP_FOLD,
					  &map, &fault),
				 RC_CONF);
		if (strstr(fault.text, cases[i].want) == NULL)
			fail_msg("%s", fault.text);
	}
}

static void memcache_fetches_from_its_backup(void **state)
{
	struct world *w = *state;
	struct fake *fake = fake_start(FAKE_MEMCACHE, 0);
	struct map *map;
	struct fault fault;
	struct span value;

	world_write(w, "behind.cf",
		    span_from(mem_printf(w,
					 "memcache = inet:127.0.0.1:%d\n"
					 "timeout = 1\nretry_pause = 0\n"
					 "domain = example.test\n"
					 "backup = inline:{ "
					 "{alpha@example.test = behind}, "
					 "{alpha = no} }\n",
					 fake->port)));
	map = world_map(
		w, mem_printf(w, "memcache:%s", world_path(w, "behind.cf")));
	assert_found(map, "Alpha@Example.Test", "behind");
	assert_found(map, "beta@example.test", NULL);
	assert_found(map, "alpha", NULL); /* not of domain */
	assert_found(map, "alpha@other.test", NULL);
	fake_stop(fake);
	assert_int_equal(map_lookup(map, w, SPAN_OF("alpha@example.test"),
				    &value, &fault),
			 RC_OK);
	talloc_free(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_server_says_is_taken_or_try_later),
		cmocka_unit_test(one_bad_answer_is_no_harm_to_the_next),
		cmocka_unit_test(
			a_dead_server_is_try_later_at_once_until_it_is_back),
		cmocka_unit_test(
			threads_get_no_wrong_answer_while_the_server_comes_and_goes),
		cmocka_unit_test(the_next_host_answers_for_a_dead_one),
		cmocka_unit_test(settings_that_cannot_work_are_refused),
		cmocka_unit_test(memcache_fetches_from_its_backup),
	};

	return cmocka_run_group_tests(tests, world_open, world_close);
}
