/* SPDX-License-Identifier: Apache-2.0 */
#include "map_world.h"

#include <pthread.h>
#include <stdatomic.h>

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
		{ "Debian's own, with IPv4 in IPv6",
		  "127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128", "", "::1",
		  RC_OK },
		{ "which is a network of IPv6", "[::ffff:0:0]/96", "",
		  "10.1.1.1", RC_NONE },
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
		{ "words are whole, too", "defer_transports", "smtp, relay",
		  "relay", RC_OK },
		{ "a word that is not to be", "defer_transports",
		  "!lmtp, inline:{lmtp=x, uucp=x}", "lmtp", RC_NONE },
		{ "a word of a table", "smtpd_noop_commands", "inline:{xfoo=x}",
		  "XFOO", RC_OK },
		{ "a word, and a table that fails",
		  "smtpd_log_access_permit_actions", "fail:x", "x", RC_TEMP },
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

/* Until it says so, at most five seconds. */
static void wait_domain(struct match_list *list, const char *domain,
			enum rc want)
{
	struct fault fault;

	for (int i = 0; i < 250; i++) {
		enum rc rc = match_list_domain(list, span_from(domain), &fault);

		assert_true(rc == RC_OK || rc == RC_NONE);
		if (rc == want)
			return;
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	}
	fail_msg("%s: it stays as it is", domain);
}

static void a_file_in_a_list_is_read_again_when_it_changes(void **state)
{
	struct world *w = *state;
	struct match_list *list;

	world_write(w, "inner", SPAN_OF("inner.test\n"));
	world_write(w, "outer",
		    span_from(mem_printf(w, "one.test\n%s\n",
					 world_path(w, "inner"))));
	list = list_open(w, "mydestination",
			 mem_printf(w, "inline:{table.test=x} !no.test %s",
				    world_path(w, "outer")));
	wait_domain(list, "inner.test", RC_OK);
	wait_domain(list, "table.test", RC_OK);
	wait_domain(list, "two.test", RC_NONE);

	world_write(w, "inner", SPAN_OF("two.test\n"));
	wait_domain(list, "two.test", RC_OK);
	wait_domain(list, "inner.test", RC_NONE);
	wait_domain(list, "one.test", RC_OK);
	wait_domain(list, "table.test", RC_OK);

	world_write(w, "outer", SPAN_OF("10.0.0.1/8\n"));
	for (int i = 0; i < 100; i++) {
		wait_domain(list, "one.test", RC_OK);
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	assert_true(world_logged(w, "the list stays as it was"));
	world_write(w, "outer", SPAN_OF("three.test\n"));
	wait_domain(list, "three.test", RC_OK);
	wait_domain(list, "two.test", RC_NONE);

	assert_int_equal(unlink(world_path(w, "outer")), 0);
	for (int i = 0; i < 100; i++) {
		wait_domain(list, "three.test", RC_OK);
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	assert_true(world_logged(w, "No such file or directory: the list "
				    "stays as it was"));
	talloc_free(list);
}

struct asker {
	struct match_list *list;
	_Atomic bool stop;
	_Atomic int wrong, asked;
};

static void *ask_for_ever(void *arg)
{
	struct asker *asker = arg;

	while (!asker->stop) {
		if (match_list_domain(asker->list, SPAN_OF("always.test"),
				      NULL) != RC_OK ||
		    match_list_domain(asker->list, SPAN_OF("never.test"),
				      NULL) != RC_NONE)
			asker->wrong++;
		asker->asked++;
	}
	return NULL;
}

static void threads_ask_while_a_file_changes(void **state)
{
	struct world *w = *state;
	struct asker asker = { .wrong = 0 };
	pthread_t threads[4];

	world_write(w, "busy", SPAN_OF("always.test\n"));
	asker.list = list_open(w, "relay_domains", world_path(w, "busy"));
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, ask_for_ever, &asker);
	for (int i = 0; i < 4; i++) {
		char *now = mem_printf(w, "now%d.test", i);

		world_write(w, "busy.new",
			    span_from(mem_printf(w, "%s\nalways.test\n", now)));
		assert_int_equal(rename(world_path(w, "busy.new"),
					world_path(w, "busy")),
				 0);
		wait_domain(asker.list, now, RC_OK);
	}
	asker.stop = true;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_true(asker.asked > 0);
	assert_int_equal(asker.wrong, 0);
	talloc_free(asker.list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clients_match_by_address_and_name),
		cmocka_unit_test(domains_match_as_their_list_has_it),
		cmocka_unit_test(files_are_spliced_in),
		cmocka_unit_test(what_cannot_be_read_is_named),
		cmocka_unit_test(a_missing_table_is_a_warning_and_try_later),
		cmocka_unit_test(
			a_file_in_a_list_is_read_again_when_it_changes),
		cmocka_unit_test(threads_ask_while_a_file_changes),
	};

	return cmocka_run_group_tests(tests, world_open, world_close);
}
