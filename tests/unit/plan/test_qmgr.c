/* SPDX-License-Identifier: Apache-2.0 */
/* What the queue manager does with mail and with results. */
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qmgr_world.h"

static void what_is_delivered_is_finished_with_one_write(void **state)
{
	struct world *world = world_new("");
	struct delivery_request *request;

	announce(world, "AAA111", "ann@a.test", "jo@smtp.test,al@smtp.test");
	hello(world, "private/smtp", 10);
	request = take(world, "private/smtp");
	assert_non_null(request);
	assert_int_equal(request->recipient_count, 2);
	assert_string_equal(request->nexthop, "smtp.test");
	assert_string_equal(request->recipients[1].address, "al@smtp.test");
	assert_string_equal(request->queue_id, "AAA111");
	give(world, "private/smtp", request, &sent);
	assert_null(message(world, "AAA111"));
	assert_int_equal(fake_store()->event_count, 1);
	assert_true(fake_store_saw("finish AAA111"));
	world_free(world);
}

static void what_waits_gets_a_file(void **state)
{
	struct world *world = world_new("minimal_backoff_time = 300s");
	uint64_t wait_us;

	announce(world, "AAA111", "ann@a.test", "jo@smtp.test");
	hello(world, "private/smtp", 10);
	give(world, "private/smtp", take(world, "private/smtp"), &later);
	assert_true(fake_store_saw("move AAA111 0=deferred"));
	assert_true(fake_store_saw("flush"));
	assert_int_equal(message(world, "AAA111")->state, MESSAGE_DEFERRED);
	wait_us = message(world, "AAA111")->due.key - clock_wall_us();
	assert_in_range(wait_us / 1000000, 298, 300);
	world_free(world);
}

static void the_pause_grows_with_age_up_to_the_limit(void **state)
{
	static const struct {
		int age_s, want_s;
	} cases[] = {
		{ 0, 300 }, { 1000, 1000 }, { 3999, 3999 }, { 10000, 4000 }
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world *world = world_new("");
		uint64_t wait_us;

		found(world, "AAA111", "ann@a.test", "jo@smtp.test",
		      cases[i].age_s);
		hello(world, "private/smtp", 10);
		give(world, "private/smtp", take(world, "private/smtp"),
		     &later);
		assert_true(fake_store_saw("record AAA111 0=deferred"));
		assert_true(fake_store_saw("next AAA111"));
		wait_us = message(world, "AAA111")->due.key - clock_wall_us();
		assert_in_range(wait_us / 1000000, cases[i].want_s - 2,
				cases[i].want_s + 1);
		world_free(world);
	}
}

static void a_failure_is_finished_after_its_notice(void **state)
{
	struct world *world = world_new("");
	struct notice_seen notice;

	announce(world, "AAA111", "ann@a.test", "jo@smtp.test");
	hello(world, "private/smtp", 10);
	give(world, "private/smtp", take(world, "private/smtp"), &never);
	hello(world, "private/bounce", 1);
	assert_true(take_notice(world, &notice));
	assert_int_equal(notice.kind, NOTICE_FAILURE);
	assert_string_equal(notice.reason, "no such user");
	assert_true(fake_store_saw("record AAA111 0=bounced"));
	assert_int_equal(fake_store_count("finish"), 0);
	notice_answer(world, notice.id, true);
	assert_true(fake_store_saw("finish AAA111"));
	assert_null(message(world, "AAA111"));
	world_free(world);
}

static void a_notice_that_cannot_be_written_is_tried_again_later(void **state)
{
	struct world *world = world_new("");
	struct notice_seen notice;

	announce(world, "AAA111", "ann@a.test", "jo@smtp.test");
	hello(world, "private/smtp", 10);
	give(world, "private/smtp", take(world, "private/smtp"), &never);
	hello(world, "private/bounce", 1);
	assert_true(take_notice(world, &notice));
	notice_answer(world, notice.id, false);
	assert_int_equal(message(world, "AAA111")->state, MESSAGE_DEFERRED);
	assert_true(fake_store_saw("move AAA111 0=bounced"));
	assert_int_equal(fake_store_count("finish"), 0);
	world_free(world);
}

static void mixed_results_bounce_one_and_keep_the_other(void **state)
{
	struct world *world = world_new("");
	struct notice_seen notice;
	struct delivery_request *request;
	struct packet_out out;

	found(world, "AAA111", "ann@a.test",
	      "bad@smtp.test,ok@smtp.test,full@smtp.test", 10);
	hello(world, "private/smtp", 10);
	request = take(world, "private/smtp");
	packet_begin(&out, world, WIRE_RESULT);
	packet_put_u64(&out, request->id);
	packet_put_u32(&out, 0);
	packet_put_u32(&out, 2);
	put_status(&out, 0, &never);
	put_status(&out, 1, &sent);
	assert_int_equal(packet_send(agent_at(world, "private/smtp")->fd, &out,
				     &world->fault),
			 RC_OK);
	turn(world);
	assert_true(fake_store_saw("record AAA111 0=bounced 1=sent"));
	/* The last one is not mentioned at the end: try it again. */
	packet_begin(&out, world, WIRE_RESULT);
	packet_put_u64(&out, request->id);
	packet_put_u32(&out, 1);
	packet_put_u32(&out, 0);
	assert_int_equal(packet_send(agent_at(world, "private/smtp")->fd, &out,
				     &world->fault),
			 RC_OK);
	turn(world);
	hello(world, "private/bounce", 1);
	assert_true(take_notice(world, &notice));
	assert_int_equal(notice.count, 1);
	notice_answer(world, notice.id, true);
	assert_true(fake_store_saw("noticed AAA111"));
	assert_true(fake_store_saw("record AAA111 2=deferred"));
	assert_int_equal(message(world, "AAA111")->state, MESSAGE_DEFERRED);
	assert_int_equal(message_recipient_count(message(world, "AAA111")), 1);
	talloc_free(request);
	world_free(world);
}

static void what_is_too_old_bounces(void **state)
{
	struct world *world = world_new("maximal_queue_lifetime = 1h\n"
					"bounce_queue_lifetime = 2h\n");
	struct notice_seen notice;

	found(world, "AAA111", "ann@a.test", "jo@smtp.test", 3601);
	hello(world, "private/smtp", 10);
	give(world, "private/smtp", take(world, "private/smtp"), &later);
	hello(world, "private/bounce", 1);
	assert_true(take_notice(world, &notice));
	assert_int_equal(notice.kind, NOTICE_FAILURE);
	notice_answer(world, notice.id, true);
	assert_null(message(world, "AAA111"));

	found(world, "AAA222", "", "jo@smtp.test", 3601);
	give(world, "private/smtp", take(world, "private/smtp"), &later);
	assert_int_equal(message(world, "AAA222")->state, MESSAGE_DEFERRED);
	world_free(world);
}

static void a_lifetime_of_zero_is_one_attempt(void **state)
{
	struct world *world = world_new("maximal_queue_lifetime = 0\n");
	struct notice_seen notice;

	announce(world, "AAA111", "ann@a.test", "jo@smtp.test");
	hello(world, "private/smtp", 10);
	give(world, "private/smtp", take(world, "private/smtp"), &later);
	hello(world, "private/bounce", 1);
	assert_true(take_notice(world, &notice));
	world_free(world);
}

static void a_delay_notice_is_sent_once(void **state)
{
	struct world *world = world_new("delay_warning_time = 1h\n");
	struct notice_seen notice;

	found(world, "AAA111", "ann@a.test", "jo@smtp.test", 3700);
	hello(world, "private/smtp", 10);
	give(world, "private/smtp", take(world, "private/smtp"), &later);
	hello(world, "private/bounce", 1);
	assert_true(take_notice(world, &notice));
	assert_int_equal(notice.kind, NOTICE_DELAY);
	notice_answer(world, notice.id, true);
	assert_true(fake_store_saw("warned AAA111"));
	assert_int_equal(message(world, "AAA111")->state, MESSAGE_DEFERRED);
	fake_store()->entries[0]->warned_us = 1;
	qmgr_flush_all(world->qmgr);
	turn(world);
	give(world, "private/smtp", take(world, "private/smtp"), &later);
	assert_false(take_notice(world, &notice));
	world_free(world);
}

static void notify_says_who_is_told_what(void **state)
{
	static const struct answer relayed = { DELIVERY_SENT, "2.0.0", "ok",
					       "relayed", NULL };
	static const struct {
		const char *why;
		uint8_t notify;
		const struct answer *answer;
		int want; /* notice kind, -1: none */
	} cases[] = {
		{ "default, failed", 0, &never, NOTICE_FAILURE },
		{ "never, failed: bounce decides", DSN_NOTIFY_NEVER, &never,
		  NOTICE_FAILURE },
		{ "failure, failed", DSN_NOTIFY_FAILURE, &never,
		  NOTICE_FAILURE },
		{ "default, sent", 0, &relayed, -1 },
		{ "success, relayed", DSN_NOTIFY_SUCCESS, &relayed,
		  NOTICE_SUCCESS },
		{ "success, next hop does DSN", DSN_NOTIFY_SUCCESS, &sent, -1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world *world = world_new("");
		struct notice_seen notice;
		struct envelope *env =
			mail(world, "AAA111", "a@a.test", "jo@smtp.test", 0);

		print_message("  %s\n", cases[i].why);
		env->recipients[0].notify = cases[i].notify;
		qmgr_new_message(world->qmgr, &in_journal, "AAA111", env);
		turn(world);
		hello(world, "private/smtp", 10);
		give(world, "private/smtp", take(world, "private/smtp"),
		     cases[i].answer);
		if (cases[i].want < 0) {
			assert_true(fake_store_saw("finish AAA111"));
		} else {
			hello(world, "private/bounce", 1);
			assert_true(take_notice(world, &notice));
			assert_int_equal(notice.kind, cases[i].want);
			notice_answer(world, notice.id, true);
			assert_true(fake_store_saw("finish AAA111"));
		}
		world_free(world);
	}
}

static void batches_keep_to_the_recipient_limit(void **state)
{
	struct world *world = world_new("smtp_destination_recipient_limit=2\n");
	struct delivery_request *request;
	size_t sizes[3];

	announce(world, "AAA111", "a@a.test",
		 "1@smtp.test,2@smtp.test,3@smtp.test,4@smtp.test,5@smtp.test");
	hello(world, "private/smtp", 10);
	for (int i = 0; i < 3; i++) {
		request = take(world, "private/smtp");
		assert_non_null(request);
		sizes[i] = request->recipient_count;
		talloc_free(request);
	}
	assert_null(take(world, "private/smtp"));
	assert_int_equal(sizes[0] + sizes[1] + sizes[2], 5);
	assert_true(sizes[0] <= 2 && sizes[1] <= 2 && sizes[2] <= 2);
	world_free(world);
}

static void a_limit_of_one_counts_for_each_recipient(void **state)
{
	struct world *world =
		world_new("local_destination_recipient_limit=1\n"
			  "local_destination_concurrency_limit=1");
	struct delivery_request *request;
	int count = 0;

	announce(world, "AAA111", "a@a.test", "1@local.test,2@local.test");
	announce(world, "AAA222", "a@a.test", "1@local.test");
	hello(world, "private/local", 10);
	while ((request = take(world, "private/local")) != NULL) {
		assert_int_equal(request->recipient_count, 1);
		talloc_free(request);
		count++;
	}
	assert_int_equal(count, 2); /* the second for 1@ waits for the first */
	world_free(world);
}

static void a_missing_transport_is_told_by_the_retry_service(void **state)
{
	struct world *world = world_new("");
	struct delivery_request *request;

	agent_at(world, "private/nosuch")->refuses = true;
	announce(world, "AAA111", "a@a.test", "jo@nosuch.test");
	hello(world, "private/retry", 10);
	request = take(world, "private/retry");
	assert_non_null(request);
	assert_string_equal(request->nexthop,
			    "4.3.0 mail transport unavailable");
	give(world, "private/retry", request,
	     &(struct answer){ DELIVERY_DEFERRED, "4.3.0",
			       "mail transport unavailable", NULL, NULL });
	assert_int_equal(message(world, "AAA111")->state, MESSAGE_DEFERRED);
	/* It is not asked again for a while. */
	announce(world, "AAA222", "a@a.test", "jo@nosuch.test");
	assert_int_equal(agent_at(world, "private/nosuch")->connects, 1);
	world_free(world);
}

static void without_the_retry_service_qmgr_defers_by_itself(void **state)
{
	struct world *world = world_new("");

	agent_at(world, "private/nosuch")->refuses = true;
	agent_at(world, "private/retry")->refuses = true;
	announce(world, "AAA111", "a@a.test", "jo@nosuch.test");
	assert_true(fake_store_saw("move AAA111 0=deferred"));
	world_free(world);
}

static void a_destination_out_of_reach_is_suspended(void **state)
{
	struct world *world = world_new("smtp_initial_destination_concurrency "
					"= 1\n");
	struct delivery_request *request;

	hello((announce(world, "AAA111", "a@a.test", "1@smtp.test"), world),
	      "private/smtp", 10);
	announce(world, "AAA222", "a@a.test", "2@smtp.test");
	announce(world, "AAA333", "a@a.test", "3@smtp.test");
	give(world, "private/smtp", take(world, "private/smtp"), &unreachable);
	/* One failure of a cohort of one does not exceed the limit of 1. */
	give(world, "private/smtp", take(world, "private/smtp"), &unreachable);
	assert_null(take(world, "private/smtp"));
	hello(world, "private/retry", 10);
	request = take(world, "private/retry");
	assert_non_null(request);
	assert_string_equal(request->nexthop,
			    "4.4.1 delivery temporarily suspended: connect: "
			    "refused");
	assert_string_equal(request->queue_id, "AAA333");
	talloc_free(request);
	world_free(world);
}

static void a_refusal_of_one_recipient_suspends_nothing(void **state)
{
	struct world *world = world_new("smtp_initial_destination_concurrency "
					"= 1\n");

	announce(world, "AAA111", "a@a.test", "1@smtp.test");
	hello(world, "private/smtp", 10);
	for (int i = 0; i < 5; i++) {
		char id[16];

		give(world, "private/smtp", take(world, "private/smtp"),
		     &later);
		snprintf(id, sizeof(id), "BBB%d", i);
		announce(world, id, "a@a.test", "2@smtp.test");
	}
	talloc_free(take(world, "private/smtp"));
	world_free(world);
}

static void what_an_agent_died_with_is_tried_once_more(void **state)
{
	struct world *world = world_new("");
	struct fake_agent *agent = agent_at(world, "private/smtp");
	struct delivery_request *request;

	announce(world, "AAA111", "a@a.test", "1@smtp.test");
	hello(world, "private/smtp", 10);
	talloc_free(take(world, "private/smtp"));
	close(agent->fd);
	agent->fd = -1;
	turn(world);
	usleep(120 * 1000); /* the pause before it connects again */
	turn(world);
	assert_int_equal(agent->connects, 2);
	hello(world, "private/smtp", 10);
	request = take(world, "private/smtp");
	assert_non_null(request);
	talloc_free(request);
	close(agent->fd);
	agent->fd = -1;
	turn(world);
	hello(world, "private/retry", 10);
	request = take(world, "private/retry");
	assert_non_null(request);
	assert_string_equal(request->nexthop,
			    "4.3.0 unknown mail transport error");
	talloc_free(request);
	world_free(world);
}

/* As an agent does when it is told to end: it reads no more, finishes what it
 * has, and another process takes its place. */
static void an_agent_that_ends_finishes_what_it_has(void **state)
{
	struct world *world = world_new("");
	struct fake_agent *agent = agent_at(world, "private/smtp");
	struct delivery_request *first, *second;
	int old_fd, new_fd;

	announce(world, "AAA111", "a@a.test", "1@smtp.test");
	hello(world, "private/smtp", 10);
	first = take(world, "private/smtp");
	old_fd = agent->fd;
	assert_int_equal(shutdown(old_fd, SHUT_RD), 0);
	announce(world, "AAA222", "a@a.test", "2@smtp.test");
	turn(world);
	assert_int_equal(agent->connects, 2);
	hello(world, "private/smtp", 10);
	second = take(world, "private/smtp");
	assert_non_null(second);
	assert_string_equal(second->queue_id, "AAA222");
	assert_null(take(world, "private/smtp")); /* the first is not there */
	new_fd = agent->fd;
	agent->fd = old_fd;
	give(world, "private/smtp", first, &sent);
	assert_null(message(world, "AAA111"));
	close(old_fd);
	turn(world);
	agent->fd = new_fd;
	give(world, "private/smtp", second, &sent);
	assert_null(message(world, "AAA222"));
	assert_int_equal(agent->connects, 2);
	world_free(world);
}

static void the_active_limit_holds_back_the_rest(void **state)
{
	struct world *world = world_new("qmgr_message_active_limit = 2\n");

	announce(world, "AAA111", "a@a.test", "1@smtp.test");
	announce(world, "AAA222", "a@a.test", "1@smtp.test");
	announce(world, "AAA333", "a@a.test", "1@smtp.test");
	assert_int_equal(message(world, "AAA333")->state, MESSAGE_INCOMING);
	found(world, "AAA333", "a@a.test", "1@smtp.test", 0);
	hello(world, "private/smtp", 10);
	give(world, "private/smtp", take(world, "private/smtp"), &sent);
	assert_int_equal(message(world, "AAA333")->state, MESSAGE_ACTIVE);
	world_free(world);
}

static void deferred_transports_wait_for_a_flush(void **state)
{
	struct world *world = world_new("defer_transports = uucp, smtp\n");
	struct delivery_request *request;

	found(world, "AAA111", "a@a.test", "1@smtp.test", 0);
	hello(world, "private/retry", 10);
	request = take(world, "private/retry");
	assert_non_null(request);
	assert_string_equal(request->nexthop, "4.3.2 deferred transport");
	give(world, "private/retry", request, &later);
	qmgr_flush_all(world->qmgr);
	turn(world);
	hello(world, "private/smtp", 10);
	request = take(world, "private/smtp");
	assert_non_null(request);
	talloc_free(request);
	world_free(world);
}

static void mail_to_double_bounce_is_discarded(void **state)
{
	struct world *world = world_new("");

	announce(world, "AAA111", "double-bounce@local.test",
		 "double-bounce@local.test");
	assert_true(fake_store_saw("finish AAA111"));
	world_free(world);
}

static void a_table_that_fails_defers(void **state)
{
	struct world *world = world_new("");
	struct delivery_request *request;

	fake_store()->resolver_fails = true;
	announce(world, "AAA111", "a@a.test", "1@smtp.test");
	hello(world, "private/retry", 10);
	request = take(world, "private/retry");
	assert_non_null(request);
	assert_string_equal(request->nexthop, "4.3.0 address resolver failure");
	talloc_free(request);
	world_free(world);
}

static void slow_lookups_run_beside_the_loop(void **state)
{
	struct world *world = world_new("");
	struct delivery_request *request;

	fake_store()->resolver_is_slow = true;
	announce(world, "AAA111", "a@a.test", "1@smtp.test,2@smtp.test");
	for (int i = 0; i < 500 && !jobs_are_idle(world->qmgr); i++)
		assert_int_equal(
			poller_run_once(world->poller, 10, &world->fault),
			RC_OK);
	hello(world, "private/smtp", 10);
	request = take(world, "private/smtp");
	assert_non_null(request);
	assert_int_equal(request->recipient_count, 2);
	assert_int_equal(request->recipient_index[1], 1);
	talloc_free(request);
	world_free(world);
}

static void hold_and_delete_reach_what_is_active(void **state)
{
	struct world *world = world_new("");
	struct delivery_request *request;

	announce(world, "AAA111", "a@a.test", "1@smtp.test");
	announce(world, "AAA222", "a@a.test", "1@smtp.test,2@other.test");
	/* No agent yet: withdrawn at once. */
	assert_true(
		admin_apply(world->qmgr, message(world, "AAA111"), ADMIN_HOLD));
	assert_int_equal(message(world, "AAA111")->state, MESSAGE_HOLD);
	assert_true(fake_store_saw("move AAA111 hold"));
	hello(world, "private/smtp", 10);
	request = take(world, "private/smtp");
	assert_non_null(request);
	assert_true(admin_apply(world->qmgr, message(world, "AAA222"),
				ADMIN_DELETE));
	assert_true(fake_store_saw("record AAA222 1=sent"));
	assert_int_equal(fake_store_count("finish"), 0);
	give(world, "private/smtp", request, &later);
	assert_true(fake_store_saw("finish AAA222"));
	assert_null(message(world, "AAA222"));
	assert_true(admin_apply(world->qmgr, message(world, "AAA111"),
				ADMIN_RELEASE));
	assert_int_equal(message(world, "AAA111")->state, MESSAGE_DEFERRED);
	world_free(world);
}

static void expire_bounces_at_the_next_attempt(void **state)
{
	struct world *world = world_new("");
	struct notice_seen notice;

	found(world, "AAA111", "a@a.test", "1@smtp.test", 10);
	assert_true(admin_apply(world->qmgr, message(world, "AAA111"),
				ADMIN_EXPIRE));
	hello(world, "private/smtp", 10);
	give(world, "private/smtp", take(world, "private/smtp"), &later);
	hello(world, "private/bounce", 1);
	assert_true(take_notice(world, &notice));
	assert_int_equal(notice.kind, NOTICE_FAILURE);
	world_free(world);
}

static void
a_failed_finish_is_tried_again_and_delivers_nothing_twice(void **state)
{
	struct world *world = world_new("");

	announce(world, "AAA111", "a@a.test", "1@smtp.test");
	hello(world, "private/smtp", 10);
	fake_store()->finish_fails = true;
	give(world, "private/smtp", take(world, "private/smtp"), &sent);
	assert_true(message(world, "AAA111")->doomed);
	fake_store()->finish_fails = false;
	qmgr_work(world->qmgr, clock_mono_ms(), clock_wall_us() + 11000000);
	assert_true(fake_store_saw("finish AAA111"));
	assert_null(message(world, "AAA111"));
	assert_null(take(world, "private/smtp"));
	world_free(world);
}

static void a_full_disk_leaves_the_message_in_the_journal(void **state)
{
	struct world *world = world_new("");

	announce(world, "AAA111", "a@a.test", "1@smtp.test");
	hello(world, "private/smtp", 10);
	fake_store()->move_fails = true;
	give(world, "private/smtp", take(world, "private/smtp"), &later);
	assert_int_equal(message(world, "AAA111")->state, MESSAGE_DEFERRED);
	assert_non_null(message(world, "AAA111")->place);
	world_free(world);
}

static void a_missing_queue_file_defers(void **state)
{
	struct world *world = world_new("");

	fake_store()->descriptor_fails = true;
	announce(world, "AAA111", "a@a.test", "1@smtp.test");
	hello(world, "private/smtp", 10);
	assert_int_equal(message(world, "AAA111")->state, MESSAGE_DEFERRED);
	world_free(world);
}

static void a_straggler_is_moved_unless_it_is_being_read(void **state)
{
	struct world *world = world_new("smtp_initial_destination_concurrency "
					"= 1\n");
	struct delivery_request *request;

	announce(world, "AAA111", "a@a.test", "1@smtp.test");
	announce(world, "AAA222", "a@a.test", "1@smtp.test");
	hello(world, "private/smtp", 10);
	request = take(world, "private/smtp");
	fake_store()->straggler = "AAA111";
	qmgr_work(world->qmgr, clock_mono_ms() + 2000, clock_wall_us());
	assert_int_equal(fake_store_count("move"), 0);
	fake_store()->straggler = "AAA222";
	qmgr_work(world->qmgr, clock_mono_ms() + 4000, clock_wall_us());
	assert_true(fake_store_saw("move AAA222"));
	fake_store()->straggler = NULL;
	give(world, "private/smtp", request, &sent);
	give(world, "private/smtp", take(world, "private/smtp"), &sent);
	assert_true(fake_store_saw("finish AAA222"));
	world_free(world);
}

static void redirect_sends_it_all_to_one_address(void **state)
{
	struct world *world = world_new("");
	struct envelope *env =
		mail(world, "AAA111", "a@a.test", "1@smtp.test,2@x.test", 0);
	struct delivery_request *request;

	env->redirect = "spam@smtp.test";
	qmgr_new_message(world->qmgr, &in_journal, "AAA111", env);
	turn(world);
	hello(world, "private/smtp", 10);
	request = take(world, "private/smtp");
	assert_non_null(request);
	assert_int_equal(request->recipient_count, 1);
	assert_string_equal(request->recipients[0].address, "spam@smtp.test");
	give(world, "private/smtp", request, &sent);
	assert_true(fake_store_saw("finish AAA111"));
	world_free(world);
}

static void a_content_filter_takes_all_recipients(void **state)
{
	struct world *world = world_new("");
	struct envelope *env =
		mail(world, "AAA111", "a@a.test", "1@smtp.test,2@x.test", 0);
	struct delivery_request *request;

	env->filter = "scan:[127.0.0.1]:10025";
	qmgr_new_message(world->qmgr, &in_journal, "AAA111", env);
	turn(world);
	hello(world, "private/scan", 10);
	request = take(world, "private/scan");
	assert_non_null(request);
	assert_int_equal(request->recipient_count, 2);
	assert_string_equal(request->nexthop, "[127.0.0.1]:10025");
	talloc_free(request);
	world_free(world);
}

static void verp_gives_each_recipient_a_sender(void **state)
{
	struct world *world = world_new("");
	struct envelope *env = mail(world, "AAA111", "list@a.test",
				    "1@smtp.test,2@smtp.test", 0);
	struct delivery_request *request;

	env->verp = "+=";
	qmgr_new_message(world->qmgr, &in_journal, "AAA111", env);
	turn(world);
	hello(world, "private/smtp", 10);
	request = take(world, "private/smtp");
	assert_non_null(request);
	assert_int_equal(request->recipient_count, 1);
	assert_string_equal(request->env->sender, "list+1=smtp.test@a.test");
	talloc_free(request);
	world_free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_delivered_is_finished_with_one_write),
		cmocka_unit_test(what_waits_gets_a_file),
		cmocka_unit_test(the_pause_grows_with_age_up_to_the_limit),
		cmocka_unit_test(a_failure_is_finished_after_its_notice),
		cmocka_unit_test(
			a_notice_that_cannot_be_written_is_tried_again_later),
		cmocka_unit_test(mixed_results_bounce_one_and_keep_the_other),
		cmocka_unit_test(what_is_too_old_bounces),
		cmocka_unit_test(a_lifetime_of_zero_is_one_attempt),
		cmocka_unit_test(a_delay_notice_is_sent_once),
		cmocka_unit_test(notify_says_who_is_told_what),
		cmocka_unit_test(batches_keep_to_the_recipient_limit),
		cmocka_unit_test(a_limit_of_one_counts_for_each_recipient),
		cmocka_unit_test(
			a_missing_transport_is_told_by_the_retry_service),
		cmocka_unit_test(
			without_the_retry_service_qmgr_defers_by_itself),
		cmocka_unit_test(a_destination_out_of_reach_is_suspended),
		cmocka_unit_test(a_refusal_of_one_recipient_suspends_nothing),
		cmocka_unit_test(what_an_agent_died_with_is_tried_once_more),
		cmocka_unit_test(an_agent_that_ends_finishes_what_it_has),
		cmocka_unit_test(the_active_limit_holds_back_the_rest),
		cmocka_unit_test(deferred_transports_wait_for_a_flush),
		cmocka_unit_test(mail_to_double_bounce_is_discarded),
		cmocka_unit_test(a_table_that_fails_defers),
		cmocka_unit_test(slow_lookups_run_beside_the_loop),
		cmocka_unit_test(hold_and_delete_reach_what_is_active),
		cmocka_unit_test(expire_bounces_at_the_next_attempt),
		cmocka_unit_test(
			a_failed_finish_is_tried_again_and_delivers_nothing_twice),
		cmocka_unit_test(a_full_disk_leaves_the_message_in_the_journal),
		cmocka_unit_test(a_missing_queue_file_defers),
		cmocka_unit_test(a_straggler_is_moved_unless_it_is_being_read),
		cmocka_unit_test(redirect_sends_it_all_to_one_address),
		cmocka_unit_test(a_content_filter_takes_all_recipients),
		cmocka_unit_test(verp_gives_each_recipient_a_sender),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
