/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "mail/address.h"

/* What the reference's smtpd answered to MAIL FROM with the same text. */
static void paths_are_read_as_the_reference_reads_them(void **state)
{
	static const struct {
		struct span path;
		const char *want; /* NULL: refused */
	} cases[] = {
		{ SPAN("<jo@example.test>"), "jo@example.test" },
		{ SPAN("jo@example.test"), "jo@example.test" },
		{ SPAN("<>"), "" },
		{ SPAN("< >"), "" },
		{ SPAN("<(x)>"), "" },
		{ SPAN("<\"\">"), "" },
		{ SPAN("<jo>"), "jo" },
		{ SPAN("<\"jo smith\"@example.test>"),
		  "jo smith@example.test" },
		{ SPAN("<jo smith@example.test>"), NULL },
		{ SPAN("<\"jo@home\"@example.test>"), "jo@home@example.test" },
		{ SPAN("<\"jo\\\"x\\\\y\"@e.test>"), "jo\"x\\y@e.test" },
		{ SPAN("<\"jo\">"), "jo" },
		{ SPAN("<@a,@b:jo@c>"), "jo@c" },
		{ SPAN("<@a:jo@c>"), "jo@c" },
		{ SPAN("<jo@[127.0.0.1]>"), "jo@[127.0.0.1]" },
		{ SPAN("<jo@[IPv6:::1]>"), "jo@[IPv6:::1]" },
		{ SPAN("<jo@[bad]>"), NULL },
		{ SPAN("<jo@127.0.0.1>"), NULL },
		{ SPAN("<jo@example.test.>"), "jo@example.test." },
		{ SPAN("<jo@>"), NULL },
		{ SPAN("<@example.test>"), "@example.test" },
		{ SPAN("<a@b@c>"), "a@b@c" },
		{ SPAN("<a@b,c@d>"), NULL },
		{ SPAN("<a@b>SIZE=3"), NULL },
		{ SPAN("<jo(comment)@example.test>"), "jo@example.test" },
		{ SPAN("<jo@example.test"), NULL },
		{ SPAN("jo@example.test>"), "jo@example.test" },
		{ SPAN("<<jo@example.test>>"), "jo@example.test" },
		{ SPAN("<.jo@example.test>"), ".jo@example.test" },
		{ SPAN("<jo..x@example.test>"), "jo..x@example.test" },
		{ SPAN("<jo@ex..test>"), NULL },
		{ SPAN("<jo@.test>"), NULL },
		{ SPAN("<jo@-x.test>"), NULL },
		{ SPAN("<jo@x_y.test>"), "jo@x_y.test" },
		{ SPAN("<jo:x@y>"), "jo:x@y" },
		{ SPAN("<jo;x@y>"), NULL },
		{ SPAN("<jo\\@x@y>"), "jo@x@y" },
		{ SPAN("<jo\\ x@y>"), "jo x@y" },
		{ SPAN("<jo@ y>"), "jo@y" },
		{ SPAN("<jo @y>"), "jo@y" },
		{ SPAN("<a!b!c>"), "a!b!c" },
		{ SPAN("<a%b@c>"), "a%b@c" },
		{ SPAN("<jo\rx@y>"), NULL },
		{ SPAN("<jo\0x@y>"), NULL },
		{ SPAN("<\"jo\"smith@y>"), NULL },
		{ SPAN("<\"jo\".smith@y>"), "jo.smith@y" },
		{ SPAN("<\xc3\xa9@y>"), "\xc3\xa9@y" },
		{ SPAN("<jo@\xc3\xa9y>"), "jo@\xc3\xa9y" },
		{ SPAN("<\xff@y>"), NULL },
		{ SPAN("<\"unterminated@y>"), NULL },
		{ SPAN("\"<jo@y>\""), NULL },
		{ SPAN("<jo]x@y>"), "jo]x@y" },
		{ SPAN("<jo[x@y>"), NULL },
		{ SPAN("<jo@y]>"), NULL },
		{ SPAN("<jo)x@y>"), "jo)x@y" },
		{ SPAN("<-jo@y>"), NULL },
		{ SPAN("<mailto:jo@x>"), "mailto:jo@x" },
		{ SPAN("<\"a\"@b.c,>"), "a@b.c" },
		{ SPAN(",a@b"), "a@b" },
	};
	TALLOC_CTX *mem = talloc_new(NULL);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fault fault;
		struct span address;
		enum rc rc = address_parse_path(mem, cases[i].path,
						ADDRESS_NULL_OK | ADDRESS_UTF8,
						&address, &fault);

		print_message("  %.*s\n", SPAN_FMT(cases[i].path));
		assert_int_equal(rc, cases[i].want == NULL ? RC_PERM : RC_OK);
		if (rc == RC_OK)
			assert_string_equal(address.ptr, cases[i].want);
	}
	talloc_free(mem);
}

static void strict_envelopes_have_angle_brackets_and_no_comments(void **state)
{
	static const struct {
		struct span path;
		enum rc want;
	} cases[] = {
		{ SPAN("<jo@example.test>"), RC_OK },
		{ SPAN("<>"), RC_OK },
		{ SPAN("<@a,@b:jo@c>"), RC_OK },
		{ SPAN("jo@example.test"), RC_PERM },
		{ SPAN("<jo(x)@example.test>"), RC_PERM },
		{ SPAN("<<jo@example.test>>"), RC_PERM },
	};
	TALLOC_CTX *mem = talloc_new(NULL);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fault fault;
		struct span address;

		assert_int_equal(
			address_parse_path(mem, cases[i].path,
					   ADDRESS_STRICT | ADDRESS_NULL_OK,
					   &address, &fault),
			cases[i].want);
	}
	talloc_free(mem);
}

static void flags_decide_about_null_and_minus(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct fault fault;
	struct span address;

	assert_int_equal(
		address_parse_path(mem, SPAN_OF("<>"), 0, &address, &fault),
		RC_PERM);
	assert_int_equal(address_parse_path(mem, SPAN_OF("<-x@y>"),
					    ADDRESS_MINUS_OK, &address, &fault),
			 RC_OK);
	talloc_free(mem);
}

static void a_long_address_is_refused(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct fault fault;
	struct span address;
	struct buf path;

	buf_init(&path, mem, 10000);
	buf_add_char(&path, '<');
	for (int i = 0; i < ADDRESS_MAX_BYTES; i++)
		buf_add_char(&path, 'a');
	buf_add_text(&path, "@y>");
	assert_int_equal(
		address_parse_path(mem, buf_span(&path), 0, &address, &fault),
		RC_PERM);
	talloc_free(mem);
}

static void quoting_and_unquoting_are_inverse(void **state)
{
	static const struct {
		const char *internal, *external;
	} cases[] = {
		{ "jo@example.test", "jo@example.test" },
		{ "", "" },
		{ "jo", "jo" },
		{ "jo smith@y", "\"jo smith\"@y" },
		{ ".jo@y", "\".jo\"@y" },
		{ "jo.@y", "\"jo.\"@y" },
		{ "jo..x@y", "\"jo..x\"@y" },
		{ "@y", "\"\"@y" },
		{ "a@b@c", "\"a@b\"@c" },
		{ "jo\"x\\y@z", "\"jo\\\"x\\\\y\"@z" },
		{ "jo:x@y", "\"jo:x\"@y" },
		{ "jo(x@y", "\"jo(x\"@y" },
		{ "a!b%c@d", "a!b%c@d" },
		{ "jo@[1.2.3.4]", "jo@[1.2.3.4]" },
		{ "\xc3\xa9@y", "\xc3\xa9@y" },
	};
	TALLOC_CTX *mem = talloc_new(NULL);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_string_equal(
			address_quote(mem, span_from(cases[i].internal)),
			cases[i].external);
		assert_string_equal(
			address_unquote(mem, span_from(cases[i].external)),
			cases[i].internal);
	}
	talloc_free(mem);
}

static void extensions_are_split_off(void **state)
{
	static const struct {
		const char *local, *delimiters;
		bool owner_special, split;
		const char *base, *extension;
	} cases[] = {
		{ "jo+list", "+", true, true, "jo", "list" },
		{ "jo+a+b", "+", true, true, "jo", "a+b" },
		{ "jo-a+b", "+-", true, true, "jo", "a+b" },
		{ "jo+", "+", true, true, "jo", "" },
		{ "+jo", "+", true, false, "", "" },
		{ "jo", "+", true, false, "", "" },
		{ "jo+x", "", true, false, "", "" },
		{ "double-bounce", "-", true, false, "", "" },
		{ "MAILER-DAEMON", "-", true, false, "", "" },
		{ "owner-list", "-", true, false, "", "" },
		{ "owner-list", "-", false, true, "owner", "list" },
		{ "list-request", "-", true, false, "", "" },
		{ "owner-list+x", "+", true, true, "owner-list", "x" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct span base, extension;
		bool split = address_split_extension(
			span_from(cases[i].local), cases[i].delimiters,
			cases[i].owner_special, &base, &extension);

		assert_int_equal(split, cases[i].split);
		if (!split)
			continue;
		assert_true(span_is(base, cases[i].base));
		assert_true(span_is(extension, cases[i].extension));
	}
}

static void domains_and_literals_are_judged(void **state)
{
	static const struct {
		const char *domain;
		bool valid;
	} cases[] = {
		{ "example.test", true },
		{ "x", true },
		{ "a-b.c_d", true },
		{ "", false },
		{ ".", false },
		{ "a..b", false },
		{ "-a.b", false },
		{ "a-.b", false },
		{ "1.2.3.4", false },
		{ "1.2.3.a", true },
		{ "a b", false },
		{ "a/b", false },
		{ "xn--bcher-kva.test", true },
	};
	struct span ip;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(
			domain_is_valid(span_from(cases[i].domain), false),
			cases[i].valid);
	assert_true(address_literal_ip(SPAN_OF("[1.2.3.4]"), &ip));
	assert_true(span_is(ip, "1.2.3.4"));
	assert_true(address_literal_ip(SPAN_OF("[ipv6:2001:db8::1]"), &ip));
	assert_true(span_is(ip, "2001:db8::1"));
	assert_false(address_literal_ip(SPAN_OF("[::1]"), &ip));
	assert_false(address_literal_ip(SPAN_OF("[1.2.3]"), &ip));
	assert_false(address_literal_ip(SPAN_OF("1.2.3.4"), &ip));
	assert_false(address_literal_ip(SPAN_OF("[1.2.3.4"), &ip));
}

static void utf8_is_checked_byte_by_byte(void **state)
{
	static const struct {
		struct span text;
		bool valid;
	} cases[] = {
		{ SPAN("plain"), true },
		{ SPAN("\xd0\x96"), true },
		{ SPAN("\xe2\x82\xac"), true },
		{ SPAN("\xf0\x9f\x93\xa7"), true },
		{ SPAN("\xc0\x80"), false },
		{ SPAN("\xe0\x80\x80"), false },
		{ SPAN("\xed\xa0\x80"), false },
		{ SPAN("\xf4\x90\x80\x80"), false },
		{ SPAN("\xd0"), false },
		{ SPAN("\x80"), false },
		{ SPAN("\xd0\x20"), false },
		{ SPAN("\xff"), false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(text_is_utf8(cases[i].text), cases[i].valid);
}

static void domains_become_ascii(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct fault fault;
	char *ascii;

	assert_int_equal(domain_to_ascii(mem,
					 SPAN_OF("b\xc3\xbc"
						 "cher.test"),
					 &ascii, &fault),
			 RC_OK);
	assert_string_equal(ascii, "xn--bcher-kva.test");
	assert_int_equal(
		domain_to_ascii(mem, SPAN_OF("Example.test"), &ascii, &fault),
		RC_OK);
	assert_string_equal(ascii, "Example.test");
	assert_int_equal(
		domain_to_ascii(mem, SPAN_OF("\xff.test"), &ascii, &fault),
		RC_PERM);
	talloc_free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_read_as_the_reference_reads_them),
		cmocka_unit_test(
			strict_envelopes_have_angle_brackets_and_no_comments),
		cmocka_unit_test(flags_decide_about_null_and_minus),
		cmocka_unit_test(a_long_address_is_refused),
		cmocka_unit_test(quoting_and_unquoting_are_inverse),
		cmocka_unit_test(extensions_are_split_off),
		cmocka_unit_test(domains_and_literals_are_judged),
		cmocka_unit_test(utf8_is_checked_byte_by_byte),
		cmocka_unit_test(domains_become_ascii),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
