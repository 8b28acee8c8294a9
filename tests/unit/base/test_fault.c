/* SPDX-License-Identifier: Apache-2.0 */
#include "../cmocka_all.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"

static void says_what_failed_with_its_context_in_front(void **state)
{
	struct fault fault;

	errno = ENOENT;
	assert_int_equal(fault_set(&fault, RC_TEMP, "4.3.0", "open %s: %m", "x"),
			 RC_TEMP);
	assert_int_equal(fault_add(&fault, "queue file %d", 7), RC_TEMP);
	assert_string_equal(fault.text,
			    "queue file 7: open x: No such file or directory");
	assert_string_equal(fault.dsn, "4.3.0");
}

static void cuts_what_is_too_long(void **state)
{
	char text[2 * FAULT_TEXT_MAX_BYTES];
	struct fault fault;

	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(fault_set(&fault, RC_PERM, "5.0.0", "%s", text),
			 RC_PERM);
	assert_int_equal(strlen(fault.text), FAULT_TEXT_MAX_BYTES - 1);
	assert_int_equal(fault_add(&fault, "in front"), RC_PERM);
	assert_int_equal(strlen(fault.text), FAULT_TEXT_MAX_BYTES - 1);
	assert_int_equal(fault_set(NULL, RC_CONF, "4.3.5", "x"), RC_CONF);
	assert_int_equal(fault_add(NULL, "x"), RC_TEMP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_failed_with_its_context_in_front),
		cmocka_unit_test(cuts_what_is_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
