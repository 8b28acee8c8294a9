/* SPDX-License-Identifier: Apache-2.0 */
#include "../cmocka_all.h"

#include "arrive/smtpd/haproxy.h"

#define SIGN "\r\n\r\n\0\r\nQUIT\n"
#define V4   "\xc0\x00\x02\x07\xc0\x00\x02\x08\x04\xd2\x00\x19"
#define V6                                           \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07" \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x08\x04\xd2\x00\x19"

static void what_a_header_says_is_understood(void **state)
{
	static const struct {
		struct span bytes;
		const char *client, *server; /* NULL: local */
	} cases[] = {
		{ SPAN("PROXY TCP4 192.0.2.5 192.0.2.6 1111 25\r\n"),
		  "192.0.2.5:1111", "192.0.2.6:25" },
		{ SPAN("PROXY TCP6 2001:db8::1 2001:db8::2 1111 25\r\n"),
		  "[2001:db8::1]:1111", "[2001:db8::2]:25" },
		{ SPAN("PROXY TCP4 192.0.2.5 192.0.2.6 1111 25 more\n"),
		  "192.0.2.5:1111", "192.0.2.6:25" },
		{ SPAN(SIGN "\x21\x11\0\x0c" V4), "192.0.2.7:1234",
		  "192.0.2.8:25" },
		{ SPAN(SIGN "\x21\x11\0\x10" V4 "\x01\x00\x01x"),
		  "192.0.2.7:1234", "192.0.2.8:25" },
		{ SPAN(SIGN "\x21\x21\0\x24" V6), "[2001:db8::7]:1234",
		  "[2001:db8::8]:25" },
		{ SPAN(SIGN "\x20\0\0\0"), NULL, NULL },
		{ SPAN(SIGN "\x20\x11\0\x0cxxxxxxxxxxxx"), NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char all[600], text[NET_ENDPOINT_TEXT_MAX];
		struct fault fault = { 0 };
		struct haproxy haproxy;
		size_t size = 0, len = cases[i].bytes.len;

		/* what comes behind it is not looked at */
		memcpy(all, cases[i].bytes.ptr, len);
		memcpy(all + len, "EHLO x\r\n", 8);
		assert_int_equal(haproxy_parse((struct span){ all, len + 8 },
					       &haproxy, &size, &fault),
				 RC_OK);
		assert_int_equal(size, len);
		assert_int_equal(haproxy.is_local, cases[i].client == NULL);
		if (haproxy.is_local)
			continue;
		assert_string_equal(net_endpoint_text(&haproxy.client, text),
				    cases[i].client);
		assert_string_equal(net_endpoint_text(&haproxy.server, text),
				    cases[i].server);
		for (size_t part = 0; part < len; part++)
			assert_int_equal(
				haproxy_parse(span_take(cases[i].bytes, part),
					      &haproxy, &size, &fault),
				RC_NONE);
	}
}

static void what_is_no_header_is_refused_in_the_references_words(void **state)
{
	static const struct {
		struct span bytes;
		const char *why;
	} cases[] = {
		{ SPAN("PROXY UNKNOWN\r\n"), "bad or missing protocol type" },
		{ SPAN("PROXY\r\n"), "bad or missing protocol type" },
		{ SPAN("PROXY TCP4 192.0.2.5\r\n"),
		  "bad or missing server address" },
		{ SPAN("PROXY TCP4 192.0.2.500 192.0.2.6 1 25\r\n"),
		  "bad or missing client address" },
		{ SPAN("PROXY TCP4 2001:db8::1 2001:db8::2 1 25\r\n"),
		  "bad or missing client address" },
		{ SPAN("PROXY TCP4 192.0.2.5 192.0.2.6 99999 25\r\n"),
		  "bad or missing client port" },
		{ SPAN("PROXY TCP4 192.0.2.5 192.0.2.6 1\r\n"),
		  "bad or missing server port" },
		{ SPAN("EHLO x\r\n"), "unrecognized protocol header" },
		{ SPAN(SIGN "\x21\x12\0\x0cxxxxxxxxxxxx"),
		  "unsupported network protocol" },
		{ SPAN(SIGN "\x21\0\0\0"), "unsupported network protocol" },
		{ SPAN(SIGN "\x11\x11\0\x0cxxxxxxxxxxxx"),
		  "unrecognized protocol version" },
		{ SPAN(SIGN "\x22\x11\0\x0cxxxxxxxxxxxx"),
		  "bad command in proxy header" },
		{ SPAN(SIGN "\x21\x11\0\x04xxxx"), "short address field" },
		{ SPAN(SIGN "\x21\x11\xff\xff"),
		  "too long version 2 protocol header" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fault fault = { 0 };
		struct haproxy haproxy;
		size_t size;

		assert_int_equal(
			haproxy_parse(cases[i].bytes, &haproxy, &size, &fault),
			RC_PERM);
		assert_string_equal(fault.text, cases[i].why);
	}
}

static void a_line_without_an_end_is_not_waited_for_forever(void **state)
{
	char bytes[HAPROXY_MAX_BYTES];
	struct fault fault = { 0 };
	struct haproxy haproxy;
	size_t size;

	memset(bytes, 'P', sizeof(bytes));
	assert_int_equal(
		haproxy_parse((struct span){ bytes, sizeof(bytes) - 1 },
			      &haproxy, &size, &fault),
		RC_NONE);
	assert_int_equal(haproxy_parse((struct span){ bytes, sizeof(bytes) },
				       &haproxy, &size, &fault),
			 RC_PERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_header_says_is_understood),
		cmocka_unit_test(
			what_is_no_header_is_refused_in_the_references_words),
		cmocka_unit_test(
			a_line_without_an_end_is_not_waited_for_forever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
