/* SPDX-License-Identifier: Apache-2.0 */
/* Keys become values in filters and DNs, and nothing more. */
#include "map_world.h"

#include "map/db_client.h"
#include "map/ldap_quote.h"

static void keys_are_quoted_for_filters_and_names(void **state)
{
	static const struct {
		struct span raw;
		const char *filter, *dn;
	} cases[] = {
		{ SPAN("ann@example.test"), "ann@example.test",
		  "ann@example.test" },
		{ SPAN("*"), "\\2a", "*" },
		{ SPAN("a)(uid=*"), "a\\29\\28uid=\\2a", "a)(uid\\=*" },
		{ SPAN("a\\b"), "a\\5cb", "a\\\\b" },
		{ SPAN("a\0b"), "a\\00b", "a\\00b" },
		{ SPAN("x,dc=y"), "x,dc=y", "x\\,dc\\=y" },
		{ SPAN("a+b;c<d>e\"f#"), "a+b;c<d>e\"f#",
		  "a\\+b\\;c\\<d\\>e\\\"f\\#" },
		{ SPAN(" a b "), " a b ", "\\20a b\\20" },
		{ SPAN(" "), " ", "\\20" },
		{ SPAN("\xc3\xa9"), "\xc3\xa9", "\xc3\xa9" },
		{ SPAN(""), "", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *mem = talloc_new(NULL);
		struct buf filter, dn;

		print_message("  %.*s\n", SPAN_FMT(cases[i].raw));
		buf_init(&filter, mem, 1000);
		buf_init(&dn, mem, 1000);
		assert_true(ldap_quote_filter(NULL, cases[i].raw, &filter));
		assert_true(ldap_quote_dn(NULL, cases[i].raw, &dn));
		assert_string_equal(buf_text(&filter), cases[i].filter);
		assert_string_equal(buf_text(&dn), cases[i].dn);
	}
}

static void servers_are_named_in_many_ways(void **state)
{
	static const struct {
		const char *text, *path, *host, *port;
	} cases[] = {
		{ "db.test", NULL, "db.test", "" },
		{ "db.test:99", NULL, "db.test", "99" },
		{ "inet:db.test:99", NULL, "db.test", "99" },
		{ "inet:db.test", NULL, "db.test", "" },
		{ "127.0.0.1:5432", NULL, "127.0.0.1", "5432" },
		{ "[::1]:5432", NULL, "::1", "5432" },
		{ "[::1]", NULL, "::1", "" },
		{ "::1", NULL, "::1", "" },
		{ "inet:[2001:db8::1]:1", NULL, "2001:db8::1", "1" },
		{ "unix:/run/x", "/run/x", "", "" },
		{ "/run/x:1", "/run/x:1", "", "" },
		{ ":5432", NULL, "", "5432" },
		{ "", NULL, "", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *mem = talloc_new(NULL);
		struct db_address address;

		print_message("  %s\n", cases[i].text);
		db_address_parse(mem, cases[i].text, &address);
		assert_string_equal(address.path ? address.path : "",
				    cases[i].path ? cases[i].path : "");
		assert_string_equal(address.host, cases[i].host);
		assert_string_equal(address.port, cases[i].port);
	}
}

static void messages_of_libraries_are_one_line(void **state)
{
	SCRATCH TALLOC_CTX *mem = talloc_new(NULL);

	assert_string_equal(db_message(mem, "a  failed:\n\tis it up?\n"),
			    "a failed: is it up?");
	assert_string_equal(db_message(mem, " \n"), "no reason given");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_quoted_for_filters_and_names),
		cmocka_unit_test(servers_are_named_in_many_ways),
		cmocka_unit_test(messages_of_libraries_are_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
