/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue manager with agents and tools at the ends of socket pairs, and a
 * store that only remembers.
 */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_store.h"
#include "plan/qmgr_priv.h"

enum { AGENTS_MAX = 16 };

struct fake_agent {
	char path[64];
	int fd; /* our end; -1: closed */
	int connects;
	bool refuses;
};

struct world {
	char directory[64];
	struct conf *conf;
	struct poller *poller;
	struct qmgr *qmgr;
	struct fake_agent agents[AGENTS_MAX];
	int tool;
	struct fault fault;
};

static struct fake_agent *agent_at(struct world *world, const char *path)
{
	for (int i = 0; i < AGENTS_MAX; i++) {
		struct fake_agent *agent = &world->agents[i];

		if (agent->path[0] == '\0') {
			snprintf(agent->path, sizeof(agent->path), "%s", path);
			agent->fd = -1;
		}
		if (strcmp(agent->path, path) == 0)
			return agent;
	}
	fail_msg("too many agents");
	return NULL;
}

static int world_connect(void *arg, const char *path)
{
	struct fake_agent *agent = agent_at(arg, path);
	int fds[2];

	agent->connects++;
	if (agent->refuses) {
		errno = ENOENT;
		return -1;
	}
	assert_int_equal(
		socketpair(AF_UNIX,
			   SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
			   fds),
		0);
	agent->fd = fds[1];
	return fds[0];
}

static struct world *world_new(const char *main_cf)
{
	struct world *world = mem_new(NULL, struct world);
	struct conf_source source = { 0 };
	char path[128];
	FILE *file;

	fake_store_reset();
	snprintf(world->directory, sizeof(world->directory),
		 "/tmp/test_qmgr.XXXXXX");
	assert_non_null(mkdtemp(world->directory));
	snprintf(path, sizeof(path), "%s/main.cf", world->directory);
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file, "myhostname = mx.example.test\n%s\n", main_cf);
	fclose(file);
	source.config_directory = world->directory;
	if (conf_load(&source, &world->conf, &world->fault) != RC_OK ||
	    poller_open(world, &world->poller, &world->fault) != RC_OK ||
	    qmgr_open(world, world->conf, NULL, world->poller, &world->qmgr,
		      &world->fault) != RC_OK)
		fail_msg("%s", world->fault.text);
	world->qmgr->connect = world_connect;
	world->qmgr->connect_arg = world;
	world->qmgr->bounce->setup.connect = world_connect;
	world->qmgr->bounce->setup.connect_arg = world;
	world->tool = -1;
	return world;
}

static void world_free(struct world *world)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/main.cf", world->directory);
	unlink(path);
	rmdir(world->directory);
	for (int i = 0; i < AGENTS_MAX; i++)
		if (world->agents[i].path[0] != '\0' &&
		    world->agents[i].fd >= 0)
			close(world->agents[i].fd);
	if (world->tool >= 0)
		close(world->tool);
	talloc_free(world->qmgr);
	conf_unref(world->conf);
	talloc_free(world);
	fake_store_reset();
}

static void turn(struct world *world)
{
	for (int i = 0; i < 6; i++)
		assert_int_equal(
			poller_run_once(world->poller, 0, &world->fault),
			RC_OK);
}

static void hello(struct world *world, const char *path, uint32_t capacity)
{
	struct packet_out out;

	packet_begin(&out, world, WIRE_AGENT_HELLO);
	packet_put_u32(&out, capacity);
	assert_int_equal(
		packet_send(agent_at(world, path)->fd, &out, &world->fault),
		RC_OK);
	turn(world);
}

static struct envelope *mail(struct world *world, const char *id,
			     const char *sender, const char *recipients,
			     int age_s)
{
	struct envelope *env = envelope_new(world);
	struct span rest = span_from(recipients), one;

	env->queue_id = mem_strdup(env, id);
	env->sender = mem_strdup(env, sender);
	env->size_bytes = 1000;
	env->arrival_us = clock_wall_us() - (uint64_t)age_s * 1000000;
	while (span_token(&rest, ",", &one))
		envelope_add_recipient(env, one);
	return env;
}

static const struct place in_journal = { .writer = "smtpd", .length = 1000 };
static const struct place in_file = { .in_file = true };

static void announce(struct world *world, const char *id, const char *sender,
		     const char *recipients)
{
	qmgr_new_message(world->qmgr, &in_journal, id,
			 mail(world, id, sender, recipients, 0));
	turn(world);
}

/* A message in a file of its own, as found at start. */
static void found(struct world *world, const char *id, const char *sender,
		  const char *recipients, int age_s)
{
	struct fake_store *store = fake_store();
	struct store_entry *entry = mem_new(NULL, struct store_entry);

	entry->env = mail(world, id, sender, recipients, age_s);
	talloc_steal(entry, entry->env);
	entry->recipient_done =
		mem_array(entry, uint8_t, entry->env->recipient_count);
	entry->place = in_file;
	store->entries[store->entry_count++] = entry;
	qmgr_found(world->qmgr, entry, entry);
	turn(world);
}

static struct delivery_request *take(struct world *world, const char *path)
{
	struct delivery_request *request;
	struct packet_in in;

	if (packet_receive(world, agent_at(world, path)->fd, &in,
			   &world->fault) != RC_OK)
		return NULL;
	assert_int_equal(in.type, WIRE_DELIVER);
	assert_int_equal(
		delivery_request_take(world, &in, &request, &world->fault),
		RC_OK);
	return request;
}

struct answer {
	enum delivery_action action;
	const char *dsn, *reason, *dsn_action;
	const char *site; /* why the destination is out of reach */
};

static const struct answer sent = { DELIVERY_SENT, "2.0.0", "250 ok", NULL,
				    NULL };
static const struct answer later = { DELIVERY_DEFERRED, "4.2.2", "mailbox full",
				     NULL, NULL };
static const struct answer never = { DELIVERY_BOUNCED, "5.1.1", "no such user",
				     "failed", NULL };
static const struct answer unreachable = { DELIVERY_DEFERRED, "4.4.1",
					   "connect: refused", NULL,
					   "connect: refused" };

static void put_status(struct packet_out *out, uint32_t recipient,
		       const struct answer *answer)
{
	struct delivery_status status = {
		.recipient = recipient,
		.action = answer->action,
		.reason = answer->reason,
		.dsn_action = answer->dsn_action,
		.diag_type = "smtp",
		.diag_text = answer->reason,
	};

	snprintf(status.dsn, sizeof(status.dsn), "%s", answer->dsn);
	delivery_status_put(out, &status);
}

static void give(struct world *world, const char *path,
		 struct delivery_request *request, const struct answer *answer)
{
	struct packet_out out;

	packet_begin(&out, world, WIRE_RESULT);
	packet_put_u64(&out, request->id);
	packet_put_u32(&out, 1);
	packet_put_u32(&out, (uint32_t)request->recipient_count);
	for (size_t i = 0; i < request->recipient_count; i++)
		put_status(&out, request->recipient_index[i], answer);
	packet_put_text(&out, answer->site == NULL ? "" : answer->dsn);
	packet_put_text(&out, answer->site);
	assert_int_equal(
		packet_send(agent_at(world, path)->fd, &out, &world->fault),
		RC_OK);
	talloc_free(request);
	turn(world);
}

struct notice_seen {
	uint64_t id;
	uint32_t kind, count;
	uint32_t recipients[16];
	char reason[100];
};

static bool take_notice(struct world *world, struct notice_seen *ret)
{
	struct packet_in in;
	struct delivery_status status;

	if (packet_receive(world, agent_at(world, "private/bounce")->fd, &in,
			   &world->fault) != RC_OK)
		return false;
	assert_int_equal(in.type, WIRE_NOTICE);
	ret->id = packet_take_u64(&in);
	ret->kind = packet_take_u32(&in);
	packet_take_span(&in);
	packet_take_u64(&in);
	ret->count = packet_take_u32(&in);
	for (uint32_t i = 0; i < ret->count; i++) {
		assert_true(delivery_status_take(&in, world, &status));
		ret->recipients[i % 16] = status.recipient;
		snprintf(ret->reason, sizeof(ret->reason), "%s", status.reason);
	}
	close(packet_take_fd(&in));
	return true;
}

static void notice_answer(struct world *world, uint64_t id, bool done)
{
	struct packet_out out;

	packet_begin(&out, world, WIRE_NOTICE_DONE);
	packet_put_u64(&out, id);
	packet_put_u32(&out, done);
	assert_int_equal(packet_send(agent_at(world, "private/bounce")->fd,
				     &out, &world->fault),
			 RC_OK);
	turn(world);
}

static struct message *message(struct world *world, const char *id)
{
	return message_find(world->qmgr->index, id);
}

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

/* A tool at the other end of a socket pair. */
static void tool_open(struct world *world, uint32_t uid)
{
	int fds[2];

	assert_int_equal(
		socketpair(AF_UNIX,
			   SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
			   fds),
		0);
	world->tool = fds[1];
	peers_add(world->qmgr->peers, fds[0], uid);
}

static void tool_say(struct world *world, uint16_t type, int action,
		     const char *one, const char *two)
{
	struct packet_out out;

	packet_begin(&out, world, type);
	if (action >= 0)
		packet_put_u32(&out, (uint32_t)action);
	if (one != NULL)
		packet_put_text(&out, one);
	if (two != NULL)
		packet_put_text(&out, two);
	assert_int_equal(packet_send(world->tool, &out, &world->fault), RC_OK);
	turn(world);
}

/* Skips list items; counts them in *ret_items. */
static uint32_t tool_hears(struct world *world, int *ret_items,
			   uint32_t *ret_count)
{
	int items = 0;

	for (;;) {
		struct packet_in in;
		enum rc rc =
			packet_receive(world, world->tool, &in, &world->fault);
		uint32_t outcome;

		if (rc == RC_NONE) {
			turn(world);
			continue;
		}
		assert_int_equal(rc, RC_OK);
		if (in.type == WIRE_LIST_ITEM) {
			items++;
			continue;
		}
		assert_int_equal(in.type, WIRE_REPLY);
		outcome = packet_take_u32(&in);
		if (ret_count != NULL)
			*ret_count = packet_take_u32(&in);
		if (ret_items != NULL)
			*ret_items = items;
		return outcome;
	}
}

static void tools_list_flush_and_administer(void **state)
{
	struct world *world = world_new("");
	uint32_t count;
	int items;

	for (int i = 0; i < 3000; i++) {
		char id[16];

		snprintf(id, sizeof(id), "AAA%04d", i);
		announce(world, id, "a@a.test", "1@smtp.test,2@smtp.test");
	}
	tool_open(world, 0);
	tool_say(world, WIRE_PING, -1, NULL, NULL);
	assert_int_equal(tool_hears(world, NULL, NULL), RC_OK);
	tool_say(world, WIRE_LIST, -1, "", NULL);
	assert_int_equal(tool_hears(world, &items, NULL), RC_OK);
	assert_int_equal(items, 3000);
	tool_say(world, WIRE_LIST, -1, "AAA0007", NULL);
	assert_int_equal(tool_hears(world, &items, NULL), RC_OK);
	assert_int_equal(items, 1);
	tool_say(world, WIRE_ADMIN, ADMIN_HOLD, "AAA0007", "");
	assert_int_equal(tool_hears(world, NULL, &count), RC_OK);
	assert_int_equal(count, 1);
	tool_say(world, WIRE_ADMIN, ADMIN_DELETE, "NOSUCH", "");
	assert_int_equal(tool_hears(world, NULL, &count), RC_NONE);
	assert_int_equal(count, 0);
	tool_say(world, WIRE_ADMIN, ADMIN_DELETE, "ALL", "hold");
	assert_int_equal(tool_hears(world, NULL, &count), RC_OK);
	assert_int_equal(count, 1);
	tool_say(world, WIRE_ADMIN, ADMIN_DELETE, "ALL", "");
	assert_int_equal(tool_hears(world, NULL, &count), RC_OK);
	assert_int_equal(count, 2999);
	assert_int_equal(HASH_COUNT(world->qmgr->index->all), 0);
	world_free(world);
}

static void other_users_do_not_administer(void **state)
{
	struct world *world = world_new("");

	announce(world, "AAA111", "a@a.test", "1@smtp.test");
	tool_open(world, 12345);
	tool_say(world, WIRE_ADMIN, ADMIN_DELETE, "AAA111", "");
	assert_int_equal(tool_hears(world, NULL, NULL), RC_PERM);
	tool_say(world, WIRE_WRITER_HELLO, -1, "smtpd", NULL);
	assert_int_equal(tool_hears(world, NULL, NULL), RC_PERM);
	assert_non_null(message(world, "AAA111"));
	assert_int_equal(fake_store_count("scan"), 0);
	tool_say(world, WIRE_LIST, -1, "", NULL);
	assert_int_equal(tool_hears(world, NULL, NULL), RC_OK);
	world_free(world);
}

static void a_malformed_request_leaves_the_connection_usable(void **state)
{
	struct world *world = world_new("");

	announce(world, "AAA111", "a@a.test", "1@smtp.test");
	tool_open(world, 12345);
	tool_say(world, WIRE_FLUSH, -1, "nonsense", NULL);
	assert_int_equal(tool_hears(world, NULL, NULL), RC_PERM);
	tool_say(world, WIRE_ADMIN, ADMIN_DELETE, NULL, NULL);
	assert_int_equal(tool_hears(world, NULL, NULL), RC_PERM);
	tool_say(world, WIRE_FLUSH, -1, "id:AAA111", NULL);
	assert_int_equal(tool_hears(world, NULL, NULL), RC_OK);
	tool_say(world, WIRE_LIST, -1, "", NULL);
	assert_int_equal(tool_hears(world, NULL, NULL), RC_OK);
	world_free(world);
}

static void a_site_is_flushed_by_itself(void **state)
{
	struct world *world = world_new("");
	uint32_t count;

	found(world, "AAA111", "a@a.test", "1@smtp.test", 0);
	found(world, "AAA222", "a@a.test", "1@smtp.b", 0);
	hello(world, "private/smtp", 10);
	give(world, "private/smtp", take(world, "private/smtp"), &later);
	give(world, "private/smtp", take(world, "private/smtp"), &later);
	tool_open(world, 0);
	tool_say(world, WIRE_FLUSH, -1, "site:SMTP.b", NULL);
	assert_int_equal(tool_hears(world, NULL, &count), RC_OK);
	assert_int_equal(count, 1);
	turn(world);
	assert_int_equal(message(world, "AAA111")->state, MESSAGE_DEFERRED);
	assert_int_equal(message(world, "AAA222")->state, MESSAGE_ACTIVE);
	world_free(world);
}

static void a_writer_is_believed_and_its_journal_read(void **state)
{
	struct world *world = world_new("");
	struct envelope *env =
		mail(world, "AAA111", "a@a.test", "1@smtp.test", 0);
	struct packet_out out;
	struct buf bytes;

	tool_open(world, 0);
	tool_say(world, WIRE_WRITER_HELLO, -1, "smtpd-smtp", NULL);
	assert_true(fake_store_saw("scan smtpd-smtp"));
	buf_init(&bytes, world, 10000);
	envelope_encode(env, true, &bytes);
	packet_begin(&out, world, WIRE_WRITER_NEW);
	writer_new_put(&out, &in_journal, buf_span(&bytes), true);
	assert_int_equal(packet_send(world->tool, &out, &world->fault), RC_OK);
	turn(world);
	assert_non_null(message(world, "AAA111"));
	/* Told twice, known once. */
	assert_int_equal(packet_send(world->tool, &out, &world->fault), RC_OK);
	turn(world);
	assert_int_equal(HASH_COUNT(world->qmgr->index->all), 1);
	world_free(world);
}

static void reload_changes_what_comes_next(void **state)
{
	struct world *world = world_new("smtp_destination_recipient_limit=2\n");
	struct conf_source source = { .config_directory = world->directory };
	struct conf *conf;
	char path[128];
	FILE *file;

	announce(world, "AAA111", "a@a.test", "1@smtp.test,2@smtp.test");
	snprintf(path, sizeof(path), "%s/main.cf", world->directory);
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file, "myhostname = mx.example.test\n"
		      "smtp_destination_recipient_limit=1\n");
	fclose(file);
	assert_int_equal(conf_load(&source, &conf, &world->fault), RC_OK);
	qmgr_reload(world->qmgr, conf);
	conf_unref(conf);
	announce(world, "AAA222", "a@a.test", "3@smtp.test,4@smtp.test");
	hello(world, "private/smtp", 10);
	give(world, "private/smtp", take(world, "private/smtp"), &sent);
	give(world, "private/smtp", take(world, "private/smtp"), &sent);
	give(world, "private/smtp", take(world, "private/smtp"), &sent);
	assert_null(take(world, "private/smtp"));
	assert_int_equal(HASH_COUNT(world->qmgr->index->all), 0);
	world_free(world);
}

static void drain_waits_for_results_and_starts_nothing(void **state)
{
	struct world *world = world_new("smtp_initial_destination_concurrency "
					"= 1\n");
	struct delivery_request *request;

	announce(world, "AAA111", "a@a.test", "1@smtp.test");
	announce(world, "AAA222", "a@a.test", "1@smtp.test");
	hello(world, "private/smtp", 10);
	request = take(world, "private/smtp");
	qmgr_drain(world->qmgr);
	assert_false(qmgr_is_idle(world->qmgr));
	give(world, "private/smtp", request, &sent);
	assert_true(qmgr_is_idle(world->qmgr));
	assert_null(take(world, "private/smtp"));
	world_free(world);
}

static void nonsense_from_an_agent_is_ignored(void **state)
{
	struct world *world = world_new("");
	struct delivery_request *request;
	struct packet_out out;

	announce(world, "AAA111", "a@a.test", "1@smtp.test");
	hello(world, "private/smtp", 10);
	request = take(world, "private/smtp");
	packet_begin(&out, world, WIRE_RESULT);
	packet_put_u64(&out, 99999);
	packet_put_u32(&out, 1);
	assert_int_equal(packet_send(agent_at(world, "private/smtp")->fd, &out,
				     &world->fault),
			 RC_OK);
	packet_begin(&out, world, WIRE_RESULT);
	packet_put_u64(&out, request->id);
	packet_put_u32(&out, 0);
	packet_put_u32(&out, 1);
	put_status(&out, 77, &sent); /* not in this request */
	assert_int_equal(packet_send(agent_at(world, "private/smtp")->fd, &out,
				     &world->fault),
			 RC_OK);
	turn(world);
	assert_int_equal(message(world, "AAA111")->state, MESSAGE_ACTIVE);
	give(world, "private/smtp", request, &sent);
	assert_null(message(world, "AAA111"));
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
		cmocka_unit_test(tools_list_flush_and_administer),
		cmocka_unit_test(other_users_do_not_administer),
		cmocka_unit_test(
			a_malformed_request_leaves_the_connection_usable),
		cmocka_unit_test(a_site_is_flushed_by_itself),
		cmocka_unit_test(a_writer_is_believed_and_its_journal_read),
		cmocka_unit_test(reload_changes_what_comes_next),
		cmocka_unit_test(drain_waits_for_results_and_starts_nothing),
		cmocka_unit_test(nonsense_from_an_agent_is_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
