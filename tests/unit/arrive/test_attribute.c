/* SPDX-License-Identifier: Apache-2.0 */
#include "../cmocka_all.h"

#include "arrive/smtpd/attribute.h"

static void show(const struct attribute *a, char *text, size_t size)
{
	snprintf(text, size, "%s",
		 a->status == ATTRIBUTE_NOT_GIVEN     ? "-"
		 : a->status == ATTRIBUTE_UNAVAILABLE ? "unavailable"
		 : a->status == ATTRIBUTE_TEMPUNAVAIL ? "tempunavail"
						      : a->text);
}

static void words_are_taken_as_the_reference_takes_them(void **state)
{
	static const struct {
		enum attribute_command command;
		const char *args;
		enum attribute_name name;
		const char *want;
	} cases[] = {
		{ ATTRIBUTES_XCLIENT, "NAME=a.test", ATTRIBUTE_NAME, "a.test" },
		{ ATTRIBUTES_XCLIENT, "name=a.test  addr=192.0.2.1",
		  ATTRIBUTE_ADDR, "192.0.2.1" },
		{ ATTRIBUTES_XCLIENT, "NAME=[unavailable]", ATTRIBUTE_NAME,
		  "unavailable" },
		{ ATTRIBUTES_XCLIENT, "NAME=[TEMPUNAVAIL]", ATTRIBUTE_NAME,
		  "tempunavail" },
		{ ATTRIBUTES_XCLIENT, "NAME=x", ATTRIBUTE_ADDR, "-" },
		{ ATTRIBUTES_XCLIENT, "ADDR=IPv6:2001:DB8::0:1", ATTRIBUTE_ADDR,
		  "2001:db8::1" },
		{ ATTRIBUTES_XCLIENT, "PORT=65536", ATTRIBUTE_PORT, "65536" },
		{ ATTRIBUTES_XCLIENT, "PROTO=esmtp", ATTRIBUTE_PROTO, "esmtp" },
		{ ATTRIBUTES_XCLIENT, "HELO=a+ZZ", ATTRIBUTE_HELO, "a+ZZ" },
		{ ATTRIBUTES_XCLIENT, "HELO=a+0Ab", ATTRIBUTE_HELO, "a?b" },
		{ ATTRIBUTES_XCLIENT, "HELO=a+00b", ATTRIBUTE_HELO, "a?b" },
		{ ATTRIBUTES_XCLIENT, "HELO=[TEMPUNAVAIL]", ATTRIBUTE_HELO,
		  "[TEMPUNAVAIL]" },
		{ ATTRIBUTES_XCLIENT, "LOGIN=jo+40example.test",
		  ATTRIBUTE_LOGIN, "jo@example.test" },
		{ ATTRIBUTES_XCLIENT, "DESTADDR=192.0.2.7 DESTPORT=587",
		  ATTRIBUTE_DESTPORT, "587" },
		{ ATTRIBUTES_XFORWARD, "IDENT=a+20b", ATTRIBUTE_IDENT, "a?b" },
		{ ATTRIBUTES_XFORWARD, "PROTO=LMTP", ATTRIBUTE_PROTO, "LMTP" },
		{ ATTRIBUTES_XFORWARD, "SOURCE=local", ATTRIBUTE_SOURCE,
		  "local" },
		{ ATTRIBUTES_XFORWARD, "SOURCE=[UNAVAILABLE]", ATTRIBUTE_SOURCE,
		  "unavailable" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct attributes all;
		struct fault fault = { 0 };
		char text[300];

		print_message("  %s\n", cases[i].args);
		assert_int_equal(attributes_parse(tmp, cases[i].command,
						  span_from(cases[i].args),
						  &all, &fault),
				 RC_OK);
		show(&all.at[cases[i].name], text, sizeof(text));
		assert_string_equal(text, cases[i].want);
	}
}

static void what_is_wrong_is_said_in_the_references_words(void **state)
{
	static const struct {
		enum attribute_command command;
		const char *args, *want;
	} cases[] = {
		{ ATTRIBUTES_XCLIENT, "NAME",
		  "Error: attribute=value expected" },
		{ ATTRIBUTES_XCLIENT,
		  "NAME=", "Error: attribute=value expected" },
		{ ATTRIBUTES_XCLIENT, "=x", "Error: attribute=value expected" },
		{ ATTRIBUTES_XCLIENT, "FOO=x",
		  "Bad XCLIENT attribute name: FOO" },
		{ ATTRIBUTES_XFORWARD, "LOGIN=x",
		  "Bad XFORWARD attribute name: LOGIN" },
		{ ATTRIBUTES_XCLIENT, "NAME=a..b", "Bad NAME syntax: a..b" },
		{ ATTRIBUTES_XCLIENT, "NAME=u+2Btest",
		  "Bad NAME syntax: u+test" },
		{ ATTRIBUTES_XCLIENT, "NAME=1.2.3.4",
		  "Bad NAME syntax: 1.2.3.4" },
		{ ATTRIBUTES_XCLIENT, "ADDR=1.2.3", "Bad ADDR syntax: 1.2.3" },
		{ ATTRIBUTES_XCLIENT, "ADDR=2001:db8::1",
		  "Bad ADDR syntax: 2001:db8::1" },
		{ ATTRIBUTES_XCLIENT, "ADDR=IPV6:192.0.2.1",
		  "Bad ADDR syntax: IPV6:192.0.2.1" },
		{ ATTRIBUTES_XCLIENT, "ADDR=[TEMPUNAVAIL]",
		  "Bad ADDR syntax: [TEMPUNAVAIL]" },
		{ ATTRIBUTES_XCLIENT, "PORT=-1", "Bad PORT syntax: -1" },
		{ ATTRIBUTES_XCLIENT, "PORT=123456",
		  "Bad PORT syntax: 123456" },
		{ ATTRIBUTES_XCLIENT, "PROTO=LMTP", "Bad PROTO syntax: LMTP" },
		{ ATTRIBUTES_XFORWARD, "NAME=[TEMPUNAVAIL]",
		  "Bad NAME syntax: [TEMPUNAVAIL]" },
		{ ATTRIBUTES_XFORWARD, "SOURCE=FOO", "Bad SOURCE syntax: FOO" },
		{ ATTRIBUTES_XFORWARD, "NAME=a.test PORT=x",
		  "Bad PORT syntax: x" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct attributes all = { 0 };
		struct fault fault = { 0 };

		print_message("  %s\n", cases[i].args);
		assert_int_equal(attributes_parse(tmp, cases[i].command,
						  span_from(cases[i].args),
						  &all, &fault),
				 RC_PERM);
		assert_string_equal(fault.text, cases[i].want);
		assert_string_equal(fault.dsn, "5.5.4");
		for (int name = 0; name < ATTRIBUTE_COUNT; name++)
			assert_int_equal(all.at[name].status,
					 ATTRIBUTE_NOT_GIVEN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_taken_as_the_reference_takes_them),
		cmocka_unit_test(what_is_wrong_is_said_in_the_references_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
