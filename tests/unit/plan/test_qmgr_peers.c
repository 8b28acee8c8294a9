/* SPDX-License-Identifier: Apache-2.0 */
/* Tools, writers and the master talking to the queue manager. */
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qmgr_world.h"

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
