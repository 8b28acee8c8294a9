/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "mail/smtp_reply.h"

static void replies_are_taken_off_the_front(void **state)
{
	static const struct {
		const char *why;
		struct span in;
		enum rc want;
		int code;
		const char *dsn, *text, *rest;
	} cases[] = {
		{ "one line", SPAN("250 2.0.0 Ok\r\nnext"), RC_OK, 250, "2.0.0",
		  "250 2.0.0 Ok", "next" },
		{ "no text", SPAN("354\r\n"), RC_OK, 354, "", "354", "" },
		{ "a blank and no text", SPAN("220 \r\n"), RC_OK, 220, "",
		  "220 ", "" },
		{ "two lines", SPAN("550-5.1.1 no\r\n550 5.1.1 such\r\n"),
		  RC_OK, 550, "5.1.1", "550-5.1.1 no 550 5.1.1 such", "" },
		{ "line feeds alone", SPAN("250-a\n250 b\n"), RC_OK, 250, "",
		  "250-a 250 b", "" },
		{ "the code of the last line", SPAN("250-a\r\n550 b\r\n"),
		  RC_OK, 550, "", "250-a 550 b", "" },
		{ "a status of another class is text", SPAN("450 5.1.1 x\r\n"),
		  RC_OK, 450, "", "450 5.1.1 x", "" },
		{ "control characters are shown", SPAN("250 a\tb\x1b\r\n"),
		  RC_OK, 250, "", "250 a?b?", "" },
		{ "NUL is a byte", SPAN("250 a\0b\r\n"), RC_OK, 250, "",
		  "250 a?b", "" },
		{ "nothing yet", SPAN(""), RC_NONE, 0, "", "", "" },
		{ "half a line", SPAN("250 2.0"), RC_NONE, 0, "", "",
		  "250 2.0" },
		{ "half a reply", SPAN("250-a\r\n250"), RC_NONE, 0, "", "",
		  "250-a\r\n250" },
		{ "no code", SPAN("hello\r\n"), RC_PERM, 0, "", "",
		  "hello\r\n" },
		{ "a code that is none", SPAN("199 x\r\n"), RC_PERM, 0, "", "",
		  "199 x\r\n" },
		{ "text right after the code", SPAN("250x\r\n"), RC_PERM, 0, "",
		  "", "250x\r\n" },
		{ "an empty line", SPAN("\r\n"), RC_PERM, 0, "", "", "\r\n" },
	};
	TALLOC_CTX *mem = talloc_new(NULL);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct span in = cases[i].in;
		struct smtp_reply *reply;
		struct fault fault;

		print_message("  %s\n", cases[i].why);
		assert_int_equal(smtp_reply_parse(mem, &in, &reply, &fault),
				 cases[i].want);
		assert_true(cases[i].want != RC_OK ||
			    span_is(in, cases[i].rest));
		if (cases[i].want != RC_OK) {
			assert_true(span_eq(in, cases[i].in));
			continue;
		}
		assert_int_equal(reply->code, cases[i].code);
		assert_string_equal(reply->dsn, cases[i].dsn);
		assert_string_equal(smtp_reply_text(mem, reply, 1000),
				    cases[i].text);
	}
	talloc_free(mem);
}

static void limits_hold(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct smtp_reply *reply;
	struct fault fault;
	struct span in;
	struct buf text;

	buf_init(&text, mem, 1024 * 1024);
	buf_add_text(&text, "250 ");
	for (int i = 0; i < SMTP_REPLY_LINE_MAX_BYTES; i++)
		buf_add_char(&text, 'x');
	in = buf_span(&text);
	assert_int_equal(smtp_reply_parse(mem, &in, &reply, &fault), RC_PERM);
	assert_string_equal(fault.dsn, "5.5.0");
	buf_clear(&text);
	for (int i = 0; i < SMTP_REPLY_LINES_MAX; i++)
		buf_add_text(&text, "250-x\r\n");
	in = buf_span(&text);
	assert_int_equal(smtp_reply_parse(mem, &in, &reply, &fault), RC_PERM);
	talloc_free(mem);
}

static void lines_are_given_without_code(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct span in = SPAN("250-mx.test\r\n250-SIZE 100\r\n250 DSN\r\n");
	struct smtp_reply *reply;
	struct fault fault;
	char dsn[DSN_MAX_BYTES];

	assert_int_equal(smtp_reply_parse(mem, &in, &reply, &fault), RC_OK);
	assert_int_equal(reply->line_count, 3);
	assert_true(span_is(smtp_reply_line(reply, 1), "SIZE 100"));
	assert_true(span_is(smtp_reply_line(reply, 2), "DSN"));
	smtp_reply_dsn(reply, dsn);
	assert_string_equal(dsn, "2.0.0");
	assert_string_equal(smtp_reply_text(mem, reply, 14), "250-mx.test 25");
	talloc_free(mem);
}

static void a_middle_box_leaves_marks(void **state)
{
	static const struct {
		struct span in;
		bool masked;
	} cases[] = {
		{ SPAN("220 *****\r\n"), true },
		{ SPAN("220 ***** ESMTP\r\n"), true },
		{ SPAN("250-mx.google.com at your service\r\n250-SIZE 1\r\n"
		       "250-XXXXXXA\r\n250 ENHANCEDSTATUSCODES\r\n"),
		  true },
		{ SPAN("250-mx\r\n250 XXXXXXXX\r\n"), true },
		{ SPAN("250-mx\r\n250 STARTTLS\r\n"), false },
		{ SPAN("250-mx\r\n250 XXX\r\n"), false },
		{ SPAN("250-mx\r\n250 XXXXXFEATURE\r\n"), false },
		{ SPAN("220 mx ESMTP **\r\n"), false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct span in = cases[i].in;
		struct smtp_reply *reply;
		struct fault fault;

		print_message("  %.*s\n", SPAN_FMT(cases[i].in));
		assert_int_equal(smtp_reply_parse(tmp, &in, &reply, &fault),
				 RC_OK);
		assert_int_equal(smtp_reply_is_masked(reply), cases[i].masked);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_are_taken_off_the_front),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(lines_are_given_without_code),
		cmocka_unit_test(a_middle_box_leaves_marks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
