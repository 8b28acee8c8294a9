/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { SMALL = 3000, LARGE = 600000, THREADS = 8, EACH = 40 };

/* Disks that fail on demand; tests run one after the other. */
static _Atomic int sync_error, write_error;

static ssize_t failing_pwritev(int fd, const struct iovec *iov, int count,
			       off_t offset)
{
	if (write_error != 0) {
		errno = write_error;
		return -1;
	}
	return pwritev(fd, iov, count, offset);
}

static int failing_fdatasync(int fd)
{
	if (sync_error != 0) {
		errno = sync_error;
		return -1;
	}
	return fdatasync(fd);
}

static int slow_fdatasync(int fd)
{
	usleep(300000);
	return fdatasync(fd);
}

static const struct queue_io failing_io = { failing_pwritev, failing_fdatasync,
					    failing_fdatasync };
static const struct queue_io slow_io = { pwritev, slow_fdatasync, fsync };

static void ids_are_unique_and_rise(void **state)
{
	struct queue_id_source source;
	char first[QUEUE_ID_MAX_BYTES], next[QUEUE_ID_MAX_BYTES];
	char path[QUEUE_PATH_MAX_BYTES];

	queue_id_init(&source, 0xab, false);
	queue_id_next(&source, 1700000000123456, first);
	assert_string_equal(first, "1E24053F100AB");
	queue_id_next(&source, 1600000000000000, next); /* set back */
	assert_string_equal(next, "1E24153F100AB");
	queue_id_path(first, path);
	assert_string_equal(path, "40/1E24053F100AB");

	queue_id_init(&source, 7, true);
	queue_id_next(&source, 1700000000123456, first);
	assert_int_equal(strlen(first), 12);
	assert_int_equal(first[10], 'z');
	assert_true(queue_id_is_valid(span_from(first)));
	assert_false(queue_id_is_valid(SPAN_OF("../../etc/x")));
	assert_false(queue_id_is_valid(SPAN_OF("AB1")));
}

struct committer {
	struct intake *intake;
	pthread_t thread;
	const char *ids[EACH];
	size_t ok, failed;
};

static void *commit_many(void *arg)
{
	struct committer *committer = arg;

	for (int i = 0; i < EACH; i++) {
		struct world *own = mem_new(NULL, struct world);
		const char *id;
		enum rc rc = world_commit(own, committer->intake,
					  i % 10 == 0 ? LARGE / 2 : SMALL, 2,
					  &id);

		if (rc == RC_OK)
			committer->ids[committer->ok++] =
				talloc_strdup(committer, id);
		else
			committer->failed++;
		talloc_free(own);
	}
	return NULL;
}

static struct committer **run_committers(struct world *world,
					 struct intake *intake)
{
	struct committer **all = mem_array(world, struct committer *, THREADS);

	for (int i = 0; i < THREADS; i++) {
		all[i] = mem_new(NULL, struct committer);
		all[i]->intake = intake;
		pthread_create(&all[i]->thread, NULL, commit_many, all[i]);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(all[i]->thread, NULL);
	return all;
}

static bool was_found(struct world *world, const char *id)
{
	for (size_t i = 0; i < world->found; i++)
		if (strcmp(world->all[i]->env->queue_id, id) == 0)
			return true;
	return false;
}

static void many_threads_commit_and_all_is_found_once(void **state)
{
	struct world *world = *state;
	struct intake *intake = world_intake(world, "smtpd");
	struct committer **all = run_committers(world, intake);

	world_intake_close(world);
	world_scan(world);
	assert_int_equal(world->found, THREADS * EACH);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(all[i]->ok, EACH);
		for (int j = 0; j < EACH; j++)
			assert_true(was_found(world, all[i]->ids[j]));
		talloc_free(all[i]);
	}
}

static void a_disk_that_fails_is_a_temporary_error_and_heals(void **state)
{
	static const struct {
		const char *why;
		int on_sync, on_write;
	} cases[] = {
		{ "fdatasync fails", EIO, 0 },
		{ "no space when syncing", ENOSPC, 0 },
		{ "pwritev fails", 0, EIO },
		{ "no space when writing", 0, ENOSPC },
	};
	struct world *world = *state;
	struct intake *intake = world_intake(world, "smtpd");
	size_t accepted = 0;

	intake_set_io(intake, &failing_io);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		enum rc rc;

		print_message("  %s\n", cases[i].why);
		assert_int_equal(world_commit(world, intake, SMALL, 1, NULL),
				 RC_OK);
		accepted++;
		sync_error = cases[i].on_sync;
		write_error = cases[i].on_write;
		for (int j = 0; j < 5; j++) {
			assert_int_equal(world_commit(world, intake, SMALL, 1,
						      NULL),
					 RC_TEMP);
			assert_int_equal(world_commit(world, intake, LARGE, 1,
						      NULL),
					 RC_TEMP);
		}
		sync_error = write_error = 0;
		/* Within a few seconds, by itself. */
		for (int j = 0; j < 100; j++) {
			rc = world_commit(world, intake, SMALL, 1, NULL);
			if (rc == RC_OK)
				break;
			usleep(50000);
		}
		assert_int_equal(rc, RC_OK);
		accepted++;
	}
	intake_set_io(intake, &queue_io_system);
	world_intake_close(world);
	world_scan(world);
	assert_int_equal(world->found, accepted);
}

static void a_slow_disk_does_not_hold_a_client_for_ever(void **state)
{
	struct world *world = *state;
	struct intake *intake = world_intake(world, "smtpd");
	struct committer **all;
	size_t ok = 0, failed = 0, wanted = 0;

	world_commit_ok(world, SMALL);
	intake->journal.timeout_ms = 100;
	intake_set_io(intake, &slow_io);
	all = run_committers(world, intake);
	world_intake_close(world);
	world_scan(world);
	for (int i = 0; i < THREADS; i++) {
		ok += all[i]->ok;
		failed += all[i]->failed;
		for (size_t j = 0; j < all[i]->ok; j++)
			wanted += was_found(world, all[i]->ids[j]);
		talloc_free(all[i]);
	}
	assert_true(failed > 0);
	assert_int_equal(ok, wanted);
	assert_int_equal(world->found, ok + 1); /* none that was refused */
}

static void what_is_freed_before_commit_leaves_nothing(void **state)
{
	struct world *world = *state;
	struct intake *intake = world_intake(world, "smtpd");
	char *big = mem_array(world, char, LARGE);
	struct intake_message *message;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(intake_begin(world, intake, &message, NULL),
				 RC_OK);
		assert_int_equal(intake_body(message,
					     (struct span){ big, i == 0 ? 100 :
								 LARGE },
					     NULL),
				 RC_OK);
		talloc_free(message);
	}
	assert_int_equal(intake->memory_used, 0);
	world_scan(world);
	assert_int_equal(world->found, 0);
}

static void beyond_the_memory_budget_messages_go_to_files(void **state)
{
	struct world *world = *state;
	struct intake *intake = world_intake(world, "smtpd");

	intake->config.memory_budget_bytes = 10000;
	world_commit_ok(world, SMALL);
	world_commit_ok(world, SMALL * 4);
	world_scan(world);
	assert_int_equal(world->found, 2);
	for (size_t i = 0; i < 2; i++)
		world_check_content(world, world->all[i],
				    world->all[i]->place.in_file ? SMALL * 4 :
								   SMALL);
	assert_int_equal(intake->memory_used, 0);
}

static void a_header_can_be_replaced_after_the_body(void **state)
{
	struct world *world = *state;
	struct intake *intake = world_intake(world, "smtpd");
	char *body = mem_array(world, char, LARGE);

	memset(body, 'x', LARGE);
	for (int i = 0; i < 2; i++) {
		size_t size = i == 0 ? 100 : LARGE;
		struct envelope *env = envelope_new(world);
		struct intake_message *message;
		struct image *image;
		struct span text;
		int fd;

		assert_int_equal(intake_begin(world, intake, &message, NULL),
				 RC_OK);
		assert_int_equal(intake_header(message, SPAN_OF("A: 1\r\n"),
					       NULL),
				 RC_OK);
		assert_int_equal(intake_body(message,
					     (struct span){ body, size }, NULL),
				 RC_OK);
		assert_int_equal(intake_replace_header(
					 message, SPAN_OF("B: 22\r\n"), NULL),
				 RC_OK);
		envelope_add_recipient(env, SPAN_OF("jo@example.test"));
		assert_int_equal(intake_commit(message, env, NULL), RC_OK);
		assert_int_equal(env->size_bytes, size + 7);
		world_scan(world);
		assert_int_equal(world->found, 1);
		assert_int_equal(store_descriptor(world->store,
						  &world->last->place,
						  message->queue_id, &fd, NULL),
				 RC_OK);
		assert_int_equal(image_open(world, fd,
					    world->last->place.offset, true,
					    &image, NULL),
				 RC_OK);
		assert_int_equal(image_header(world, image, &text, NULL),
				 RC_OK);
		assert_true(span_is(text, "B: 22\r\n"));
		assert_int_equal(store_finish(world->store,
					      &world->last->place,
					      message->queue_id, NULL),
				 RC_OK);
		world_store_close(world);
		talloc_free(message);
	}
}

static void a_second_writer_of_the_same_name_is_refused(void **state)
{
	struct world *world = *state;
	struct intake_config config = { .queue_directory = world->dir,
					.writer = "smtpd",
					.qmgr_socket = "public/qmgr" };
	struct intake *intake;

	world_intake(world, "smtpd");
	assert_int_equal(intake_open(world, &config, &intake, &world->fault),
			 RC_TEMP);
	config.writer = "../x";
	assert_int_equal(intake_open(world, &config, &intake, &world->fault),
			 RC_CONF);
}

static int listen_as_qmgr(struct world *world)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char *dir = mem_printf(world, "%s/public", world->dir);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	(void)mkdir(dir, 0700);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/qmgr", dir);
	(void)unlink(address.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)),
			 0);
	assert_int_equal(listen(fd, 5), 0);
	return fd;
}

static void expect_hello(struct world *world, int sock)
{
	struct packet_in in;

	assert_int_equal(packet_receive(world, sock, &in, NULL), RC_OK);
	assert_int_equal(in.type, WIRE_WRITER_HELLO);
	assert_string_equal(packet_take_text(&in, world), "smtpd");
}

static void expect_new(struct world *world, int sock, const char *id,
		       bool in_file)
{
	struct packet_in in;
	struct place place;
	struct envelope *env;
	bool with_recipients;

	assert_int_equal(packet_receive(world, sock, &in, NULL), RC_OK);
	assert_int_equal(in.type, WIRE_WRITER_NEW);
	assert_int_equal(writer_new_take(world, &in, &place, &env,
					 &with_recipients, NULL),
			 RC_OK);
	assert_string_equal(env->queue_id, id);
	assert_int_equal(place.in_file, in_file);
	assert_int_equal(with_recipients, !in_file);
	assert_int_equal(env->recipient_count, in_file ? 0 : 3);
	assert_true(store_note(world->store, &place, id));
	assert_false(store_note(world->store, &place, id));
	assert_int_equal(writer_new_take(world, &in, &place, &env,
					 &with_recipients, NULL),
			 RC_NONE);
}

static void qmgr_is_told_and_told_to_look_after_it_was_away(void **state)
{
	struct world *world = *state;
	int listener = listen_as_qmgr(world), sock;
	const char *id;

	world_scan(world);
	world_intake(world, "smtpd");
	sock = accept(listener, NULL, NULL);
	expect_hello(world, sock);
	id = world_commit_ok(world, SMALL);
	expect_new(world, sock, id, false);
	id = world_commit_ok(world, LARGE);
	expect_new(world, sock, id, true);
	close(sock);
	world_commit_ok(world, SMALL); /* nobody hears of it, at first */
	sock = accept(listener, NULL, NULL);
	expect_hello(world, sock);
	world->found = 0;
	assert_int_equal(store_scan_writer(world->store, "smtpd", world_found,
					   world, NULL),
			 RC_OK);
	assert_int_equal(world->found, 1);
	id = world_commit_ok(world, SMALL);
	expect_new(world, sock, id, false);
	close(sock);
	close(listener);
}

static void content_is_noted_on_the_way_in(void **state)
{
	static const struct {
		const char *why;
		struct span content;
		uint32_t flags, longest;
	} cases[] = {
		{ "plain", SPAN("\r\nabc\r\nde\r\n"), 0, 3 },
		{ "empty", SPAN(""), 0, 0 },
		{ "a dot", SPAN("\r\n.x\r\n"), ENVELOPE_DOT_LINE, 2 },
		{ "a dot inside", SPAN("\r\nx.\r\n"), 0, 2 },
		{ "8 bit", SPAN("\r\n\xc3\xa4\r\n"), ENVELOPE_8BIT, 2 },
		{ "bare LF", SPAN("\r\na\nb\r\n"), ENVELOPE_BARE_EOL, 1 },
		{ "bare CR", SPAN("\r\na\rb\r\n"), ENVELOPE_BARE_EOL, 2 },
		{ "CR CR LF", SPAN("\r\na\r\r\n"), ENVELOPE_BARE_EOL, 2 },
		{ "no line end", SPAN("\r\nabc"), ENVELOPE_BARE_EOL, 3 },
		{ "ends in CR", SPAN("\r\nabc\r"), ENVELOPE_BARE_EOL, 3 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct span content = cases[i].content;

		print_message("  %s\n", cases[i].why);
		for (size_t cut = 0; cut <= content.len; cut++) {
			struct content_scan scan = { 0 };

			content_scan_add(&scan, span_take(content, cut));
			content_scan_add(&scan, span_skip(content, cut));
			content_scan_end(&scan);
			assert_int_equal(scan.flags, cases[i].flags);
			if (cases[i].flags != ENVELOPE_BARE_EOL)
				assert_int_equal(scan.longest_line,
						 cases[i].longest);
		}
	}
}

#define WORLD_TEST(test) \
	cmocka_unit_test_setup_teardown(test, world_begin, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_unique_and_rise),
		cmocka_unit_test(content_is_noted_on_the_way_in),
		WORLD_TEST(many_threads_commit_and_all_is_found_once),
		WORLD_TEST(a_disk_that_fails_is_a_temporary_error_and_heals),
		WORLD_TEST(a_slow_disk_does_not_hold_a_client_for_ever),
		WORLD_TEST(what_is_freed_before_commit_leaves_nothing),
		WORLD_TEST(beyond_the_memory_budget_messages_go_to_files),
		WORLD_TEST(a_header_can_be_replaced_after_the_body),
		WORLD_TEST(a_second_writer_of_the_same_name_is_refused),
		WORLD_TEST(qmgr_is_told_and_told_to_look_after_it_was_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
