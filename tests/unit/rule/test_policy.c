/* SPDX-License-Identifier: Apache-2.0 */
/* Policy services and DNS list filters: what is well formed, and what it says.
 */
#include "world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "rule/policy_client.h"
#include "rule/restriction_filter.h"
#include "sys/socket_unix.h"

static void a_filter_says_which_answers_count(void **state)
{
	static const struct {
		const char *filter, *address;
		bool valid, matches;
	} cases[] = {
		{ "127.0.0.2", "127.0.0.2", true, true },
		{ "127.0.0.2", "127.0.0.3", true, false },
		{ "127.0.0.[2..8]", "127.0.0.8", true, true },
		{ "127.0.0.[2..8]", "127.0.0.9", true, false },
		{ "127.0.0.[2..8;11]", "127.0.0.11", true, true },
		{ "127.0.0.[2..8;11]", "127.0.0.10", true, false },
		{ "[126..127].[0;1].0.0", "127.1.0.0", true, true },
		{ "127.0.0.255", "127.0.0.255", true, true },
		{ "127.0.0.2", "::1", true, false },
		{ "", NULL, true, false },
		{ "127.0.0", NULL, false, false },
		{ "127.0.0.2.3", NULL, false, false },
		{ "127.0.0.256", NULL, false, false },
		{ "127.0.0.[8..2]", NULL, false, false },
		{ "127.0.0.[2", NULL, false, false },
		{ "127.0.0.[]", NULL, false, false },
		{ "127.0.0.[2]3", NULL, false, false },
		{ "127.0.0.[2;]", NULL, false, false },
		{ "127..0.2", NULL, false, false },
		{ "a.b.c.d", NULL, false, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net_address address;
		struct span filter = span_from(cases[i].filter);

		print_message("  %s\n", cases[i].filter);
		assert_int_equal(address_filter_is_valid(filter),
				 cases[i].valid);
		if (cases[i].address == NULL)
			continue;
		assert_true(net_address_parse(span_from(cases[i].address),
					      &address));
		assert_int_equal(address_filter_matches(filter, &address),
				 cases[i].matches);
	}
}

static void a_reply_is_its_action(void **state)
{
	static const struct {
		struct span lines;
		const char *action; /* NULL: no reply */
	} cases[] = {
		{ SPAN("action=DUNNO\n"), "DUNNO" },
		{ SPAN("action = REJECT no way \n"), "REJECT no way" },
		{ SPAN("Action=OK\nmore=1\n"), "OK" },
		{ SPAN("first=1\naction=450 4.7.1 a=b\n"), "450 4.7.1 a=b" },
		{ SPAN("action=one\naction=two\n"), "one" },
		{ SPAN("action=\n"), "" },
		{ SPAN("action=DUNNO"), "DUNNO" },
		{ SPAN(""), NULL },
		{ SPAN("dunno\n"), NULL },
		{ SPAN("reaction=DUNNO\n"), NULL },
		{ SPAN("=DUNNO\n"), NULL },
		{ SPAN("action=a\0b\n"), NULL },
		{ SPAN("action=\xff\n"), NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct span action;
		struct fault fault;
		enum rc rc =
			policy_reply_parse(cases[i].lines, &action, &fault);

		print_message("  %.*s\n", SPAN_FMT(cases[i].lines));
		assert_int_equal(rc, cases[i].action == NULL ? RC_TEMP : RC_OK);
		if (rc == RC_OK)
			assert_true(span_is(action, cases[i].action));
	}
}

static void options_are_checked_when_the_service_is_named(void **state)
{
	static const struct {
		const char *text, *fault; /* NULL: fine */
	} cases[] = {
		{ "unix:private/policy", NULL },
		{ "inet:127.0.0.1:10023", NULL },
		{ "unix:p, timeout=10s, default_action=DUNNO", NULL },
		{ "unix:p { default_action = 450 later } try_limit=1", NULL },
		{ "unix:p, max_idle=1m max_ttl=1h request_limit=5", NULL },
		{ "", "empty policy service: \"\"" },
		{ "inet:127.0.0.1", "127.0.0.1" },
		{ "unix:p, tries=1",
		  "policy service unix:p: policy service: unexpected option "
		  "\"tries\"" },
		{ "unix:p, timeout",
		  "policy service unix:p: \"timeout\" is not name = value" },
		{ "unix:p, timeout=soon", "policy service unix:p" },
		{ "unix:p, try_limit=x",
		  "policy service unix:p: \"x\" is not a number" },
		{ "unix:p, try_limit=0",
		  "policy service unix:p: timeout, try_limit and retry_delay "
		  "must not be zero" },
	};
	struct world *w = world_new("", "");

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct policy_client *client;
		struct fault fault = { 0 };
		enum rc rc = policy_client_open(w->mem, w->conf, cases[i].text,
						&client, &fault);

		print_message("  %s\n", cases[i].text);
		assert_int_equal(rc, cases[i].fault == NULL ? RC_OK : RC_CONF);
		if (cases[i].fault != NULL &&
		    strstr(fault.text, cases[i].fault) == NULL)
			fail_msg("%s", fault.text);
	}
	world_free(w);
}

/* A server for a test: answers each request on a connection until it has said
 * all it was told to say, then closes. */
struct policy_server {
	int listen_fd;
	atomic_int connections;
	const char *const *replies; /* "" closes; NULL ends the server */
	pthread_t thread;
};

static bool request_read(FILE *in)
{
	char line[1000];

	while (fgets(line, sizeof(line), in) != NULL)
		if (line[0] == '\n')
			return true;
	return false;
}

static void *server_run(void *arg)
{
	struct policy_server *server = arg;

	while (*server->replies != NULL) {
		int fd = accept(server->listen_fd, NULL, NULL);
		FILE *file = fdopen(fd, "r+");

		atomic_fetch_add(&server->connections, 1);
		while (*server->replies != NULL && request_read(file)) {
			const char *reply = *server->replies++;

			if (reply[0] == '\0')
				break;
			if (write(fd, reply, strlen(reply)) < 0)
				break;
		}
		fclose(file);
	}
	return NULL;
}

static void connections_are_used_again_and_replaced(void **state)
{
	static const char *const replies[] = { "action=one\n\n",
					       "action=two\n\n",
					       "",
					       "action=three\n\n",
					       "junk\n\n",
					       "",
					       NULL };
	static const struct {
		const char *action; /* NULL: RC_TEMP */
		int connections;
	} cases[] = {
		{ "one", 1 },	/* the first */
		{ "two", 1 },	/* the same connection */
		{ "three", 2 }, /* closed under us: a new one */
		{ NULL, 2 },	/* no reply that can be understood */
		{ NULL, 3 },	/* closed at once */
	};
	struct policy_server server = { .replies = replies };
	struct world *w = world_new("", "");
	char *path = mem_printf(w->mem, "%s/policy", w->dir);
	struct policy_client *client;
	struct fault fault = { 0 };

	assert_int_equal(socket_unix_listen(AT_FDCWD, path, SOCK_STREAM, 0600,
					    &server.listen_fd, &fault),
			 RC_OK);
	fcntl(server.listen_fd, F_SETFL, 0); /* blocking */
	assert_int_equal(
		pthread_create(&server.thread, NULL, server_run, &server), 0);
	assert_int_equal(policy_client_open(w->mem, w->conf,
					    mem_printf(w->mem, "unix:%s", path),
					    &client, &fault),
			 RC_OK);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct span action;
		enum rc rc = policy_client_ask(client, w->mem,
					       SPAN_OF("request=x\n\n"),
					       &action, &fault);

		print_message("  %zu\n", i);
		assert_int_equal(rc, cases[i].action == NULL ? RC_TEMP : RC_OK);
		if (rc == RC_OK)
			assert_true(span_is(action, cases[i].action));
		assert_int_equal(atomic_load(&server.connections),
				 cases[i].connections);
	}
	pthread_join(server.thread, NULL);
	close(server.listen_fd);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_filter_says_which_answers_count),
		cmocka_unit_test(a_reply_is_its_action),
		cmocka_unit_test(options_are_checked_when_the_service_is_named),
		cmocka_unit_test(connections_are_used_again_and_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
