/* SPDX-License-Identifier: Apache-2.0 */
#include "report/verify.h"

#include "../cmocka_all.h"

enum { DAY_S = 86400, NOW_S = 1795313579, EVENTS_MAX = 64 };

/* What the state machine has asked for, one line each. */
struct world {
	struct verify *verify;
	char events[EVENTS_MAX][200];
	int count;
};

static void event(struct world *w, const char *format, ...) PRINTF(2, 3);
static void event(struct world *w, const char *format, ...)
{
	va_list args;

	assert_true(w->count < EVENTS_MAX);
	va_start(args, format);
	vsnprintf(w->events[w->count++], sizeof(w->events[0]), format, args);
	va_end(args);
}

static void on_probe(void *arg, const char *address)
{
	event(arg, "probe %s", address);
}

static void on_find(void *arg, const char *address)
{
	event(arg, "find %s", address);
}

static void on_save(void *arg, const char *address, const char *text)
{
	event(arg, "save %s %s", address, text == NULL ? "-" : text);
}

static void on_answer(void *arg, struct verify_waiter waiter,
		      enum verify_status status, const char *text)
{
	event(arg, "answer %d.%d: %d %s", (int)waiter.peer, (int)waiter.number,
	      status, text);
}

static struct world *world_new(bool all_loaded, bool negative_cache)
{
	const struct verify_settings settings = {
		.positive_expire_s = 31 * DAY_S,
		.positive_refresh_s = 7 * DAY_S,
		.negative_expire_s = 3 * DAY_S,
		.negative_refresh_s = 3 * 3600,
		.negative_cache = negative_cache,
		.pending_max = 2,
	};
	const struct verify_ops ops = { on_probe, on_find, on_save, on_answer };
	struct world *w = mem_new(NULL, struct world);

	w->verify = verify_new(w, &settings, &ops, w);
	if (all_loaded)
		verify_all_loaded(w->verify);
	return w;
}

#define EXPECT(w, ...)                                                         \
	expect(w, (const char *const[]){ __VA_ARGS__, NULL })
static void expect(struct world *w, const char *const *lines)
{
	int i = 0;

	for (; lines[i] != NULL; i++) {
		assert_true(i < w->count);
		assert_string_equal(w->events[i], lines[i]);
	}
	assert_int_equal(w->count, i);
	w->count = 0;
}

static void ask(struct world *w, const char *address, int number, int64_t now_s)
{
	struct verify_waiter waiter = { .peer = 1, .number = (uint64_t)number };

	verify_ask(w->verify, address, waiter, now_s);
}

#define PROGRESS "3 Address verification in progress"

static void one_probe_serves_all_who_ask(void **state)
{
	struct world *w = world_new(true, true);

	ask(w, "jo@a.test", 1, NOW_S);
	ask(w, "jo@a.test", 2, NOW_S + 1);
	EXPECT(w, "answer 1.1: " PROGRESS, "probe jo@a.test",
	       "answer 1.2: " PROGRESS);
	verify_result(w->verify, "jo@a.test", VERIFY_OK, "250 ok", NOW_S + 2);
	EXPECT(w, "save jo@a.test 0:0:1795313581:250 ok", "answer 1.2: 0 250 ok",
	       "answer 1.1: 0 250 ok");
	ask(w, "jo@a.test", 3, NOW_S + 3);
	EXPECT(w, "answer 1.3: 0 250 ok");
	talloc_free(w);
}

static void what_is_old_is_probed_again_and_what_expired_is_unknown(void **state)
{
	static const struct {
		const char *why, *entry;
		int age_s;
		const char *first, *second;
	} cases[] = {
		{ "good and fresh", "0:0:%lld:ok", 7 * DAY_S,
		  "answer 1.1: 0 ok", NULL },
		{ "good and old", "0:0:%lld:ok", 7 * DAY_S + 1,
		  "answer 1.1: 0 ok", "probe jo@a.test" },
		{ "good and expired", "0:0:%lld:ok", 31 * DAY_S + 1,
		  "save jo@a.test -", NULL },
		{ "bad and fresh", "2:0:%lld:no", 3 * 3600,
		  "answer 1.1: 2 no", NULL },
		{ "bad and old", "1:0:%lld:no", 3 * 3600 + 1,
		  "answer 1.1: 1 no", "probe jo@a.test" },
		{ "bad and expired", "2:0:%lld:no", 3 * DAY_S + 1,
		  "save jo@a.test -", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world *w = world_new(true, true);
		const char *entry;

		print_message("  %s\n", cases[i].why);
		entry = mem_printf(
			w, "%.4s%lld%s", cases[i].entry,
			(long long)NOW_S - cases[i].age_s,
			strrchr(cases[i].entry, ':'));
		verify_load(w->verify, SPAN_OF("jo@a.test"), span_from(entry),
			    NOW_S);
		if (cases[i].first[0] == 's') {
			EXPECT(w, cases[i].first);
			ask(w, "jo@a.test", 1, NOW_S);
			EXPECT(w, "answer 1.1: " PROGRESS, "probe jo@a.test");
		} else {
			ask(w, "jo@a.test", 1, NOW_S);
			EXPECT(w, cases[i].first, cases[i].second);
		}
		talloc_free(w);
	}
}

static void entries_that_are_none_are_forgotten(void **state)
{
	static const char *const texts[] = {
		"", "0", "0:0:", "0:0:x:ok", "9:0:1795313579:ok", "-1:0:1:x",
		"3:1795313570:0:in progress", "0:0:99999999999999999999:ok",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct world *w = world_new(true, true);

		print_message("  \"%s\"\n", texts[i]);
		verify_load(w->verify, SPAN_OF("jo@a.test"),
			    span_from(texts[i]), NOW_S);
		EXPECT(w, "save jo@a.test -");
		talloc_free(w);
	}
}

static void a_bad_result_waits_until_the_good_one_expires(void **state)
{
	struct world *w = world_new(true, true);

	verify_result(w->verify, "jo@a.test", VERIFY_OK, "ok", NOW_S);
	w->count = 0;
	ask(w, "jo@a.test", 1, NOW_S + 8 * DAY_S);
	verify_result(w->verify, "jo@a.test", VERIFY_BOUNCE, "no",
		      NOW_S + 8 * DAY_S);
	EXPECT(w, "answer 1.1: 0 ok", "probe jo@a.test");
	ask(w, "jo@a.test", 2, NOW_S + 32 * DAY_S);
	verify_result(w->verify, "jo@a.test", VERIFY_BOUNCE, "no",
		      NOW_S + 32 * DAY_S);
	EXPECT(w, "answer 1.2: " PROGRESS, "probe jo@a.test",
	       "save jo@a.test 2:0:1798078379:no", "answer 1.2: 2 no");
	verify_result(w->verify, "jo@a.test", VERIFY_OK, "ok again",
		      NOW_S + 32 * DAY_S);
	EXPECT(w, "save jo@a.test 0:0:1798078379:ok again");
	talloc_free(w);
}

static void without_a_negative_cache_a_bad_result_is_no_answer(void **state)
{
	struct world *w = world_new(true, false);

	for (int i = 0; i < 2; i++) {
		ask(w, "jo@a.test", 1, NOW_S);
		verify_result(w->verify, "jo@a.test", VERIFY_BOUNCE, "no",
			      NOW_S);
		EXPECT(w, "answer 1.1: " PROGRESS, "probe jo@a.test",
		       "answer 1.1: " PROGRESS);
	}
	assert_int_equal(verify_pending(w->verify), 0);
	talloc_free(w);
}

static void a_probe_that_is_lost_or_failed_is_made_again(void **state)
{
	struct world *w = world_new(true, true);

	ask(w, "jo@a.test", 1, NOW_S);
	verify_probe_failed(w->verify, "jo@a.test");
	EXPECT(w, "answer 1.1: " PROGRESS, "probe jo@a.test",
	       "answer 1.1: " PROGRESS);
	ask(w, "jo@a.test", 2, NOW_S);
	w->count = 0;
	ask(w, "jo@a.test", 3, NOW_S + VERIFY_PROBE_S);
	EXPECT(w, "answer 1.3: " PROGRESS);
	ask(w, "jo@a.test", 4, NOW_S + VERIFY_PROBE_S + 1);
	EXPECT(w, "answer 1.4: " PROGRESS, "probe jo@a.test");
	assert_int_equal(verify_pending(w->verify), 1);
	talloc_free(w);
}

static void beyond_the_limit_nobody_waits(void **state)
{
	struct world *w = world_new(true, true);

	ask(w, "a@a.test", 1, NOW_S);
	ask(w, "b@a.test", 2, NOW_S);
	w->count = 0;
	ask(w, "c@a.test", 3, NOW_S);
	EXPECT(w, "answer 1.3: " PROGRESS,
	       "answer 1.3: 1 too many address verification requests");
	verify_result(w->verify, "a@a.test", VERIFY_OK, "ok", NOW_S);
	w->count = 0;
	ask(w, "c@a.test", 4, NOW_S);
	EXPECT(w, "answer 1.4: " PROGRESS, "probe c@a.test");
	talloc_free(w);
}

static void a_table_that_cannot_be_listed_is_asked_first(void **state)
{
	struct world *w = world_new(false, true);

	ask(w, "jo@a.test", 1, NOW_S);
	ask(w, "jo@a.test", 2, NOW_S);
	EXPECT(w, "answer 1.1: " PROGRESS, "find jo@a.test",
	       "answer 1.2: " PROGRESS);
	verify_found(w->verify, "jo@a.test", SPAN_OF("2:0:1795313500:no"),
		     NOW_S);
	EXPECT(w, "answer 1.2: 2 no", "answer 1.1: 2 no");
	ask(w, "ann@a.test", 3, NOW_S);
	w->count = 0;
	verify_found(w->verify, "ann@a.test", (struct span){ NULL, 0 }, NOW_S);
	EXPECT(w, "probe ann@a.test");
	verify_result(w->verify, "ann@a.test", VERIFY_OK, "ok", NOW_S);
	EXPECT(w, "save ann@a.test 0:0:1795313579:ok", "answer 1.3: 0 ok");
	talloc_free(w);
}

static void who_is_gone_is_not_answered(void **state)
{
	struct world *w = world_new(true, true);

	ask(w, "jo@a.test", 1, NOW_S);
	verify_peer_gone(w->verify, 1);
	w->count = 0;
	verify_result(w->verify, "jo@a.test", VERIFY_OK, "ok", NOW_S);
	EXPECT(w, "save jo@a.test 0:0:1795313579:ok");
	talloc_free(w);
}

static void cleaning_drops_what_has_expired(void **state)
{
	struct world *w = world_new(true, true);
	uint32_t retained, dropped;

	verify_result(w->verify, "bad@a.test", VERIFY_BOUNCE, "no", NOW_S);
	verify_result(w->verify, "good@a.test", VERIFY_OK, "ok", NOW_S);
	w->count = 0;
	verify_clean(w->verify, NOW_S + 4 * DAY_S, &retained, &dropped);
	assert_int_equal(retained, 1);
	assert_int_equal(dropped, 1);
	EXPECT(w, "save bad@a.test -");
	verify_load(w->verify, SPAN_OF("_LAST_CACHE_CLEANUP_COMPLETED_"),
		    SPAN_OF("1795313578"), NOW_S);
	assert_int_equal(w->count, 0);
	talloc_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_probe_serves_all_who_ask),
		cmocka_unit_test(
			what_is_old_is_probed_again_and_what_expired_is_unknown),
		cmocka_unit_test(entries_that_are_none_are_forgotten),
		cmocka_unit_test(a_bad_result_waits_until_the_good_one_expires),
		cmocka_unit_test(
			without_a_negative_cache_a_bad_result_is_no_answer),
		cmocka_unit_test(a_probe_that_is_lost_or_failed_is_made_again),
		cmocka_unit_test(beyond_the_limit_nobody_waits),
		cmocka_unit_test(a_table_that_cannot_be_listed_is_asked_first),
		cmocka_unit_test(who_is_gone_is_not_answered),
		cmocka_unit_test(cleaning_drops_what_has_expired),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
