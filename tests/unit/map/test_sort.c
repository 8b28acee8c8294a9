/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "map/table_sort.h"
#include "../cmocka_all.h"

enum { MANY = 200000, VALUE_BYTES = 300, DISTINCT = 150000 };

struct seen {
	size_t records, duplicates;
	char last[64];
	enum table_order order;
	bool last_wins, sorted;
};

static enum rc look(void *arg, const struct table_record *record,
		    struct fault *fault)
{
	struct seen *seen = arg;
	unsigned int number = 0;
	char key[64];

	snprintf(key, sizeof(key), "%.*s", SPAN_FMT(record->key));
	assert_int_equal(sscanf(key, "key%u", &number), 1);
	assert_int_equal(record->value.len, VALUE_BYTES);
	/* The second time round a key is DISTINCT lines later. */
	if (record->winner_line != 0) {
		unsigned int low = number + 1, high = number + 1 + DISTINCT;

		seen->duplicates++;
		assert_string_equal(key, seen->last);
		assert_int_equal(record->line, seen->last_wins ? low : high);
		assert_int_equal(record->winner_line,
				 seen->last_wins ? high : low);
		return RC_OK;
	}
	seen->records++;
	if (seen->order == TABLE_BY_KEY)
		seen->sorted &= strcmp(seen->last, key) < 0;
	memcpy(seen->last, key, sizeof(key));
	return RC_OK;
}

static void sort_and_look(enum table_order order, bool last_wins, size_t count,
			  struct seen *seen)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct table_sort *sort =
		table_sort_new(mem, "/tmp/sorted.db", order, last_wins);
	char value[VALUE_BYTES];
	struct fault fault;

	memset(value, 'v', sizeof(value));
	*seen = (struct seen){ .order = order,
			       .last_wins = last_wins,
			       .sorted = true };
	for (size_t i = 0; i < count; i++) {
		const char *key = mem_printf(mem, "key%zu", i % DISTINCT);

		assert_int_equal(
			table_sort_add(sort, span_from(key),
				       (struct span){ value, sizeof(value) },
				       (unsigned int)i + 1, &fault),
			RC_OK);
	}
	assert_int_equal(table_sort_count(sort), count);
	assert_int_equal(table_sort_each(sort, look, seen, &fault), RC_OK);
	talloc_free(mem);
}

static void records_come_in_order_and_equal_keys_by_line(void **state)
{
	static const struct {
		const char *why;
		enum table_order order;
		bool last_wins;
		size_t count;
	} cases[] = {
		{ "none", TABLE_BY_KEY, false, 0 },
		{ "in memory", TABLE_BY_KEY, false, 1000 },
		{ "in runs", TABLE_BY_KEY, false, MANY },
		{ "in runs, the last line counts", TABLE_BY_KEY, true, MANY },
		{ "by hash, in memory", TABLE_BY_HASH, false, 1000 },
		{ "by hash, in runs", TABLE_BY_HASH, true, MANY },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t want = MIN_OF(cases[i].count, (size_t)DISTINCT);
		struct seen seen;

		print_message("  %s\n", cases[i].why);
		sort_and_look(cases[i].order, cases[i].last_wins,
			      cases[i].count, &seen);
		assert_true(seen.sorted);
		assert_int_equal(seen.records, want);
		assert_int_equal(seen.duplicates, cases[i].count - want);
	}
}

struct order {
	unsigned int lines[16];
	size_t count;
};

static enum rc note_line(void *arg, const struct table_record *record,
			 struct fault *fault)
{
	struct order *order = arg;

	order->lines[order->count++] = record->line;
	return RC_OK;
}

static void a_shorter_key_comes_first_and_nul_is_a_byte(void **state)
{
	static const struct span keys[] = { SPAN("b"),	       SPAN("a\0"),
					    SPAN("a"),	       SPAN("a\0b"),
					    SPAN("abcdefghi"), SPAN("abcdefgh"),
					    SPAN("\xff") };
	static const unsigned int want[] = { 3, 2, 4, 6, 5, 1, 7 };
	TALLOC_CTX *mem = talloc_new(NULL);
	struct table_sort *sort =
		table_sort_new(mem, "/tmp/sorted.db", TABLE_BY_KEY, false);
	struct order order = { .count = 0 };
	struct fault fault;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		assert_int_equal(table_sort_add(sort, keys[i], SPAN_OF("v"),
						(unsigned int)i + 1, &fault),
				 RC_OK);
	assert_int_equal(table_sort_each(sort, note_line, &order, &fault),
			 RC_OK);
	assert_int_equal(order.count, ARRAY_LEN(want));
	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		assert_int_equal(order.lines[i], want[i]);
	talloc_free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_come_in_order_and_equal_keys_by_line),
		cmocka_unit_test(a_shorter_key_comes_first_and_nul_is_a_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
