/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "plan/schedule.h"

enum { SENT_MAX = 4096 };

/* A schedule with one transport, a clock of ours, and what came out. */
struct world {
	struct heap timers;
	struct schedule *schedule;
	struct transport *transport;
	struct entry *sent[SENT_MAX];
	int sent_count;
	struct entry *given_up[SENT_MAX];
	int given_up_count;
	char why[FAULT_TEXT_MAX_BYTES];
	enum schedule_sent answer;
	uint64_t now_ms;
};

static enum schedule_sent world_send(void *arg, struct transport *transport,
				     struct entry *entry)
{
	struct world *world = arg;

	if (world->answer != SCHEDULE_SENT)
		return world->answer;
	world->sent[world->sent_count++] = entry;
	return SCHEDULE_SENT;
}

static void world_give_up(void *arg, struct entry *entry,
			  const struct fault *why)
{
	struct world *world = arg;

	world->given_up[world->given_up_count++] = entry;
	snprintf(world->why, sizeof(world->why), "%s", why->text);
}

static const struct schedule_ops world_ops = { world_send, world_give_up };

static const struct transport_settings usual = {
	.concurrency_limit = 20,
	.initial_concurrency = 5,
	.recipient_limit = 50,
	.failed_cohort_limit = 1,
	.positive = { FEEDBACK_FIXED, 1 },
	.negative = { FEEDBACK_FIXED, 1 },
	.slot_cost = 5,
	.slot_loan = 3,
	.slot_discount = 50,
	.minimum_slots = 3,
};

static struct world *world_new(const struct transport_settings *settings)
{
	struct world *world = mem_new(NULL, struct world);

	world->now_ms = 1000;
	heap_init(&world->timers, world);
	world->schedule =
		schedule_new(world, &world->timers, &world_ops, world);
	world->transport =
		schedule_transport_add(world->schedule, "smtp", settings);
	world->transport->capacity = 100;
	return world;
}

/* One message with `count` deliveries to `nexthop`; `name` marks them. */
static void world_mail(struct world *world, const char *name,
		       const char *nexthop, int count)
{
	struct job *job = schedule_job_new(world->transport);
	struct destination *destination =
		schedule_destination(world->transport, nexthop);

	for (int i = 0; i < count; i++) {
		struct entry *entry = mem_new(world, struct entry);

		entry->owner = (void *)(uintptr_t)name;
		schedule_add(job, destination, entry);
	}
}

static void world_run(struct world *world)
{
	timers_run(&world->timers, world->now_ms);
	schedule_run(world->schedule, world->now_ms);
}

/* Finish the delivery that was sent as number i. */
static void world_done(struct world *world, int i, enum rc site)
{
	struct fault fault;

	if (site == RC_OK)
		fault.rc = RC_OK;
	else
		fault_set(&fault, site, "4.4.1", "connect refused");
	schedule_entry_done(world->sent[i], &fault, world->now_ms);
}

static const char *sent_name(const struct world *world, int i)
{
	return world->sent[i]->owner;
}

static int window(struct world *world, const char *nexthop)
{
	return schedule_destination_window(
		schedule_destination(world->transport, nexthop));
}

static void a_destination_begins_with_the_initial_concurrency(void **state)
{
	struct world *world = world_new(&usual);

	for (int i = 0; i < 30; i++)
		world_mail(world, "a", "one.test", 1);
	world_run(world);
	assert_int_equal(world->sent_count, 5);
	talloc_free(world);
}

static void success_opens_the_window_up_to_the_limit(void **state)
{
	struct world *world = world_new(&usual);
	int done = 0;

	for (int i = 0; i < 200; i++)
		world_mail(world, "a", "one.test", 1);
	world_run(world);
	world_done(world, done++, RC_OK);
	assert_int_equal(window(world, "one.test"), 6);
	world_run(world);
	assert_int_equal(world->sent_count, 7);
	while (done < 60) {
		world_done(world, done++, RC_OK);
		world_run(world);
	}
	assert_int_equal(window(world, "one.test"), 20);
	assert_int_equal(world->sent_count - done, 20);
	talloc_free(world);
}

static void feedback_by_concurrency_takes_a_whole_cohort(void **state)
{
	struct transport_settings gentle = usual;
	struct world *world;

	gentle.positive.form = FEEDBACK_BY_N;
	world = world_new(&gentle);
	for (int i = 0; i < 200; i++)
		world_mail(world, "a", "one.test", 1);
	world_run(world);
	for (int i = 0; i < 4; i++)
		world_done(world, i, RC_OK);
	assert_int_equal(window(world, "one.test"), 5);
	world_run(world);
	for (int i = 4; i < 6; i++)
		world_done(world, i, RC_OK);
	assert_int_equal(window(world, "one.test"), 6);
	talloc_free(world);
}

static void one_failed_cohort_suspends_the_destination(void **state)
{
	struct world *world = world_new(&usual);

	for (int i = 0; i < 30; i++)
		world_mail(world, "a", "dead.test", 1);
	world_mail(world, "b", "fine.test", 1);
	world_run(world);
	assert_int_equal(world->sent_count, 6);
	for (int i = 0; world->given_up_count == 0; i++) {
		assert_true(i < 5);
		world_done(world, i, RC_TEMP);
	}
	/* 1/5 + 1/4 + 1/3 + 1/2 > 1 */
	assert_int_equal(world->given_up_count, 25);
	assert_string_equal(world->why, "delivery temporarily suspended: "
					"connect refused");
	assert_int_equal(window(world, "dead.test"), 0);
	assert_non_null(schedule_destination_dead(
		schedule_destination(world->transport, "dead.test")));

	world->now_ms += 300 * 1000;
	world_run(world);
	assert_null(schedule_destination_dead(
		schedule_destination(world->transport, "dead.test")));
	assert_int_equal(window(world, "dead.test"), 5);
	talloc_free(world);
}

static void gentle_feedback_needs_more_cohorts_to_give_up(void **state)
{
	struct transport_settings gentle = usual;
	struct world *world;

	gentle.negative.form = FEEDBACK_BY_N;
	gentle.failed_cohort_limit = 10;
	world = world_new(&gentle);
	for (int i = 0; i < 60; i++)
		world_mail(world, "a", "sick.test", 1);
	world_run(world);
	for (int i = 0; i < 12; i++) {
		world_done(world, i, RC_TEMP);
		world_run(world);
		assert_int_equal(world->given_up_count, 0);
	}
	assert_true(window(world, "sick.test") >= 1);
	world_done(world, 12, RC_OK); /* forgets the failures */
	assert_int_equal(world->given_up_count, 0);
	talloc_free(world);
}

static void
an_answer_that_says_nothing_about_the_site_changes_nothing(void **state)
{
	struct world *world = world_new(&usual);

	for (int i = 0; i < 30; i++)
		world_mail(world, "a", "one.test", 1);
	world_run(world);
	schedule_entry_done(world->sent[0], NULL, world->now_ms);
	assert_int_equal(window(world, "one.test"), 5);
	talloc_free(world);
}

static void destinations_are_served_in_turn(void **state)
{
	struct world *world = world_new(&usual);
	struct job *job;

	world->transport->capacity = 4;
	job = schedule_job_new(world->transport);
	for (int d = 0; d < 2; d++)
		for (int i = 0; i < 4; i++) {
			struct entry *entry = mem_new(world, struct entry);

			entry->owner = (void *)(uintptr_t)(d == 0 ? "a" : "b");
			schedule_add(job,
				     schedule_destination(world->transport,
							  d == 0 ? "a.test"
								 : "b.test"),
				     entry);
		}
	world_run(world);
	assert_int_equal(world->sent_count, 4);
	assert_string_equal(sent_name(world, 0), "a");
	assert_string_equal(sent_name(world, 1), "b");
	assert_string_equal(sent_name(world, 2), "a");
	assert_string_equal(sent_name(world, 3), "b");
	talloc_free(world);
}

static void mail_to_a_blocked_destination_does_not_hold_up_others(void **state)
{
	struct world *world = world_new(&usual);
	int fast = 0;

	world_mail(world, "slow", "slow.test", 50);
	world_mail(world, "fast", "fast.test", 1);
	world_run(world);
	assert_int_equal(world->sent_count, 6);
	for (int i = 0; i < 6; i++)
		fast += strcmp(sent_name(world, i), "fast") == 0;
	assert_int_equal(fast, 1);
	talloc_free(world);
}

static void a_letter_passes_a_newsletter(void **state)
{
	struct transport_settings one = usual;
	struct world *world;
	int at = -1, letters = 0;

	one.concurrency_limit = one.initial_concurrency = 1;
	world = world_new(&one);
	world_mail(world, "news", "relay.test", 1000);
	for (int i = 0; i < 30; i++)
		world_mail(world, "letter", "relay.test", 1);
	for (int i = 0; i < 300; i++) {
		world_run(world);
		assert_int_equal(world->sent_count, i + 1);
		if (strcmp(sent_name(world, i), "letter") == 0) {
			letters++;
			if (at < 0)
				at = i;
		}
		world_done(world, i, RC_OK);
	}
	assert_true(at >= 0 && at < 10);
	/* All letters went by, at most one for five of the newsletter and the
	 * loan; the newsletter was not starved. */
	assert_int_equal(letters, 30);
	assert_true(300 - letters >= 5 * (letters - 4));
	talloc_free(world);
}

static void a_small_message_does_not_pass_a_small_one(void **state)
{
	struct transport_settings one = usual;
	struct world *world;

	one.concurrency_limit = one.initial_concurrency = 1;
	world = world_new(&one);
	world_mail(world, "first", "relay.test", 10);
	world_mail(world, "second", "relay.test", 1);
	for (int i = 0; i < 10; i++) {
		world_run(world);
		assert_string_equal(sent_name(world, i), "first");
		world_done(world, i, RC_OK);
	}
	world_run(world);
	assert_string_equal(sent_name(world, 10), "second");
	talloc_free(world);
}

static void a_rate_delay_keeps_deliveries_apart(void **state)
{
	struct transport_settings slow = usual;
	struct world *world;

	slow.rate_delay_s = 2;
	slow.concurrency_limit = slow.initial_concurrency = 1;
	world = world_new(&slow);
	for (int i = 0; i < 3; i++)
		world_mail(world, "a", "slow.test", 1);
	world_mail(world, "b", "other.test", 1);
	world_run(world);
	assert_int_equal(world->sent_count, 2);
	world->now_ms += 500;
	world_done(world, 0, RC_OK);
	world_run(world);
	assert_int_equal(world->sent_count, 2);
	world->now_ms += 1999;
	world_run(world);
	assert_int_equal(world->sent_count, 2);
	world->now_ms += 1;
	world_run(world);
	assert_int_equal(world->sent_count, 3);
	talloc_free(world);
}

static void a_transport_rate_delay_counts_for_all_destinations(void **state)
{
	struct transport_settings slow = usual;
	struct world *world;

	slow.transport_rate_delay_s = 1;
	world = world_new(&slow);
	world_mail(world, "a", "a.test", 1);
	world_mail(world, "b", "b.test", 1);
	world_run(world);
	assert_int_equal(world->sent_count, 1);
	world_done(world, 0, RC_OK);
	world->now_ms += 999;
	world_run(world);
	assert_int_equal(world->sent_count, 1);
	world->now_ms += 1;
	world_run(world);
	assert_int_equal(world->sent_count, 2);
	talloc_free(world);
}

static void the_agent_takes_what_it_said_it_can(void **state)
{
	struct world *world = world_new(&usual);

	world->transport->capacity = 0;
	for (int i = 0; i < 9; i++)
		world_mail(world, "a", i % 2 == 0 ? "a.test" : "b.test", 1);
	world_run(world);
	assert_int_equal(world->sent_count, 0);
	world->transport->capacity = 3;
	world_run(world);
	assert_int_equal(world->sent_count, 3);
	talloc_free(world);
}

static void a_dead_transport_gives_up_what_waits(void **state)
{
	struct world *world = world_new(&usual);
	struct fault fault;

	fault_set(&fault, RC_TEMP, "4.3.0", "mail transport unavailable");
	world->transport->capacity = 0;
	for (int i = 0; i < 9; i++)
		world_mail(world, "a", i % 2 == 0 ? "a.test" : "b.test", 1);
	schedule_transport_die(world->transport, world->now_ms + 60000, &fault);
	assert_int_equal(world->given_up_count, 9);
	assert_string_equal(world->why, "mail transport unavailable");
	assert_int_equal(world->transport->todo, 0);
	world->now_ms += 60000;
	world_run(world);
	assert_false(world->transport->is_dead);
	talloc_free(world);
}

static void what_an_agent_died_with_is_first_in_line(void **state)
{
	struct transport_settings one = usual;
	struct world *world;

	one.concurrency_limit = one.initial_concurrency = 1;
	world = world_new(&one);
	world_mail(world, "first", "a.test", 1);
	world_mail(world, "second", "a.test", 1);
	world_run(world);
	schedule_entry_again(world->sent[0], world->now_ms);
	world_run(world);
	assert_int_equal(world->sent_count, 2);
	assert_string_equal(sent_name(world, 1), "first");
	talloc_free(world);
}

static void a_full_socket_loses_nothing(void **state)
{
	struct world *world = world_new(&usual);

	world_mail(world, "a", "a.test", 2);
	world->answer = SCHEDULE_BLOCKED;
	world_run(world);
	assert_int_equal(world->sent_count, 0);
	assert_true(world->transport->is_blocked);
	world->answer = SCHEDULE_SENT;
	world_run(world);
	assert_int_equal(world->sent_count, 0);
	world->transport->is_blocked = false;
	world_run(world);
	assert_int_equal(world->sent_count, 2);
	talloc_free(world);
}

static void withdrawn_entries_leave_nothing_behind(void **state)
{
	struct world *world = world_new(&usual);
	struct job *job = schedule_job_new(world->transport);
	struct entry entries[3] = { 0 };

	for (int i = 0; i < 3; i++)
		schedule_add(job,
			     schedule_destination(world->transport,
						  i == 0 ? "a.test" : "b.test"),
			     &entries[i]);
	for (int i = 0; i < 3; i++)
		schedule_entry_done(&entries[i], NULL, world->now_ms);
	assert_null(world->transport->jobs);
	assert_null(world->transport->destinations);
	world_run(world);
	assert_int_equal(world->sent_count, 0);
	talloc_free(world);
}

static void feedback_has_the_documented_forms(void **state)
{
	static const struct {
		const char *text;
		bool fine;
		enum feedback_form form;
		double amount;
	} cases[] = {
		{ "1", true, FEEDBACK_FIXED, 1 },
		{ "0", true, FEEDBACK_FIXED, 0 },
		{ "0.25", true, FEEDBACK_FIXED, 0.25 },
		{ "1/concurrency", true, FEEDBACK_BY_N, 1 },
		{ "0.5 / sqrt_concurrency", true, FEEDBACK_BY_SQRT_N, 0.5 },
		{ " .5 ", true, FEEDBACK_FIXED, 0.5 },
		{ "2", false, 0, 0 },
		{ "-1", false, 0, 0 },
		{ "", false, 0, 0 },
		{ "1/", false, 0, 0 },
		{ "1/n", false, 0, 0 },
		{ "1.2.3", false, 0, 0 },
		{ "x", false, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct feedback feedback;
		struct fault fault;
		enum rc rc = feedback_parse(cases[i].text, &feedback, &fault);

		print_message("  \"%s\"\n", cases[i].text);
		assert_int_equal(rc, cases[i].fine ? RC_OK : RC_CONF);
		if (!cases[i].fine)
			continue;
		assert_int_equal(feedback.form, cases[i].form);
		assert_true(feedback.amount == cases[i].amount);
	}
}

static void a_heap_gives_back_in_order(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct heap heap;
	struct heap_item items[1000] = { 0 };
	uint64_t seed = 1, last = 0;

	heap_init(&heap, mem);
	for (size_t i = 0; i < ARRAY_LEN(items); i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		heap_put(&heap, &items[i], seed >> 55);
	}
	for (size_t i = 0; i < ARRAY_LEN(items); i += 3)
		heap_drop(&heap, &items[i]);
	for (size_t i = 1; i < ARRAY_LEN(items); i += 3)
		heap_put(&heap, &items[i], items[i].key / 2);
	for (uint32_t left = heap.count; left > 0; left--) {
		struct heap_item *item = heap_top(&heap);

		assert_true(item->key >= last);
		last = item->key;
		heap_drop(&heap, item);
		assert_int_equal(heap.count, left - 1);
	}
	assert_null(heap_top(&heap));
	talloc_free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_destination_begins_with_the_initial_concurrency),
		cmocka_unit_test(success_opens_the_window_up_to_the_limit),
		cmocka_unit_test(feedback_by_concurrency_takes_a_whole_cohort),
		cmocka_unit_test(one_failed_cohort_suspends_the_destination),
		cmocka_unit_test(gentle_feedback_needs_more_cohorts_to_give_up),
		cmocka_unit_test(
			an_answer_that_says_nothing_about_the_site_changes_nothing),
		cmocka_unit_test(destinations_are_served_in_turn),
		cmocka_unit_test(
			mail_to_a_blocked_destination_does_not_hold_up_others),
		cmocka_unit_test(a_letter_passes_a_newsletter),
		cmocka_unit_test(a_small_message_does_not_pass_a_small_one),
		cmocka_unit_test(a_rate_delay_keeps_deliveries_apart),
		cmocka_unit_test(
			a_transport_rate_delay_counts_for_all_destinations),
		cmocka_unit_test(the_agent_takes_what_it_said_it_can),
		cmocka_unit_test(a_dead_transport_gives_up_what_waits),
		cmocka_unit_test(what_an_agent_died_with_is_first_in_line),
		cmocka_unit_test(a_full_socket_loses_nothing),
		cmocka_unit_test(withdrawn_entries_leave_nothing_behind),
		cmocka_unit_test(feedback_has_the_documented_forms),
		cmocka_unit_test(a_heap_gives_back_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
