/* SPDX-License-Identifier: Apache-2.0 */
#include "../cmocka_all.h"

#include "arrive/smtpd/client_table.h"

static void connections_are_counted_for_each_client(void **state)
{
	struct client_table *table = client_table_new(NULL, 32, 84);

	assert_int_equal(client_table_enter(table, "192.0.2.1"), 1);
	assert_int_equal(client_table_enter(table, "192.0.2.2"), 1);
	assert_int_equal(client_table_enter(table, "192.0.2.1"), 2);
	client_table_leave(table, "192.0.2.1");
	assert_int_equal(client_table_enter(table, "192.0.2.1"), 2);
	assert_int_equal(client_table_count(table), 2);
	client_table_leave(table, "192.0.2.1");
	client_table_leave(table, "192.0.2.1");
	client_table_leave(table, "192.0.2.2");
	assert_int_equal(client_table_count(table), 0);
	talloc_free(table);
}

static void addresses_of_one_network_are_one_client(void **state)
{
	struct client_table *table = client_table_new(NULL, 24, 64);

	assert_int_equal(client_table_enter(table, "192.0.2.1"), 1);
	assert_int_equal(client_table_enter(table, "192.0.2.200"), 2);
	assert_int_equal(client_table_enter(table, "192.0.3.1"), 1);
	assert_int_equal(client_table_enter(table, "2001:db8::1"), 1);
	assert_int_equal(client_table_enter(table, "2001:db8::2:1"), 2);
	assert_int_equal(client_table_enter(table, "2001:db8:0:1::1"), 1);
	client_table_leave(table, "192.0.2.1");
	client_table_leave(table, "192.0.2.200");
	client_table_leave(table, "192.0.3.1");
	client_table_leave(table, "2001:db8::1");
	client_table_leave(table, "2001:db8::2:1");
	client_table_leave(table, "2001:db8:0:1::1");
	assert_int_equal(client_table_count(table), 0);
	talloc_free(table);
}

static void what_is_no_address_is_not_counted(void **state)
{
	struct client_table *table = client_table_new(NULL, 32, 84);

	assert_int_equal(client_table_enter(table, "unknown"), 0);
	client_table_leave(table, "unknown");
	client_table_leave(table, "192.0.2.1");
	assert_int_equal(client_table_count(table), 0);
	talloc_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_are_counted_for_each_client),
		cmocka_unit_test(addresses_of_one_network_are_one_client),
		cmocka_unit_test(what_is_no_address_is_not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
