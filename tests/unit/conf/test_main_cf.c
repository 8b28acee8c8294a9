/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include "conf/main_cf.h"

static void lines_join_and_comments_drop_out(void **state)
{
	static const struct {
		const char *why, *text, *want;
	} cases[] = {
		{ "one line", "relayhost=a\n", "a" },
		{ "blanks around", "relayhost =\t a b \t\n", "a b" },
		{ "no line end", "relayhost = a", "a" },
		{ "CRLF", "relayhost = a,\r\n b\r\n", "a, b" },
		{ "continuation keeps blanks", "relayhost = a,\n   b\n",
		  "a,   b" },
		{ "comments and empty lines inside",
		  "relayhost = a\n# c\n\n  # d\n\t\n b\n", "a b" },
		{ "a value may begin on the next line", "relayhost =\n  a\n",
		  "a" },
		{ "no comment after text", "relayhost = a #b\n", "a #b" },
		{ "a backslash is a backslash", "relayhost = a\\\n b\n",
		  "a\\ b" },
		{ "the last one counts", "relayhost = a\nrelayhost = b\n",
		  "b" },
		{ "empty", "relayhost =\n", "" },
		{ "more equal signs", "relayhost = a=b = c\n", "a=b = c" },
		{ "byte order mark", "\xef\xbb\xbfrelayhost = a\n", "a" },
		{ "a first line that continues nothing",
		  "  relayhost = b\nfoo = c\n", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world *w = world_of(cases[i].text);

		print_message("  %s\n", cases[i].why);
		assert_string_equal(w->conf->v.relayhost, cases[i].want);
		world_free(w);
	}
}

static void a_bad_line_is_named(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "# x\n\nfoo\n",
		  "main.cf, line 3: missing '=' after attribute name: "
		  "\"foo\"" },
		{ "a b = c\n", "main.cf, line 1: missing '='" },
		{ "\n= c\n", "main.cf, line 2: missing attribute name" },
		{ "a = b\n c\nd\n", "main.cf, line 3: missing '='" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		world_refuses(cases[i].text, cases[i].want);
}

static void a_nul_byte_is_refused(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct main_cf *main_cf;
	struct fault fault;

	assert_int_equal(main_cf_parse(mem, SPAN_OF("a = b\nc = \0d\n"), "f",
				       &main_cf, &fault),
			 RC_CONF);
	assert_string_equal(fault.text, "f, line 2: a NUL byte in the text");
	talloc_free(mem);
}

static void a_missing_file_is_named(void **state)
{
	const struct conf_source source = { .config_directory = "/nonexistent" };
	struct conf *conf;
	struct fault fault;

	assert_int_equal(conf_load(&source, &conf, &fault), RC_CONF);
	assert_string_equal(fault.text, "open /nonexistent/main.cf: No such "
					"file or directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_join_and_comments_drop_out),
		cmocka_unit_test(a_bad_line_is_named),
		cmocka_unit_test(a_nul_byte_is_refused),
		cmocka_unit_test(a_missing_file_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
