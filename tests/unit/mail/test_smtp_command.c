/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "mail/smtp_command.h"

static void a_line_is_verb_and_arguments(void **state)
{
	static const struct {
		const char *line, *verb, *args;
	} cases[] = {
		{ "QUIT", "QUIT", "" },
		{ "MAIL FROM:<a@b> SIZE=3", "MAIL", "FROM:<a@b> SIZE=3" },
		{ "  ehlo\t x  ", "ehlo", "x" },
		{ "", "", "" },
		{ "   ", "", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct smtp_command command;

		smtp_command_split(span_from(cases[i].line), &command);
		assert_true(span_is(command.verb, cases[i].verb));
		assert_true(span_is(command.args, cases[i].args));
	}
}

/* The reference's answers. */
static void what_is_wrong_is_said_in_the_references_words(void **state)
{
	static const struct {
		const char *args;
		bool rcpt;
		int code;
		const char *text; /* DSN and text */
	} cases[] = {
		{ "", false, 501, "5.5.4 Syntax: MAIL FROM:<address>" },
		{ "FROM:", false, 501, "5.5.4 Syntax: MAIL FROM:<address>" },
		{ "FROM <a@b>", false, 501,
		  "5.5.4 Syntax: MAIL FROM:<address>" },
		{ "TO:<a@b>", false, 501, "5.5.4 Syntax: MAIL FROM:<address>" },
		{ "FROM:<a b@c>", false, 501,
		  "5.1.7 Bad sender address syntax" },
		{ "FROM:<a@b>SIZE=3", false, 501,
		  "5.1.7 Bad sender address syntax" },
		{ "FROM:<a@b> c", false, 555, "5.5.4 Unsupported option: c" },
		{ "FROM:Jo Smith <a@b>", false, 555,
		  "5.5.4 Unsupported option: Smith" },
		{ "FROM:\"Jo Smith\" <a@b>", false, 555,
		  "5.5.4 Unsupported option: <a@b>" },
		{ "FROM:<a@b> SIZE=", false, 501,
		  "5.5.4 Bad message size syntax" },
		{ "FROM:<a@b> SIZE=-1", false, 501,
		  "5.5.4 Bad message size syntax" },
		{ "FROM:<a@b> BODY=BINARYMIME", false, 555,
		  "5.5.4 Unsupported option: BODY=BINARYMIME" },
		{ "FROM:<a@b> BODY", false, 555,
		  "5.5.4 Unsupported option: BODY" },
		{ "FROM:<a@b> RET=x", false, 501,
		  "5.5.4 Bad RET parameter syntax" },
		{ "FROM:<a@b> RET=FULL RET=HDRS", false, 501,
		  "5.5.4 Bad RET parameter syntax" },
		{ "FROM:<a@b> ENVID=", false, 501,
		  "5.5.4 Bad ENVID parameter syntax" },
		{ "FROM:<a@b> ENVID=a+01c", false, 501,
		  "5.5.4 Bad ENVID parameter syntax" },
		{ "FROM:<a@b> ENVID=a+C3+A9", false, 501,
		  "5.5.4 Bad ENVID parameter syntax" },
		{ "FROM:<a@b> ENVID=a ENVID=b", false, 501,
		  "5.5.4 Bad ENVID parameter syntax" },
		{ "FROM:<a@b> SMTPUTF8=x", false, 555,
		  "5.5.4 Unsupported option: SMTPUTF8=x" },
		{ "FROM:<a@b> FOO", false, 555,
		  "5.5.4 Unsupported option: FOO" },
		{ "FROM:<a@b> =", false, 555, "5.5.4 Unsupported option: =" },
		{ "TO", true, 501, "5.5.4 Syntax: RCPT TO:<address>" },
		{ "TO:<>", true, 501, "5.1.3 Bad recipient address syntax" },
		{ "TO:<\"\">", true, 501,
		  "5.1.3 Bad recipient address syntax" },
		{ "TO:<a@b> NOTIFY=NEVER,SUCCESS", true, 501,
		  "5.5.4 Error: Bad NOTIFY parameter syntax" },
		{ "TO:<a@b> NOTIFY=", true, 501,
		  "5.5.4 Error: Bad NOTIFY parameter syntax" },
		{ "TO:<a@b> NOTIFY=DELAY NOTIFY=DELAY", true, 501,
		  "5.5.4 Error: Bad NOTIFY parameter syntax" },
		{ "TO:<a@b> ORCPT=jo@x", true, 501,
		  "5.5.4 Error: Bad ORCPT parameter syntax" },
		{ "TO:<a@b> ORCPT=rfc822\" NOTIFY=NEVER\";jo@x", true, 501,
		  "5.5.4 Error: Bad ORCPT parameter syntax" },
		{ "TO:<a@b> ORCPT=utf-8;\"jo SIZE=1\"@x", true, 501,
		  "5.5.4 Error: Bad ORCPT parameter syntax" },
		{ "TO:<a@b> ORCPT=rfc822;jo+2@x", true, 501,
		  "5.5.4 Error: Bad ORCPT parameter syntax" },
		{ "TO:<a@b> SIZE=3", true, 555,
		  "5.5.4 Unsupported option: SIZE=3" },
	};
	TALLOC_CTX *mem = talloc_new(NULL);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct span args = span_from(cases[i].args);
		struct smtp_mail mail;
		struct smtp_rcpt rcpt;
		struct fault fault;
		int code = 0;
		enum rc rc;

		print_message("  %s\n", cases[i].args);
		if (cases[i].rcpt)
			rc = smtp_rcpt_parse(mem, args, SMTP_UTF8_ENABLED,
					     &rcpt, &code, &fault);
		else
			rc = smtp_mail_parse(mem, args, SMTP_UTF8_ENABLED,
					     &mail, &code, &fault);
		assert_int_equal(rc, RC_PERM);
		assert_int_equal(code, cases[i].code);
		assert_string_equal(
			mem_printf(mem, "%s %s", fault.dsn, fault.text),
			cases[i].text);
	}
	talloc_free(mem);
}

static void mail_takes_all_its_parameters(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct smtp_mail mail;
	struct fault fault;
	int code;

	assert_int_equal(
		smtp_mail_parse(mem,
				SPAN_OF("from: <\"jo x\"@b> size=100 "
					"Body=8bitmime RET=hdrs ENVID=a+2Bc "
					"AUTH=u+40x SMTPUTF8 XVERP=+="),
				SMTP_UTF8_ENABLED, &mail, &code, &fault),
		RC_OK);
	assert_true(span_is(mail.path, "<\"jo x\"@b>"));
	assert_true(span_is(mail.address, "jo x@b"));
	assert_true(mail.has_size && mail.smtputf8);
	assert_int_equal(mail.size_bytes, 100);
	assert_int_equal(mail.body, SMTP_BODY_8BITMIME);
	assert_int_equal(mail.ret, SMTP_RET_HDRS);
	assert_true(span_is(mail.envid, "a+c"));
	assert_true(span_is(mail.auth, "u@x"));
	assert_true(span_is(mail.verp, "+="));
	assert_int_equal(smtp_mail_parse(mem, SPAN_OF("FROM:<>"), 0, &mail,
					 &code, &fault),
			 RC_OK);
	assert_int_equal(mail.address.len, 0);
	assert_false(mail.has_size);
	assert_null(mail.envid.ptr);
	assert_int_equal(
		smtp_mail_parse(mem,
				SPAN_OF("FROM:<> SIZE=99999999999999999999999"),
				0, &mail, &code, &fault),
		RC_OK);
	assert_true(mail.size_bytes == INT64_MAX);
	talloc_free(mem);
}

static void rcpt_takes_all_its_parameters(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct smtp_rcpt rcpt;
	struct fault fault;
	int code;

	assert_int_equal(
		smtp_rcpt_parse(mem,
				SPAN_OF("TO:<a@b> NOTIFY=SUCCESS,DELAY "
					"ORCPT=rfc822;jo+2Bx@y"),
				0, &rcpt, &code, &fault),
		RC_OK);
	assert_int_equal(rcpt.notify, SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY);
	assert_true(span_is(rcpt.orcpt, "rfc822;jo+x@y"));
	assert_int_equal(smtp_rcpt_parse(mem, SPAN_OF("TO:<a@b> notify=never"),
					 0, &rcpt, &code, &fault),
			 RC_OK);
	assert_int_equal(rcpt.notify, SMTP_NOTIFY_NEVER);
	assert_null(rcpt.orcpt.ptr);
	talloc_free(mem);
}

static void too_many_parameters_are_refused(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct smtp_mail mail;
	struct fault fault;
	struct buf args;
	int code;

	buf_init(&args, mem, 10000);
	buf_add_text(&args, "FROM:<a@b>");
	for (int i = 0; i <= SMTP_PARAMETERS_MAX; i++)
		buf_add_text(&args, " SIZE=1");
	assert_int_equal(
		smtp_mail_parse(mem, buf_span(&args), 0, &mail, &code, &fault),
		RC_PERM);
	assert_int_equal(code, 501);
	talloc_free(mem);
}

static void xtext_goes_both_ways(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct span text = SPAN("a+b=c d\xc3\xa9"), back;
	struct fault fault;
	struct buf out;

	buf_init(&out, mem, 1000);
	assert_true(xtext_encode_add(&out, text));
	assert_string_equal(buf_text(&out), "a+2Bb+3Dc+20d+C3+A9");
	assert_int_equal(xtext_decode(mem, buf_span(&out), &back, &fault),
			 RC_OK);
	assert_true(span_eq(back, text));
	assert_int_equal(xtext_decode(mem, SPAN_OF("a+2"), &back, &fault),
			 RC_PERM);
	assert_int_equal(xtext_decode(mem, SPAN_OF("+0D"), &back, &fault),
			 RC_PERM);
	talloc_free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_verb_and_arguments),
		cmocka_unit_test(what_is_wrong_is_said_in_the_references_words),
		cmocka_unit_test(mail_takes_all_its_parameters),
		cmocka_unit_test(rcpt_takes_all_its_parameters),
		cmocka_unit_test(too_many_parameters_are_refused),
		cmocka_unit_test(xtext_goes_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
