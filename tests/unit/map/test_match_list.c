/* SPDX-License-Identifier: Apache-2.0 */
#include "map_world.h"

#include "map/match_list.h"

static struct match_list *list_open(struct world *w, const char *parameter,
				    const char *text)
{
	struct match_list *list;
	struct fault fault;

	if (match_list_open(w, w->conf, parameter, text, &list, &fault) !=
	    RC_OK)
		fail_msg("%s: %s", text, fault.text);
	return list;
}

static void clients_match_by_address_and_name(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *why, *list, *name, *address;
		enum rc want;
	} cases[] = {
		{ "the seed, IPv6", "127.0.0.0, [::1]", "localhost", "::1",
		  RC_OK },
		{ "the seed: one address is no network", "127.0.0.0, [::1]",
		  "localhost", "127.0.0.1", RC_NONE },
		{ "network", "127.0.0.0/8", "", "127.4.5.6", RC_OK },
		{ "outside", "127.0.0.0/8", "", "128.0.0.1", RC_NONE },
		{ "odd mask", "10.1.2.128/25", "", "10.1.2.200", RC_OK },
		{ "odd mask, outside", "10.1.2.128/25", "", "10.1.2.127",
		  RC_NONE },
		{ "everything", "0.0.0.0/0", "", "1.2.3.4", RC_OK },
		{ "IPv4 only", "0.0.0.0/0", "", "2001:db8::1", RC_NONE },
		{ "brackets around the address", "[2001:db8::]/32", "",
		  "2001:db8::5", RC_OK },
		{ "brackets around it all", "[2001:db8::/32]", "",
		  "2001:db8::5", RC_OK },
		{ "no brackets", "2001:db8::/32", "", "2001:DB8:0::5", RC_OK },
		{ "another network", "[2001:db8::]/32", "", "2001:db9::5",
		  RC_NONE },
		{ "IPv4 in IPv6", "10.0.0.0/8", "", "::ffff:10.1.1.1", RC_OK },
		{ "not this one", "!10.0.0.1, 10.0.0.0/8", "", "10.0.0.1",
		  RC_NONE },
		{ "but its neighbour", "!10.0.0.1 10.0.0.0/8", "", "10.0.0.2",
		  RC_OK },
		{ "name", "mail.example.test", "Mail.EXAMPLE.test", "1.2.3.4",
		  RC_OK },
		{ "name below, mynetworks is a parent list", "example.test",
		  "mail.example.test", "1.2.3.4", RC_OK },
		{ "table, by address", "inline:{1.2.3.4=x}", "unknown",
		  "1.2.3.4", RC_OK },
		{ "table, by parent", "inline:{example.test=x}",
		  "a.b.example.test", "1.2.3.4", RC_OK },
		{ "cidr table", "cidr:{{10.0.0.0/8 x}}", "", "10.9.9.9",
		  RC_OK },
		{ "a table that fails is try later", "10.0.0.1 fail:x", "",
		  "10.0.0.2", RC_TEMP },
		{ "what is before it counts", "10.0.0.1 fail:x", "", "10.0.0.1",
		  RC_OK },
		{ "empty", "", "x.test", "10.0.0.1", RC_NONE },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct match_list *list =
			list_open(w, "mynetworks", cases[i].list);
		struct fault fault;

		print_message("  %s\n", cases[i].why);
		assert_int_equal(
			match_list_client(list, span_from(cases[i].name),
					  span_from(cases[i].address), &fault),
			cases[i].want);
	}
}

static void domains_match_as_their_list_has_it(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *why, *parameter, *list, *domain;
		enum rc want;
	} cases[] = {
		{ "whole name", "mydestination", "a.test, b.test", "B.Test",
		  RC_OK },
		{ "nothing below", "mydestination", "b.test", "x.b.test",
		  RC_NONE },
		{ "not even with a dot", "mydestination", ".b.test", "x.b.test",
		  RC_NONE },
		{ "below, relay_domains", "relay_domains", "b.test", "x.b.test",
		  RC_OK },
		{ "a name that only ends so", "relay_domains", "b.test",
		  "xb.test", RC_NONE },
		{ "the dot is for other lists", "relay_domains", ".b.test",
		  "x.b.test", RC_NONE },
		{ "like this one", "smtp_tls_x", ".b.test", "x.y.b.test",
		  RC_OK },
		{ "where a name is only itself", "smtp_tls_x", "b.test",
		  "x.b.test", RC_NONE },
		{ "and with a dot not itself", "smtp_tls_x", ".b.test",
		  "b.test", RC_NONE },
		{ "table", "relay_domains", "inline:{b.test=x}", "x.b.test",
		  RC_OK },
		{ "table with dots", "smtp_tls_x", "inline:{.b.test=x}",
		  "x.b.test", RC_OK },
		{ "pattern table: the whole name only", "relay_domains",
		  "regexp:{{/^b.test$/ x}}", "x.b.test", RC_NONE },
		{ "address literal", "mydestination", "[1.2.3.4]", "[1.2.3.4]",
		  RC_OK },
		{ "negated", "relay_domains", "!x.b.test, b.test", "x.b.test",
		  RC_NONE },
		{ "twice negated", "relay_domains", "!!b.test", "b.test",
		  RC_OK },
		{ "static matches all", "mydestination", "static:all", "x.test",
		  RC_OK },
		{ "letters above 127", "mydestination",
		  "B\xc3\x9c"
		  "cher.test",
		  "b\xc3\xbc"
		  "cher.test",
		  RC_OK },
		{ "names before a table that fails", "mydestination",
		  "fail:x a.test", "a.test", RC_OK },
		{ "nothing before it", "mydestination", "fail:x a.test",
		  "b.test", RC_TEMP },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct match_list *list =
			list_open(w, cases[i].parameter, cases[i].list);
		struct fault fault;

		print_message("  %s\n", cases[i].why);
		assert_int_equal(match_list_domain(list,
						   span_from(cases[i].domain),
						   &fault),
				 cases[i].want);
	}
}

static void files_are_spliced_in(void **state)
{
	struct world *w = *state;
	struct match_list *list;
	struct fault fault;

	world_write(w, "inner", SPAN_OF("# comment\nc.test\n"));
	world_write(w, "outer",
		    span_from(mem_printf(w, "a.test, b.test\n\n%s\n",
					 world_path(w, "inner"))));
	list = list_open(w, "mydestination", world_path(w, "outer"));
	assert_int_equal(match_list_domain(list, SPAN_OF("b.test"), &fault),
			 RC_OK);
	assert_int_equal(match_list_domain(list, SPAN_OF("c.test"), &fault),
			 RC_OK);
	list = list_open(
		w, "mydestination",
		mem_printf(w, "!%s static:all", world_path(w, "outer")));
	assert_int_equal(match_list_domain(list, SPAN_OF("c.test"), &fault),
			 RC_NONE);
	assert_int_equal(match_list_domain(list, SPAN_OF("d.test"), &fault),
			 RC_OK);
}

static void what_cannot_be_read_is_named(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *list, *want;
	} cases[] = {
		{ "192.168.1.5/24",
		  "parameter mynetworks: non-null host address bits in "
		  "\"192.168.1.5/24\", perhaps you should use "
		  "\"192.168.1.0/24\" instead" },
		{ "10.0.0.0/33",
		  "parameter mynetworks: bad mask length in \"10.0.0.0/33\"" },
		{ "/nonexistent/file",
		  "parameter mynetworks: open /nonexistent/file: No such file "
		  "or directory" },
		{ "a !", "parameter mynetworks: nothing after \"!\"" },
		{ "inline:{a=b",
		  "parameter mynetworks: unbalanced { } in \"inline:{a=b\"" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct match_list *list;
		struct fault fault;

		assert_int_equal(match_list_open(w, w->conf, "mynetworks",
						 cases[i].list, &list, &fault),
				 RC_CONF);
		assert_string_equal(fault.text, cases[i].want);
	}
}

static void a_missing_table_is_a_warning_and_try_later(void **state)
{
	struct world *w = *state;
	struct match_list *list;
	struct fault fault;

	assert_int_equal(match_list_open(w, w->conf, "mydestination",
					 "a.test hash:/nonexistent/x", &list,
					 &fault),
			 RC_OK);
	assert_true(span_starts(span_from(fault.text), "open database"));
	assert_int_equal(match_list_domain(list, SPAN_OF("a.test"), &fault),
			 RC_OK);
	assert_int_equal(match_list_domain(list, SPAN_OF("b.test"), &fault),
			 RC_TEMP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clients_match_by_address_and_name),
		cmocka_unit_test(domains_match_as_their_list_has_it),
		cmocka_unit_test(files_are_spliced_in),
		cmocka_unit_test(what_cannot_be_read_is_named),
		cmocka_unit_test(a_missing_table_is_a_warning_and_try_later),
	};

	return cmocka_run_group_tests(tests, world_open, world_close);
}
