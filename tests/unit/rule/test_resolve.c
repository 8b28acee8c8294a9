/* SPDX-License-Identifier: Apache-2.0 */
/* The expectations are what the reference's own resolver answers. */
#include "world.h"

#include "rule/recipient.h"
#include "rule/resolve.h"

static const char stock_master_cf[] =
	"smtp unix - - n - - smtp\n"
	"relay unix - - n - - smtp\n"
	"gmail unix - - n - - smtp\n"
	"  -o transport_maps= -o relayhost=[smtp.gmail.test]:587\n";

struct expect {
	const char *sender, *recipient;
	const char *transport, *nexthop, *result; /* NULL: as asked */
};

static void check(const char *main_cf, const struct expect *cases, size_t count)
{
	struct world *w = world_new(main_cf, stock_master_cf);
	struct resolver *resolver;
	struct fault fault = { 0 };

	if (resolver_open(w, w->conf, &resolver, &fault) != RC_OK)
		fail_msg("%s", fault.text);
	for (size_t i = 0; i < count; i++) {
		const struct expect *e = &cases[i];
		struct route *route = NULL;
		enum rc rc = resolve(resolver, w->mem, span_from(e->sender),
				     span_from(e->recipient), &route, &fault);

		print_message("  %s -> %s\n", e->sender, e->recipient);
		if (e->transport == NULL) {
			assert_int_equal(rc, RC_TEMP);
			continue;
		}
		assert_non_null(route);
		assert_string_equal(route->transport, e->transport);
		assert_string_equal(route->nexthop, e->nexthop);
		assert_string_equal(route->recipient, e->result != NULL ?
							      e->result :
							      e->recipient);
		assert_int_equal(rc, span_starts(span_from(e->nexthop),
						 "5.1.3") ?
					     RC_PERM :
					     RC_OK);
	}
	world_free(w);
}

#define BAD "error", "5.1.3 bad address syntax"
#define LOCAL "local", "mx.example.test"

static void the_domain_that_counts_is_found(void **state)
{
	static const struct expect cases[] = {
		{ "", "joe", LOCAL, "joe@mx.example.test" },
		{ "", "", LOCAL, "MAILER-DAEMON@mx.example.test" },
		{ "", "@localhost", LOCAL, "MAILER-DAEMON@localhost" },
		{ "", "joe@LOCALHOST", LOCAL, NULL },
		{ "", "-oX@localhost", BAD, NULL },
		{ "", "-oX@remote.test", BAD, NULL },
		{ "", "joe@mx.example.test.", LOCAL, "joe@mx.example.test" },
		{ "", "joe@[127.0.0.1]", LOCAL, NULL },
		{ "", "joe@[127.0.0.1].", LOCAL, "joe@[127.0.0.1]" },
		{ "", "joe@[127.0.0.2]", "smtp", "[127.0.0.2]", NULL },
		{ "", "joe@host.", "smtp", "host", "joe@host" },
		{ "", "a!b", "smtp", "a", "b@a" },
		{ "", "a!b!c", "smtp", "a", "b!c@a" },
		{ "", "u!v%w", "smtp", "u", "v%w@u" },
		{ "", "a!b@c", "smtp", "c", NULL },
		{ "", "a%b", "smtp", "b", "a@b" },
		{ "", "a%b@c", "smtp", "c", NULL },
		{ "", "a%b@localhost", "smtp", "b", "a@b" },
		{ "", "a%b%c@localhost", "smtp", "c", "a%b@c" },
		{ "", "a!b%c@localhost", "smtp", "a", "b%c@a" },
		{ "", "a@b@c", "smtp", "c", NULL },
		{ "", "a@b@localhost", "smtp", "b", "a@b" },
		{ "", "a@b@c@localhost", "smtp", "c", "a@b@c" },
		{ "", "a!@localhost", "smtp", "a", "@a" },
		{ "", "%b", "smtp", "b", "@b" },
		{ "", "a b@c.d", "smtp", "c.d", NULL },
		{ "", "j@a_.b", "smtp", "a_.b", NULL },
		{ "", "joe@0x1.2", "smtp", "0x1.2", NULL },
		{ "", "joe@[IPv6:2001:db8::1]", "smtp",
		  "[IPv6:2001:db8::1]", NULL },
	};

	check("", cases, ARRAY_LEN(cases));
}

static void bad_domains_go_to_the_error_agent(void **state)
{
	static const struct expect cases[] = {
		{ "", "joe@", BAD, NULL },
		{ "", "@", BAD, NULL },
		{ "", "!a", BAD, "a@" },
		{ "", "a%@localhost", BAD, "a@" },
		{ "", "joe@1.2.3.4", BAD, NULL },
		{ "", "joe@123", BAD, NULL },
		{ "", "joe@[1.2.3]", BAD, NULL },
		{ "", "joe@[]", BAD, NULL },
		{ "", "joe@[::1]", BAD, NULL },
		{ "", "joe@host..", BAD, NULL },
		{ "", "joe@.host", BAD, NULL },
		{ "", "joe@a..b", BAD, NULL },
		{ "", "joe@-foo.com", BAD, NULL },
		{ "", "joe@a-.com", BAD, NULL },
		{ "", "joe@exa mple.com", BAD, NULL },
		{ "", "joe@host:25", BAD, NULL },
		{ "", "<joe@h.x>", BAD, NULL },
	};

	check("", cases, ARRAY_LEN(cases));
}

static void settings_allow_odd_domains(void **state)
{
	static const struct expect cases[] = {
		{ "", "joe@1.2.3.4", "smtp", "[1.2.3.4]", "joe@[1.2.3.4]" },
		{ "", "joe@", LOCAL, NULL },
		{ "", "a%b@localhost", LOCAL, NULL },
	};

	check("resolve_numeric_domain = yes\nresolve_null_domain = yes\n"
	      "allow_percent_hack = no\n",
	      cases, ARRAY_LEN(cases));
}

static void each_class_has_its_transport(void **state)
{
	static const struct expect cases[] = {
		{ "", "j@Foo.Bar", "smtp", "[r.x]:25", NULL },
		{ "", "j@rel.test", "relay", "[r.x]:25", NULL },
		{ "", "j@sub.rel.test", "relay", "[r.x]:25", NULL },
		{ "", "j@vm.test", "virtual", "vm.test", NULL },
		{ "", "j@va.test", "error",
		  "5.1.1 User unknown in virtual alias table", NULL },
		{ "", "j@[1.2.3.4]", "smtp", "[r.x]:25", NULL },
		{ "", "j", LOCAL, "j@mx.example.test" },
	};

	check("relayhost = [r.x]:25\nrelay_domains = rel.test\n"
	      "virtual_mailbox_domains = vm.test\n"
	      "virtual_alias_domains = va.test\n",
	      cases, ARRAY_LEN(cases));
}

static void a_local_transport_without_next_hop_gets_the_domain(void **state)
{
	static const struct expect cases[] = {
		{ "", "joe@LOCALHOST", "discard", "LOCALHOST", NULL },
		{ "", "joe@[127.0.0.1]", "discard", "[127.0.0.1]", NULL },
	};

	check("local_transport = discard\n", cases, ARRAY_LEN(cases));
}

static void the_sender_may_choose_the_relay(void **state)
{
	static const struct expect cases[] = {
		{ "a@b", "j@foo.bar", "smtp", "[sr]:1", NULL },
		{ "a+x@b", "j@foo.bar", "smtp", "[sr]:1", NULL },
		{ "A@B", "j@foo.bar", "smtp", "[sr]:1", NULL },
		{ "x@c", "j@rel.test", "relay", "[cr]:2", NULL },
		{ "d@d", "j@foo", "smtp", "[r.x]:25", NULL },
		{ "", "j@foo", "smtp", "[null]", NULL },
		{ "x@z", "j@foo", "smtp", "[r.x]:25", NULL },
		{ "a@b", "j", LOCAL, "j@mx.example.test" },
	};

	check("relayhost = [r.x]:25\nrelay_domains = rel.test\n"
	      "recipient_delimiter = +\n"
	      "sender_dependent_relayhost_maps = "
	      "inline:{a@b=[sr]:1,@c=[cr]:2,d@d=DUNNO,@d=[dd],<>=[null]}\n",
	      cases, ARRAY_LEN(cases));
}

static void a_next_hop_of_the_default_transport_beats_relay_hosts(void **state)
{
	static const struct expect cases[] = {
		{ "a@b", "j@foo.bar", "smtp", "foo", NULL },
	};

	check("relayhost = [r.x]:25\ndefault_transport = smtp:foo\n"
	      "sender_dependent_relayhost_maps = inline:{a@b=[sr]:1}\n",
	      cases, ARRAY_LEN(cases));
}

static void the_sender_may_choose_the_transport(void **state)
{
	static const struct expect cases[] = {
		{ "a@b", "j@foo.bar", "discard", "x", NULL },
		{ "a+x@b", "j@foo.bar", "smtp", "[r.x]:25", NULL },
		{ "x@c", "j@rel.test", "relay", "[cr]:2", NULL },
		{ "x@c", "j@foo", "discard", "[cr]:2", NULL },
		{ "d@d", "j@foo", "discard", "[r.x]:25", NULL },
		{ "e@e", "j@foo", NULL, NULL, NULL }, /* no transport */
		{ "f@f", "j@foo", "smtp", "[r.x]:25", NULL },
		{ "", "j@foo", "discard", "null", NULL },
	};

	check("relayhost = [r.x]:25\nrelay_domains = rel.test\n"
	      "sender_dependent_default_transport_maps = inline:{a@b=discard:x,"
	      "@c=discard,{d@d=discard:},{e@e=:y},f@f=DUNNO,<>=discard:null}\n"
	      "sender_dependent_relayhost_maps = inline:{@c=[cr]:2}\n",
	      cases, ARRAY_LEN(cases));
}

static void transport_tables_win_over_classes(void **state)
{
	static const struct expect cases[] = {
		{ "", "j@a.test", "discard", "ja", NULL },
		{ "", "j+x@a.test", "discard", "ja", NULL },
		{ "", "k@a.test", "discard", "a", NULL },
		{ "", "k@x.a.test", "discard", "star", NULL },
		{ "", "k@x.sub.test", "discard", "sub", NULL },
		{ "", "k@y.x.sub.test", "discard", "sub", NULL },
		{ "", "k@sub.test", "discard", "star", NULL },
		{ "", "k@b.test", "discard", "b.test", NULL },
		{ "", "K@B.TEST", "discard", "B.TEST", NULL },
		{ "", "k@c.test", "smtp", "cc", NULL },
		{ "", "k@d.test", "smtp", "[r.x]:25", NULL },
		{ "", "k@e.test", "error", "Address is undeliverable", NULL },
		{ "", "k", "discard", "loc", "k@mx.example.test" },
		{ "", "noname", "smtp", "mx.example.test",
		  "noname@mx.example.test" },
		{ "", "k@[1.2.3.4]", "discard", "lit", NULL },
		{ "", "k@other", "discard", "star", NULL },
		{ "", "k@va.test", "error",
		  "5.1.1 User unknown in virtual alias table", NULL },
		{ "", "", "discard", "loc", "MAILER-DAEMON@mx.example.test" },
	};

	check("recipient_delimiter = +\nrelayhost = [r.x]:25\n"
	      "virtual_alias_domains = va.test\n"
	      "transport_maps = inline:{j@a.test=discard:ja,a.test=discard:a,"
	      ".sub.test=discard:sub,b.test=discard:,{c.test=:cc},{d.test=:},"
	      "e.test=error,mx.example.test=discard:loc,"
	      "{[1.2.3.4]=discard:lit},{*=discard:star},va.test=discard:va,"
	      "{noname@mx.example.test=smtp:}}\n",
	      cases, ARRAY_LEN(cases));
}

static void parents_may_be_listed_without_a_dot(void **state)
{
	static const struct expect cases[] = {
		{ "", "k@x.a.test", "discard", "a", NULL },
		{ "", "k@b.test", "smtp", "b.test", NULL },
	};

	check("parent_domain_matches_subdomains = transport_maps\n"
	      "transport_maps = inline:{a.test=discard:a,.b.test=discard:b}\n",
	      cases, ARRAY_LEN(cases));
}

static void a_transport_with_its_own_relayhost_sends_there(void **state)
{
	static const struct expect cases[] = {
		{ "", "k@gmail.test", "gmail", "[smtp.gmail.test]:587", NULL },
		{ "", "k@set.test", "gmail", "[other]", NULL },
		{ "", "k@x.test", "error", "Transport not found", NULL },
	};

	check("transport_maps = inline:{gmail.test=gmail:,"
	      "set.test=gmail:[other],{*=error:Transport not found}}\n",
	      cases, ARRAY_LEN(cases));
}

static void who_has_moved_is_told_so(void **state)
{
	static const struct expect cases[] = {
		{ "", "a@b.test", "error", "5.1.6 User has moved to c@d",
		  NULL },
		{ "", "a+y@b.test", "error", "5.1.6 User has moved to c@d",
		  NULL },
		{ "", "joe+x", "error", "5.1.6 User has moved to joe@n",
		  "joe+x@mx.example.test" },
		{ "", "u@dom.test", "error", "5.1.6 User has moved to xx",
		  NULL },
		{ "", "u@else.test", "smtp", "else.test", NULL },
	};

	check("recipient_delimiter = +\n"
	      "relocated_maps = inline:{a@b.test=c@d,joe=joe@n,@dom.test=xx}\n",
	      cases, ARRAY_LEN(cases));
}

static void a_table_that_fails_is_never_no_match(void **state)
{
	static const struct expect cases[] = {
		{ "a@b", "k@x.test", NULL, NULL, NULL },
	};

	check("transport_maps = fail:broken\n", cases, 1);
	check("relocated_maps = fail:broken\n", cases, 1);
	check("relay_domains = fail:broken\n", cases, 1);
	check("virtual_alias_domains = fail:broken\n", cases, 1);
	check("sender_dependent_relayhost_maps = fail:broken\n", cases, 1);
	check("sender_dependent_default_transport_maps = fail:broken\n", cases,
	      1);
}

static void recipients_are_known_or_not(void **state)
{
	static const struct {
		const char *address;
		enum rc rc;
		int code;
		const char *dsn, *text;
	} cases[] = {
		{ "jo@localhost", RC_OK, 0, "", "" },
		{ "jo+x@localhost", RC_OK, 0, "", "" },
		{ "no@localhost", RC_PERM, 550, "5.1.1",
		  "User unknown in local recipient table" },
		{ "postmaster@localhost", RC_OK, 0, "", "" },
		{ "Mailer-Daemon@localhost", RC_OK, 0, "", "" },
		{ "no@va.test", RC_PERM, 551, "5.1.1",
		  "User unknown in virtual alias table" },
		{ "yes@va.test", RC_OK, 0, "", "" },
		{ "no@vm.test", RC_PERM, 552, "5.1.1",
		  "User unknown in virtual mailbox table" },
		{ "box@vm.test", RC_OK, 0, "", "" },
		{ "no@rel.test", RC_PERM, 553, "5.1.1",
		  "User unknown in relay recipient table" },
		{ "any@elsewhere.test", RC_OK, 0, "", "" },
		{ "moved@elsewhere.test", RC_PERM, 550, "5.1.6",
		  "User has moved to new@x" },
	};
	struct world *w = world_new(
		"recipient_delimiter = +\n"
		"local_recipient_maps = inline:{jo=x}\n"
		"virtual_alias_maps = inline:{yes@va.test=jo}\n"
		"virtual_alias_domains = va.test\n"
		"virtual_mailbox_domains = vm.test\n"
		"virtual_mailbox_maps = inline:{box@vm.test=x}\n"
		"relay_domains = rel.test\n"
		"relay_recipient_maps = inline:{yes@rel.test=x}\n"
		"relocated_maps = inline:{moved@elsewhere.test=new@x}\n"
		"unknown_virtual_alias_reject_code = 551\n"
		"unknown_virtual_mailbox_reject_code = 552\n"
		"unknown_relay_recipient_reject_code = 553\n",
		stock_master_cf);
	struct recipient_lists *lists;
	struct resolver *resolver;
	struct fault fault = { 0 };

	assert_int_equal(resolver_open(w, w->conf, &resolver, &fault), RC_OK);
	assert_int_equal(
		recipient_lists_open(w, w->conf, resolver, &lists, &fault),
		RC_OK);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct span address = span_from(cases[i].address);
		struct route *route;
		int code = 0;
		enum rc rc = resolve(resolver, w->mem, SPAN_OF("s@x"), address,
				     &route, &fault);

		print_message("  %s\n", cases[i].address);
		assert_int_equal(rc, RC_OK);
		rc = recipient_is_listed(lists, w->mem, address, route, &code,
					 &fault);
		assert_int_equal(rc, cases[i].rc);
		if (rc == RC_OK)
			continue;
		assert_int_equal(code, cases[i].code);
		assert_string_equal(fault.dsn, cases[i].dsn);
		assert_string_equal(fault.text, cases[i].text);
	}
	world_free(w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_domain_that_counts_is_found),
		cmocka_unit_test(bad_domains_go_to_the_error_agent),
		cmocka_unit_test(settings_allow_odd_domains),
		cmocka_unit_test(each_class_has_its_transport),
		cmocka_unit_test(
			a_local_transport_without_next_hop_gets_the_domain),
		cmocka_unit_test(the_sender_may_choose_the_relay),
		cmocka_unit_test(
			a_next_hop_of_the_default_transport_beats_relay_hosts),
		cmocka_unit_test(the_sender_may_choose_the_transport),
		cmocka_unit_test(transport_tables_win_over_classes),
		cmocka_unit_test(parents_may_be_listed_without_a_dot),
		cmocka_unit_test(
			a_transport_with_its_own_relayhost_sends_there),
		cmocka_unit_test(who_has_moved_is_told_so),
		cmocka_unit_test(a_table_that_fails_is_never_no_match),
		cmocka_unit_test(recipients_are_known_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
