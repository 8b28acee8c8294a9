/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "deliver/smtp/nexthop.h"
#include "deliver/smtp/route.h"

enum { HOSTS = 8 };

static void next_hops_are_read_as_they_are_written(void **state)
{
	static const struct {
		const char *text;
		bool lmtp;
		const char *host; /* NULL: refused */
		int port;
		bool literal;
	} cases[] = {
	    {"example.test", false, "example.test", 25, false},
	    {"example.test:587", false, "example.test", 587, false},
	    {"example.test:submission", false, "example.test", 587, false},
	    {"[mx.example.test]", false, "mx.example.test", 25, true},
	    {"[mx.example.test]:2525", false, "mx.example.test", 2525, true},
	    {"[192.0.2.1]:26", false, "192.0.2.1", 26, true},
	    {"[2001:db8::1]:26", false, "2001:db8::1", 26, true},
	    {"[IPv6:2001:db8::1]", false, "2001:db8::1", 25, true},
	    {"2001:db8::1", false, "2001:db8::1", 25, false},
	    {"inet:[127.0.0.1]:24", true, "127.0.0.1", 24, true},
	    {"unix:private/lmtp", true, "private/lmtp", 0, false},
	    {"[x", false, NULL, 0, false},
	    {"[]", false, NULL, 0, false},
	    {"[x]y", false, NULL, 0, false},
	    {"", false, NULL, 0, false},
	    {":25", false, NULL, 0, false},
	    {"x:no-such-service", false, NULL, 0, false},
	    {"x:0", false, NULL, 0, false},
	    {"x:65536", false, NULL, 0, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct nexthop hop;
		struct fault fault;
		enum rc rc = nexthop_parse(tmp, span_from(cases[i].text),
					   cases[i].lmtp, "25", &hop, &fault);

		print_message("  %s\n", cases[i].text);
		assert_int_equal(rc == RC_OK, cases[i].host != NULL);
		if (rc != RC_OK)
			continue;
		assert_string_equal(hop.host, cases[i].host);
		assert_int_equal(hop.port, cases[i].port);
		assert_int_equal(hop.literal_host, cases[i].literal);
	}
}

/* "20a4": preference 20, name a, IPv4. */
static struct smtp_route route_of(TALLOC_CTX *mem, const char *text)
{
	struct smtp_route route = {
	    .hosts = mem_array(mem, struct smtp_host, HOSTS),
	};
	struct span rest = span_from(text), word;

	while (span_token(&rest, " ", &word)) {
		struct smtp_host *host = &route.hosts[route.count++];

		host->preference =
		    (uint16_t)((word.ptr[0] - '0') * 10 + word.ptr[1] - '0');
		host->name =
		    mem_span_dup(mem, span_take(span_skip(word, 2), 1));
		host->address.sa.sa_family =
		    word.ptr[3] == '6' ? AF_INET6 : AF_INET;
	}
	return route;
}

static const char *names_of(TALLOC_CTX *mem, const struct smtp_route *route)
{
	char *names = mem_array(mem, char, HOSTS + 1);

	for (size_t i = 0; i < route->count; i++)
		names[i] = route->hosts[i].name[0];
	return names;
}

static void hosts_come_in_the_order_of_their_preference(void **state)
{
	static const struct {
		const char *why, *hosts, *prefer;
		int limit;
		bool balance;
		const char *want;
	} cases[] = {
	    {"by preference", "30a4 10b4 20c4", "any", 5, true, "bca"},
	    {"at most so many", "10a4 20b4 30c4", "any", 2, true, "ab"},
	    {"no limit", "10a4 20b4 30c4", "any", 0, true, "abc"},
	    {"IPv6 first among equals", "10a4 10b6 20c4 20d6", "ipv6", 9, true,
	     "badc"},
	    {"IPv4 first among equals", "10a6 10b4 20c6", "ipv4", 9, true,
	     "bac"},
	    {"one of the other family stays", "10a6 10b6 10c6 20d4", "any", 3,
	     true, "abd"},
	    {"unless told otherwise", "10a6 10b6 10c6 20d4", "any", 3, false,
	     "abc"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		const struct smtp_settings settings = {
		    .address_preference = cases[i].prefer,
		    .mx_address_limit = cases[i].limit,
		    .balance_inet_protocols = cases[i].balance,
		};
		struct smtp_route route = route_of(tmp, cases[i].hosts);
		unsigned seed = 1;

		print_message("  %s\n", cases[i].why);
		smtp_route_order(&settings, &route, &seed);
		assert_string_equal(names_of(tmp, &route), cases[i].want);
	}
}

static void equal_hosts_take_turns(void **state)
{
	const struct smtp_settings settings = {.address_preference = "any",
					       .randomize_addresses = true};
	int first[3] = {0};
	unsigned seed = 7;

	for (int i = 0; i < 300; i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct smtp_route route = route_of(tmp, "10a4 10b4 10c4 20d4");

		smtp_route_order(&settings, &route, &seed);
		assert_int_equal(route.hosts[3].name[0], 'd');
		first[route.hosts[0].name[0] - 'a']++;
	}
	for (int i = 0; i < 3; i++)
		assert_in_range(first[i], 50, 150);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(next_hops_are_read_as_they_are_written),
	    cmocka_unit_test(hosts_come_in_the_order_of_their_preference),
	    cmocka_unit_test(equal_hosts_take_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
