/* SPDX-License-Identifier: Apache-2.0 */
#include "../cmocka_all.h"

#include "base/span.h"

static void cut_takes_text_up_to_the_separator(void **state)
{
	static const struct {
		const char *why;
		struct span in, want_head, want_rest;
		bool more;
	} cases[] = {
		{ "two parts", SPAN("a,b"), SPAN("a"), SPAN("b"), true },
		{ "NUL is a byte", SPAN("a\0b,c"), SPAN("a\0b"), SPAN("c"), true },
		{ "empty part first", SPAN(",c"), SPAN(""), SPAN("c"), true },
		{ "one part", SPAN("abc"), SPAN("abc"), SPAN(""), false },
		{ "empty last part", SPAN("a,"), SPAN("a"), SPAN(""), true },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct span rest = cases[i].in, head;

		print_message("  %s\n", cases[i].why);
		assert_true(span_cut(&rest, ',', &head));
		assert_true(span_eq(head, cases[i].want_head));
		assert_true(span_eq(rest, cases[i].want_rest));
		assert_int_equal(span_cut(&rest, ',', &head), cases[i].more);
	}
}

static void token_skips_runs_of_separators(void **state)
{
	struct span rest = SPAN_OF(" , a,,b\t"), token;

	assert_true(span_token(&rest, " ,\t", &token));
	assert_true(span_is(token, "a"));
	assert_true(span_token(&rest, " ,\t", &token));
	assert_true(span_is(token, "b"));
	assert_false(span_token(&rest, " ,\t", &token));
}

static void number_is_digits_within_the_limit(void **state)
{
	static const struct {
		struct span in;
		uint64_t max;
		bool good;
		uint64_t want;
	} cases[] = {
		{ SPAN("0"), 10, true, 0 },
		{ SPAN("10"), 10, true, 10 },
		{ SPAN("11"), 10, false, 0 },
		{ SPAN(""), 10, false, 0 },
		{ SPAN("-1"), 10, false, 0 },
		{ SPAN("1 "), 10, false, 0 },
		{ SPAN("18446744073709551615"), UINT64_MAX, true, UINT64_MAX },
		{ SPAN("18446744073709551616"), UINT64_MAX, false, 0 },
		{ SPAN("99999999999999999999999"), UINT64_MAX, false, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t value = 77;

		assert_int_equal(span_to_u64(cases[i].in, cases[i].max, &value),
				 cases[i].good);
		assert_true(value == (cases[i].good ? cases[i].want : 77));
	}
}

static void comparison_folds_ascii_only(void **state)
{
	assert_true(span_eq_nocase(SPAN_OF("Ab.Z"), SPAN_OF("aB.z")));
	assert_false(span_eq_nocase(SPAN_OF("\xc3\x84"), SPAN_OF("\xc3\xa4")));
	assert_false(span_eq_nocase(SPAN_OF("@"), SPAN_OF("`")));
	assert_true(span_starts_nocase(SPAN_OF("Mail From:"), "MAIL FROM:"));
	assert_false(span_starts(SPAN_OF("Ma"), "Mail"));
	assert_true(span_ends(SPAN_OF("a.db"), ".db"));
	assert_false(span_ends(SPAN_OF("b"), ".db"));
}

static void trim_and_skip_stay_inside(void **state)
{
	assert_true(span_is(span_trim(SPAN_OF(" \t a b\r\n")), "a b"));
	assert_int_equal(span_trim(SPAN_OF(" \r\n ")).len, 0);
	assert_int_equal(span_skip(SPAN_OF("abc"), 9).len, 0);
	assert_true(span_is(span_take(SPAN_OF("abc"), 9), "abc"));
	assert_int_equal(span_find(SPAN_OF("abca"), 'a'), 0);
	assert_int_equal(span_rfind(SPAN_OF("abca"), 'a'), 3);
	assert_int_equal(span_find((struct span){ NULL, 0 }, 'a'), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_takes_text_up_to_the_separator),
		cmocka_unit_test(token_skips_runs_of_separators),
		cmocka_unit_test(number_is_digits_within_the_limit),
		cmocka_unit_test(comparison_folds_ascii_only),
		cmocka_unit_test(trim_and_skip_stay_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
