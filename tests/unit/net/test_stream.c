/* SPDX-License-Identifier: Apache-2.0 */
#include "net/stream.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "net/connect.h"
#include "net/listen.h"

static struct net_stream *stream_on(TALLOC_CTX *mem, int *ret_far)
{
	struct net_stream *stream;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	stream = net_stream_new(mem, fds[0]);
	net_stream_set_timeout(stream, 5000);
	*ret_far = fds[1];
	return stream;
}

static void lines_come_out_whole_whatever_their_ends(void **state)
{
	static const struct {
		const char *why, *in;
		size_t max;
		enum rc rc[3];
		const char *lines[3];
	} cases[] = {
		{ "both ends",
		  "a\r\nbc\nd\r\n",
		  10,
		  { RC_OK, RC_OK, RC_OK },
		  { "a", "bc", "d" } },
		{ "empty lines",
		  "\r\n\n",
		  10,
		  { RC_OK, RC_OK, RC_NONE },
		  { "", "", NULL } },
		{ "a CR inside stays",
		  "a\rb\r\r\n",
		  10,
		  { RC_OK, RC_NONE },
		  { "a\rb\r" } },
		{ "as long as allowed",
		  "12345\r\n",
		  5,
		  { RC_OK, RC_NONE },
		  { "12345" } },
		{ "one byte too long, and the next",
		  "123456\r\nok\r\n",
		  5,
		  { RC_PERM, RC_OK, RC_NONE },
		  { NULL, "ok" } },
		{ "half a line at the end",
		  "a\r\nb",
		  10,
		  { RC_OK, RC_TEMP, RC_TEMP },
		  { "a" } },
		{ "nothing", "", 10, { RC_NONE, RC_TEMP, RC_TEMP }, { NULL } },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		size_t len = strlen(cases[i].in);
		struct net_stream *stream;
		int far;

		print_message("  %s\n", cases[i].why);
		stream = stream_on(tmp, &far);
		assert_int_equal(write(far, cases[i].in, len), len);
		close(far);
		for (int n = 0; n < 3; n++) {
			struct span line;

			if (n > 0 && cases[i].rc[n] == RC_OK &&
			    cases[i].lines[n] == NULL)
				break;
			assert_int_equal(net_stream_read_line(stream,
							      cases[i].max,
							      &line, NULL),
					 cases[i].rc[n]);
			if (cases[i].rc[n] == RC_OK)
				assert_true(span_is(line, cases[i].lines[n]));
			if (cases[i].rc[n] == RC_NONE)
				break;
		}
	}
}

static void a_line_may_come_byte_by_byte_but_not_forever(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct net_stream *stream;
	struct span line;
	struct fault fault;
	uint64_t begun = clock_mono_ms();
	int far;

	stream = stream_on(tmp, &far);
	net_stream_set_timeout(stream, 50);
	assert_int_equal(write(far, "abc", 3), 3);
	assert_int_equal(net_stream_read_line(stream, 10, &line, &fault),
			 RC_TEMP);
	assert_string_equal(fault.text, "timed out");
	assert_int_equal(net_stream_trouble(stream), NET_TIMED_OUT);
	assert_true(clock_mono_ms() - begun >= 40);
	/* and that is how it stays */
	assert_int_equal(write(far, "d\r\n", 3), 3);
	assert_int_equal(net_stream_read_line(stream, 10, &line, &fault),
			 RC_TEMP);
	close(far);
}

static void a_huge_line_is_skipped_without_being_kept(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *big = mem_array(tmp, char, 64 * 1024);
	struct net_stream *stream;
	struct span line;
	int far;

	memset(big, 'x', 64 * 1024);
	stream = stream_on(tmp, &far);
	assert_int_equal(write(far, big, 64 * 1024), 64 * 1024);
	assert_int_equal(write(far, "\nok\n", 4), 4);
	assert_int_equal(net_stream_read_line(stream, 100, &line, NULL),
			 RC_PERM);
	assert_true(talloc_total_size(stream) < 40 * 1024);
	assert_int_equal(net_stream_read_line(stream, 100, &line, NULL), RC_OK);
	assert_true(span_is(line, "ok"));
	close(far);
}

static void *reader_main(void *arg)
{
	static char into[65536];
	int fd = *(int *)arg;
	size_t total = 0;
	ssize_t got;

	while ((got = read(fd, into, sizeof(into))) > 0)
		total += (size_t)got;
	return (void *)total;
}

static void all_that_is_written_arrives_in_order(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	enum { BIG = 1024 * 1024 };
	char *big = mem_array(tmp, char, BIG);
	struct iovec parts[3] = { { big, BIG }, { NULL, 0 }, { big, 1000 } };
	struct net_stream *stream;
	pthread_t thread;
	void *total;
	int far;

	stream = stream_on(tmp, &far);
	assert_int_equal(pthread_create(&thread, NULL, reader_main, &far), 0);
	assert_int_equal(
		net_stream_writef(stream, NULL, "%s %d\r\n", "RCPT", 1), RC_OK);
	assert_int_equal(net_stream_writev(stream, parts, 3, NULL), RC_OK);
	assert_int_equal(
		net_stream_write(stream, (struct span){ big, BIG }, NULL),
		RC_OK);
	assert_int_equal(net_stream_write(stream, SPAN_OF("tail"), NULL),
			 RC_OK);
	assert_int_equal(net_stream_flush(stream, NULL), RC_OK);
	shutdown(net_stream_fd(stream), SHUT_WR);
	pthread_join(thread, &total);
	assert_int_equal((size_t)total, 8 + BIG + 1000 + BIG + 4);
	close(far);
}

static void a_read_sends_what_was_written_first(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct net_stream *stream;
	struct span line;
	char got[8];
	int far;

	stream = stream_on(tmp, &far);
	assert_int_equal(net_stream_write(stream, SPAN_OF("NOOP\r\n"), NULL),
			 RC_OK);
	assert_int_equal(write(far, "250 ok\r\nmore", 12), 12);
	assert_int_equal(recv(far, got, sizeof(got), MSG_DONTWAIT), -1);
	assert_int_equal(net_stream_read_line(stream, 100, &line, NULL), RC_OK);
	assert_int_equal(recv(far, got, sizeof(got), MSG_DONTWAIT), 6);
	assert_int_equal(net_stream_buffered(stream), 4);
	assert_int_equal(net_stream_read(stream, got, 4, NULL), RC_OK);
	assert_memory_equal(got, "more", 4);
	close(far);
}

static void an_idle_connection_that_says_something_is_stale(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct net_stream *stream;
	int far;

	stream = stream_on(tmp, &far);
	assert_false(net_stream_is_stale(stream));
	assert_int_equal(write(far, "421\r\n", 5), 5);
	assert_true(net_stream_is_stale(stream));
	stream = stream_on(tmp, &far);
	close(far);
	assert_true(net_stream_is_stale(stream));
	assert_int_equal(net_stream_write(stream, SPAN_OF("x"), NULL), RC_OK);
	assert_int_equal(net_stream_flush(stream, NULL), RC_TEMP);
	assert_int_equal(net_stream_trouble(stream), NET_LOST);
}

static const struct net_protocols both = { true, true };

static void a_service_listens_where_it_says(void **state)
{
	static const struct {
		const char *service, *interfaces;
		const char *want[3]; /* endpoints; none: refused */
	} cases[] = {
		{ "25", "127.0.0.1", { "127.0.0.1:25" } },
		{ "smtp", "127.0.0.1, [::1]", { "127.0.0.1:25", "[::1]:25" } },
		{ "submission", "all", { "0.0.0.0:587", "[::]:587" } },
		{ "127.0.0.1:10025", "all", { "127.0.0.1:10025" } },
		{ "[::1]:smtps", "all", { "[::1]:465" } },
		{ "[::]:25", "127.0.0.1", { "[::]:25" } },
		{ ":26", "127.0.0.1", { "127.0.0.1:26" } },
		{ "25", "127.0.0.1 127.0.0.1", { "127.0.0.1:25" } },
		{ "nonesuch", "all", { NULL } },
		{ "0", "all", { NULL } },
		{ "65536", "all", { NULL } },
		{ "::1:25", "all", { NULL } },
		{ "[::1:25", "all", { NULL } },
		{ "25", "", { NULL } },
		{ "25", "no.such.host.invalid", { NULL } },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct net_address *list;
		struct fault fault = { 0 };
		size_t count;
		enum rc rc = net_listen_resolve(tmp, cases[i].service,
						cases[i].interfaces, both,
						&list, &count, &fault);

		print_message("  %s on %s: %s\n", cases[i].service,
			      cases[i].interfaces, fault.text);
		if (cases[i].want[0] == NULL) {
			assert_int_equal(rc, RC_CONF);
			continue;
		}
		assert_int_equal(rc, RC_OK);
		for (size_t n = 0; n < count; n++) {
			char text[NET_ENDPOINT_TEXT_MAX];

			assert_non_null(cases[i].want[n]);
			assert_string_equal(net_endpoint_text(&list[n], text),
					    cases[i].want[n]);
		}
		assert_null(cases[i].want[count]);
	}
}

static void loopback_only_is_no_other_address(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct net_address *list;
	size_t count;

	assert_int_equal(net_listen_resolve(tmp, "25", "loopback-only", both,
					    &list, &count, NULL),
			 RC_OK);
	assert_true(count >= 1);
	for (size_t i = 0; i < count; i++)
		assert_true(net_address_is_loopback(&list[i]));
}

static void a_port_in_use_is_one_clear_line(void **state)
{
	char want[128];
	struct net_address address;
	struct fault fault;
	int fd, other;

	assert_true(net_address_parse(SPAN_OF("127.0.0.1"), &address));
	assert_int_equal(net_listen_open(&address, 10, &fd, NULL), RC_OK);
	assert_true(net_address_local(fd, &address));
	assert_int_equal(net_listen_open(&address, 10, &other, &fault),
			 RC_CONF);
	snprintf(want, sizeof(want),
		 "bind 127.0.0.1 port %u: Address already in use",
		 net_address_port(&address));
	assert_string_equal(fault.text, want);
	close(fd);
}

static void a_connection_is_made_refused_or_late(void **state)
{
	struct net_address address, from;
	struct fault fault;
	int fd, client;

	assert_true(net_address_parse(SPAN_OF("127.0.0.1"), &address));
	assert_true(net_address_parse(SPAN_OF("127.0.0.7"), &from));
	/* A queue of one, so that it can be filled. */
	assert_int_equal(net_listen_open(&address, 0, &fd, NULL), RC_OK);
	assert_true(net_address_local(fd, &address));
	assert_int_equal(net_connect(&address, &from, 1000, &client, &fault),
			 RC_OK);
	assert_true(net_address_local(client, &from));
	assert_int_equal(ntohl(from.in4.sin_addr.s_addr) & 255, 7);
	for (int i = 0; i < 10; i++) {
		uint64_t begun = clock_mono_ms();
		int more;

		if (net_connect(&address, NULL, 50, &more, &fault) == RC_OK)
			continue; /* they stay in the queue */
		assert_string_equal(fault.text, "Connection timed out");
		assert_true(clock_mono_ms() - begun >= 40);
		break;
	}
	close(fd);
	close(client);
	assert_int_equal(net_connect(&address, NULL, 1000, &client, &fault),
			 RC_TEMP);
	assert_string_equal(fault.text, "Connection refused");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_come_out_whole_whatever_their_ends),
		cmocka_unit_test(a_line_may_come_byte_by_byte_but_not_forever),
		cmocka_unit_test(a_huge_line_is_skipped_without_being_kept),
		cmocka_unit_test(all_that_is_written_arrives_in_order),
		cmocka_unit_test(a_read_sends_what_was_written_first),
		cmocka_unit_test(
			an_idle_connection_that_says_something_is_stale),
		cmocka_unit_test(a_service_listens_where_it_says),
		cmocka_unit_test(loopback_only_is_no_other_address),
		cmocka_unit_test(a_port_in_use_is_one_clear_line),
		cmocka_unit_test(a_connection_is_made_refused_or_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
