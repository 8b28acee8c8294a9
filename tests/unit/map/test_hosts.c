/* SPDX-License-Identifier: Apache-2.0 */
/* Which server of a table is asked, and in which connection. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <time.h>

#include <cmocka.h>

#include "map/map_hosts.h"

enum { HOSTS = 3, THREADS = 8, ROUNDS = 300 };

/* Servers that are up or down, and what was done with them. */
struct servers {
	_Atomic bool down[HOSTS];
	_Atomic int connects[HOSTS];
	_Atomic bool kept_is_bad;
	_Atomic int open;
};

struct connection {
	struct servers *servers;
	int server;
	_Atomic bool busy;
	int asked;
};

struct question {
	int answered_by;
	bool break_it; /* the kept connection turns out to be closed */
	enum rc answer;
};

static int connection_close(struct connection *connection)
{
	connection->servers->open--;
	return 0;
}

static enum rc fake_connect(void *arg, const char *host, void **ret_connection,
			    struct fault *fault)
{
	struct servers *servers = arg;
	struct connection *connection;
	int server = host[strlen(host) - 1] - '0';

	servers->connects[server]++;
	if (servers->down[server])
		return fault_set(fault, RC_TEMP, "4.4.1",
				 "%s: Connection refused", host);
	connection = mem_new(NULL, struct connection);
	connection->servers = servers;
	connection->server = server;
	servers->open++;
	talloc_set_destructor(connection, connection_close);
	*ret_connection = connection;
	return RC_OK;
}

static bool fake_is_good(void *arg)
{
	struct connection *connection = arg;

	return !connection->servers->kept_is_bad;
}

static enum rc fake_ask(void *arg, void *connection_arg, bool *ret_broken,
			struct fault *fault)
{
	struct question *question = arg;
	struct connection *connection = connection_arg;

	assert_false(atomic_exchange(&connection->busy, true));
	if (connection->servers->down[connection->server] ||
	    (question->break_it && connection->asked > 0)) {
		*ret_broken = true;
		return fault_set(fault, RC_TEMP, "4.4.2", "lost connection");
	}
	connection->asked++;
	question->answered_by = connection->server;
	atomic_store(&connection->busy, false);
	return question->answer;
}

static struct map_hosts *three_hosts(struct servers *servers, int flags)
{
	static const struct map_hosts_kind kind = { fake_connect,
						    fake_is_good };
	struct map_hosts_options options = {
		.kind = &kind, .arg = servers, .flags = flags, .back_off_ms = 50
	};
	struct map_hosts *hosts = map_hosts_new(NULL, &options);

	assert_true(map_hosts_add(hosts, "inet:0"));
	assert_true(map_hosts_add(hosts, "inet:1"));
	assert_true(map_hosts_add(hosts, "unix:2"));
	return hosts;
}

static int asked_at(struct map_hosts *hosts, struct question question)
{
	struct fault fault = { 0 };
	enum rc rc = map_hosts_ask(hosts, fake_ask, &question, &fault);

	if (rc != question.answer)
		fail_msg("rc %d: %s", rc, fault.text);
	return question.answered_by;
}

static void the_first_is_asked_in_one_connection(void **state)
{
	struct servers servers = { 0 };
	struct map_hosts *hosts = three_hosts(&servers, 0);

	for (int i = 0; i < 10; i++)
		assert_int_equal(asked_at(hosts, (struct question){ 0 }), 0);
	assert_int_equal(servers.connects[0], 1);
	assert_int_equal(servers.connects[1], 0);
	talloc_free(hosts);
	assert_int_equal(servers.open, 0);
}

static void an_answer_that_is_no_or_an_error_keeps_the_connection(void **state)
{
	struct servers servers = { 0 };
	struct map_hosts *hosts = three_hosts(&servers, 0);

	asked_at(hosts, (struct question){ .answer = RC_NONE });
	asked_at(hosts, (struct question){ .answer = RC_TEMP });
	asked_at(hosts, (struct question){ .answer = RC_OK });
	assert_int_equal(servers.connects[0], 1);
	talloc_free(hosts);
}

static void a_kept_connection_that_broke_is_made_again(void **state)
{
	struct servers servers = { 0 };
	struct map_hosts *hosts = three_hosts(&servers, 0);

	asked_at(hosts, (struct question){ 0 });
	assert_int_equal(asked_at(hosts, (struct question){ .break_it = true }),
			 0);
	assert_int_equal(servers.connects[0], 2);
	servers.kept_is_bad = true;
	assert_int_equal(asked_at(hosts, (struct question){ 0 }), 0);
	assert_int_equal(servers.connects[0], 3);
	assert_int_equal(servers.open, 1);
	talloc_free(hosts);
}

static void the_next_is_asked_while_one_is_down(void **state)
{
	struct servers servers = { 0 };
	struct map_hosts *hosts = three_hosts(&servers, 0);
	uint64_t tries = 0;

	asked_at(hosts, (struct question){ 0 });
	servers.down[0] = true;
	for (int i = 0; i < 20; i++)
		assert_int_equal(asked_at(hosts, (struct question){ 0 }), 1);
	assert_int_equal(servers.connects[0], 2); /* and then left alone */
	servers.down[0] = false;
	while (asked_at(hosts, (struct question){ 0 }) != 0) {
		assert_true(tries++ < 1000);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	talloc_free(hosts);
}

static void when_all_are_down_it_is_try_later_at_once(void **state)
{
	struct servers servers = { .down = { true, true, true } };
	struct map_hosts *hosts = three_hosts(&servers, 0);
	struct question question = { 0 };
	struct fault fault = { 0 };

	for (int i = 0; i < 20; i++) {
		assert_int_equal(
			map_hosts_ask(hosts, fake_ask, &question, &fault),
			RC_TEMP);
		assert_string_equal(fault.text, "unix:2: Connection refused");
	}
	for (int i = 0; i < HOSTS; i++)
		assert_int_equal(servers.connects[i], 1);
	servers.down[1] = false;
	nanosleep(&(struct timespec){ .tv_nsec = 60000000 }, NULL);
	assert_int_equal(asked_at(hosts, (struct question){ 0 }), 1);
	talloc_free(hosts);
}

static void spread_over_all_but_unix_first(void **state)
{
	struct servers servers = { 0 };
	struct map_hosts *hosts = three_hosts(&servers, MAP_HOSTS_SPREAD);
	bool seen[HOSTS] = { false };

	for (int i = 0; i < 20; i++)
		assert_int_equal(asked_at(hosts, (struct question){ 0 }), 2);
	servers.down[2] = true;
	for (int i = 0; i < 200 && !(seen[0] && seen[1]); i++)
		seen[asked_at(hosts, (struct question){ 0 })] = true;
	assert_true(seen[0] && seen[1]);
	assert_false(seen[2]);
	talloc_free(hosts);
}

static void *ask_many_times(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct question question = { .answer =
						     i % 2 ? RC_OK : RC_NONE };
		struct fault fault = { 0 };

		if (map_hosts_ask(arg, fake_ask, &question, &fault) !=
		    question.answer)
			return arg;
	}
	return NULL;
}

static void threads_have_a_connection_each(void **state)
{
	struct servers servers = { .down = { true } };
	struct map_hosts *hosts = three_hosts(&servers, 0);
	pthread_t threads[THREADS];
	void *bad;

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						ask_many_times, hosts),
				 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &bad);
		assert_null(bad);
	}
	assert_true(servers.connects[1] <= THREADS);
	talloc_free(hosts);
	assert_int_equal(servers.open, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_is_asked_in_one_connection),
		cmocka_unit_test(
			an_answer_that_is_no_or_an_error_keeps_the_connection),
		cmocka_unit_test(a_kept_connection_that_broke_is_made_again),
		cmocka_unit_test(the_next_is_asked_while_one_is_down),
		cmocka_unit_test(when_all_are_down_it_is_try_later_at_once),
		cmocka_unit_test(spread_over_all_but_unix_first),
		cmocka_unit_test(threads_have_a_connection_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
