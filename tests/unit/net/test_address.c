/* SPDX-License-Identifier: Apache-2.0 */
#include "net/address.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void an_address_is_read_and_written_the_same(void **state)
{
	static const struct {
		const char *why;
		struct span in;
		const char *text; /* NULL: no address */
	} cases[] = {
		{ "IPv4", SPAN("192.0.2.1"), "192.0.2.1" },
		{ "IPv6", SPAN("2001:db8::1"), "2001:db8::1" },
		{ "IPv6 in full", SPAN("2001:0DB8:0:0:0:0:0:1"),
		  "2001:db8::1" },
		{ "IPv4 in IPv6", SPAN("::ffff:192.0.2.1"), "192.0.2.1" },
		{ "with a scope", SPAN("fe80::1%lo"), "fe80::1%lo" },
		{ "with a scope in digits", SPAN("fe80::1%1"), "fe80::1%lo" },
		{ "an unknown scope", SPAN("fe80::1%nonesuch"), NULL },
		{ "an empty scope", SPAN("fe80::1%"), NULL },
		{ "IPv4 with a scope", SPAN("192.0.2.1%lo"), NULL },
		{ "a NUL behind", SPAN("192.0.2.1\0"), NULL },
		{ "a NUL inside", SPAN("192.0.\0002.1"), NULL },
		{ "three numbers", SPAN("192.0.2"), NULL },
		{ "a number too large", SPAN("192.0.2.256"), NULL },
		{ "octal", SPAN("192.0.2.010"), NULL },
		{ "brackets", SPAN("[192.0.2.1]"), NULL },
		{ "a port", SPAN("192.0.2.1:25"), NULL },
		{ "blanks", SPAN(" 192.0.2.1"), NULL },
		{ "nothing", SPAN(""), NULL },
		{ "far too long",
		  SPAN("1111111111111111111111111111111111111111111111111111"
		       "1111111111111111111111111111"),
		  NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[NET_ADDRESS_TEXT_MAX];
		struct net_address address;

		print_message("  %s\n", cases[i].why);
		assert_int_equal(net_address_parse(cases[i].in, &address),
				 cases[i].text != NULL);
		if (cases[i].text != NULL)
			assert_string_equal(net_address_text(&address, text),
					    cases[i].text);
	}
}

static void a_literal_may_have_brackets_and_a_tag(void **state)
{
	static const struct {
		struct span in;
		const char *text;
	} cases[] = {
		{ SPAN("[192.0.2.1]"), "192.0.2.1" },
		{ SPAN("[IPv6:2001:db8::1]"), "2001:db8::1" },
		{ SPAN("[ipv6:2001:db8::1]"), "2001:db8::1" },
		{ SPAN("[2001:db8::1]"), "2001:db8::1" },
		{ SPAN("2001:db8::1"), "2001:db8::1" },
		{ SPAN("[IPv6:192.0.2.1]"), NULL },
		{ SPAN("[192.0.2.1"), NULL },
		{ SPAN("[]"), NULL },
		{ SPAN("["), NULL },
		{ SPAN("]"), NULL },
		{ SPAN("[IPv6:]"), NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[NET_ADDRESS_TEXT_MAX];
		struct net_address address;

		print_message("  %.*s\n", SPAN_FMT(cases[i].in));
		assert_int_equal(
			net_address_parse_literal(cases[i].in, &address),
			cases[i].text != NULL);
		if (cases[i].text != NULL)
			assert_string_equal(net_address_text(&address, text),
					    cases[i].text);
	}
}

static void a_network_has_what_it_has(void **state)
{
	static const struct {
		const char *network, *text; /* NULL: refused */
		const char *in, *out;
	} cases[] = {
		{ "192.0.2.0/24", "192.0.2.0/24", "192.0.2.255", "192.0.3.0" },
		{ "192.0.2.128/25", "192.0.2.128/25", "192.0.2.128",
		  "192.0.2.127" },
		{ "192.0.2.1", "192.0.2.1/32", "192.0.2.1", "192.0.2.2" },
		{ "127.0.0.0", "127.0.0.0/32", "127.0.0.0", "127.0.0.1" },
		{ "0.0.0.0/0", "0.0.0.0/0", "255.255.255.255", "::1" },
		{ "[::1]", "[::1]/128", "::1", "::2" },
		{ "[::1]/128", "[::1]/128", "::1", "127.0.0.1" },
		{ "2001:db8::/33", "[2001:db8::]/33", "2001:db8:7fff::1",
		  "2001:db8:8000::1" },
		{ "[2001:db8::]/32", "[2001:db8::]/32",
		  "2001:db8:ffff::", "2001:db9::" },
		{ "192.0.2.1/24", NULL, NULL, NULL },
		{ "[2001:db8::1]/64", NULL, NULL, NULL },
		{ "192.0.2.0/33", NULL, NULL, NULL },
		{ "192.0.2.0/", NULL, NULL, NULL },
		{ "192.0.2.0/-1", NULL, NULL, NULL },
		{ "192.0.2.0/24/24", NULL, NULL, NULL },
		{ "[::/0]", NULL, NULL, NULL },
		{ "", NULL, NULL, NULL },
		{ "localhost", NULL, NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[NET_NETWORK_TEXT_MAX];
		struct net_network network;
		struct net_address address;
		struct fault fault = { 0 };
		enum rc rc = net_network_parse(span_from(cases[i].network),
					       &network, &fault);

		print_message("  %s: %s\n", cases[i].network, fault.text);
		assert_int_equal(rc, cases[i].text != NULL ? RC_OK : RC_CONF);
		if (rc != RC_OK)
			continue;
		assert_string_equal(net_network_text(&network, text),
				    cases[i].text);
		assert_true(
			net_address_parse(span_from(cases[i].in), &address));
		assert_true(net_network_has(&network, &address));
		assert_true(
			net_address_parse(span_from(cases[i].out), &address));
		assert_false(net_network_has(&network, &address));
	}
}

static void addresses_have_their_forms(void **state)
{
	static const struct {
		const char *in, *endpoint, *reverse;
		bool loopback, any;
	} cases[] = {
		{ "192.0.2.1", "192.0.2.1:25", "1.2.0.192.in-addr.arpa", false,
		  false },
		{ "127.8.0.1", "127.8.0.1:25", "1.0.8.127.in-addr.arpa", true,
		  false },
		{ "0.0.0.0", "0.0.0.0:25", "0.0.0.0.in-addr.arpa", false,
		  true },
		{ "::1", "[::1]:25",
		  "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
		  "0.0.0.ip6.arpa",
		  true, false },
		{ "2001:db8::ab", "[2001:db8::ab]:25",
		  "b.a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1."
		  "0.0.2.ip6.arpa",
		  false, false },
		{ "::", "[::]:25",
		  "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
		  "0.0.0.ip6.arpa",
		  false, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char endpoint[NET_ENDPOINT_TEXT_MAX];
		char reverse[NET_REVERSE_TEXT_MAX];
		struct net_address address, again;

		assert_true(
			net_address_parse(span_from(cases[i].in), &address));
		again = address;
		net_address_set_port(&address, 25);
		assert_string_equal(net_endpoint_text(&address, endpoint),
				    cases[i].endpoint);
		assert_string_equal(net_address_reverse(&address, reverse),
				    cases[i].reverse);
		assert_int_equal(net_address_is_loopback(&address),
				 cases[i].loopback);
		assert_int_equal(net_address_is_any(&address), cases[i].any);
		assert_true(net_address_eq(&address, &again));
	}
}

static void loopback_is_an_interface(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct net_interface *list;
	bool found = false;
	size_t count;

	assert_int_equal(net_interfaces(tmp, &list, &count, NULL), RC_OK);
	for (size_t i = 0; i < count; i++) {
		char text[NET_NETWORK_TEXT_MAX];

		if (!net_address_is_loopback(&list[i].address))
			continue;
		found = true;
		if (list[i].network.family == AF_INET)
			assert_string_equal(
				net_network_text(&list[i].network, text),
				"127.0.0.0/8");
	}
	assert_true(found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_is_read_and_written_the_same),
		cmocka_unit_test(a_literal_may_have_brackets_and_a_tag),
		cmocka_unit_test(a_network_has_what_it_has),
		cmocka_unit_test(addresses_have_their_forms),
		cmocka_unit_test(loopback_is_an_interface),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
