/* SPDX-License-Identifier: Apache-2.0 */
#include "../cmocka_all.h"

#include "base/buf.h"

static void grows_up_to_its_limit_and_no_further(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct buf buf;

	buf_init(&buf, mem, 1000);
	for (int i = 0; i < 100; i++)
		assert_true(buf_add_text(&buf, "0123456789"));
	assert_int_equal(buf.len, 1000);
	assert_false(buf_add_char(&buf, 'x'));
	assert_true(buf.full);
	assert_int_equal(buf.len, 1000);
	assert_int_equal(buf.data[1000], '\0');
	buf_clear(&buf);
	assert_true(buf_add_char(&buf, 'x'));
	talloc_free(mem);
}

static void a_failed_addition_adds_nothing_and_stays_failed(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct buf buf;

	buf_init(&buf, mem, 5);
	assert_true(buf_add_text(&buf, "abc"));
	assert_false(buf_add_text(&buf, "defg"));
	assert_false(buf_add_text(&buf, "d"));
	assert_string_equal(buf_text(&buf), "abc");
	talloc_free(mem);
}

static void formats_and_consumes(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct buf buf;

	buf_init(&buf, mem, 100);
	assert_string_equal(buf_text(&buf), "");
	assert_true(buf_addf(&buf, "%d-%s", 42, "x"));
	buf_consume(&buf, 3);
	assert_string_equal(buf_text(&buf), "x");
	buf_consume(&buf, 99);
	assert_int_equal(buf.len, 0);
	talloc_free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_up_to_its_limit_and_no_further),
		cmocka_unit_test(a_failed_addition_adds_nothing_and_stays_failed),
		cmocka_unit_test(formats_and_consumes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
