/* SPDX-License-Identifier: Apache-2.0 */
#include "../cmocka_all.h"

#include "arrive/smtpd/client_table.h"

enum { UNIT_S = 60 };

/* One connection more; how many there are. */
static int enter(struct client_table *table, const char *address)
{
	struct net_network key = client_key(table, address);

	return client_table_enter(table, &key, 1000).connections;
}

static void leave(struct client_table *table, const char *address)
{
	struct net_network key = client_key(table, address);

	client_table_leave(table, &key, 1000);
}

static int count(struct client_table *table, const char *address,
		 enum client_event event, uint64_t now_ms)
{
	struct net_network key = client_key(table, address);

	return client_table_count(table, &key, event, now_ms);
}

static void connections_are_counted_for_each_client(void **state)
{
	struct client_table *table = client_table_new(NULL, 32, 84, UNIT_S);

	assert_int_equal(enter(table, "192.0.2.1"), 1);
	assert_int_equal(enter(table, "192.0.2.2"), 1);
	assert_int_equal(enter(table, "192.0.2.1"), 2);
	leave(table, "192.0.2.1");
	assert_int_equal(enter(table, "192.0.2.1"), 2);
	leave(table, "192.0.2.1");
	leave(table, "192.0.2.1");
	assert_int_equal(enter(table, "192.0.2.1"), 1);
	talloc_free(table);
}

static void addresses_of_one_network_are_one_client(void **state)
{
	struct client_table *table = client_table_new(NULL, 24, 64, UNIT_S);

	assert_int_equal(enter(table, "192.0.2.1"), 1);
	assert_int_equal(enter(table, "192.0.2.200"), 2);
	assert_int_equal(enter(table, "192.0.3.1"), 1);
	assert_int_equal(enter(table, "2001:db8::1"), 1);
	assert_int_equal(enter(table, "2001:db8::2:1"), 2);
	assert_int_equal(enter(table, "2001:db8:0:1::1"), 1);
	assert_int_equal(client_table_size(table), 4);
	talloc_free(table);
}

static void what_is_no_address_is_not_counted(void **state)
{
	struct client_table *table = client_table_new(NULL, 32, 84, UNIT_S);

	assert_int_equal(enter(table, "unknown"), 0);
	leave(table, "unknown");
	leave(table, "192.0.2.1");
	assert_int_equal(count(table, "unknown", CLIENT_SENDS, 1), 0);
	assert_int_equal(client_table_size(table), 0);
	talloc_free(table);
}

static void rates_begin_anew_when_the_unit_is_over(void **state)
{
	struct client_table *table = client_table_new(NULL, 32, 84, UNIT_S);
	struct net_network key = client_key(table, "192.0.2.1");

	assert_int_equal(count(table, "192.0.2.1", CLIENT_SENDS, 5000), 1);
	assert_int_equal(count(table, "192.0.2.1", CLIENT_SENDS, 64999), 2);
	assert_int_equal(count(table, "192.0.2.1", CLIENT_LOGS_IN, 64999), 1);
	assert_int_equal(client_table_rate(table, &key, CLIENT_SENDS, 64999),
			 2);
	assert_int_equal(client_table_rate(table, &key, CLIENT_SENDS, 65000),
			 0);
	assert_int_equal(count(table, "192.0.2.1", CLIENT_SENDS, 65000), 1);
	talloc_free(table);
}

static void clients_that_went_are_forgotten(void **state)
{
	struct client_table *table = client_table_new(NULL, 32, 84, UNIT_S);
	char text[40];

	for (int i = 0; i < CLIENTS_REMEMBERED + 100; i++) {
		snprintf(text, sizeof(text), "10.%d.%d.%d", i >> 16,
			 i >> 8 & 255, i & 255);
		assert_int_equal(enter(table, text), 1);
		leave(table, text);
	}
	assert_true(client_table_size(table) <= CLIENTS_REMEMBERED + 1);
	for (uint64_t i = 0; i < CLIENTS_REMEMBERED; i++)
		assert_int_not_equal(count(table, "192.0.2.1", CLIENT_SENDS,
					   100000 + i),
				     0);
	assert_int_equal(client_table_size(table), 1);
	talloc_free(table);
}

static void keep_line(void *arg, const char *line)
{
	char *all = arg;

	strncat(all, line, 2000);
	strncat(all, "\n", 2);
}

static void what_was_highest_is_reported_once(void **state)
{
	struct client_table *table = client_table_new(NULL, 32, 64, UNIT_S);
	char all[4096] = "", *at;

	enter(table, "192.0.2.1");
	enter(table, "192.0.2.1");
	enter(table, "192.0.2.2");
	count(table, "2001:db8::1", CLIENT_ADDRESSES, 1000);
	client_table_report(table, "smtp", keep_line, all);
	while ((at = strstr(all, " at ")) != NULL) /* without the times */
		memmove(at, strchr(at, '\n'), strlen(strchr(at, '\n')) + 1);
	assert_string_equal(
		all,
		"statistics: max connection rate 2/60s for (smtp:192.0.2.1)\n"
		"statistics: max connection count 2 for (smtp:192.0.2.1)\n"
		"statistics: max recipient rate 1/60s for "
		"(smtp:[2001:db8::]/64)\n"
		"statistics: max cache size 3\n");
	all[0] = '\0';
	client_table_report(table, "smtp", keep_line, all);
	assert_string_equal(all, "");
	talloc_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_are_counted_for_each_client),
		cmocka_unit_test(addresses_of_one_network_are_one_client),
		cmocka_unit_test(what_is_no_address_is_not_counted),
		cmocka_unit_test(rates_begin_anew_when_the_unit_is_over),
		cmocka_unit_test(clients_that_went_are_forgotten),
		cmocka_unit_test(what_was_highest_is_reported_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
