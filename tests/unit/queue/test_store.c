/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SMALL = 3000, LARGE = 700000 };

static const struct store_entry *found_by_id(struct world *world,
					     const char *id)
{
	for (size_t i = 0; i < world->found; i++)
		if (strcmp(world->all[i]->env->queue_id, id) == 0)
			return world->all[i];
	return NULL;
}

static struct delivery_status status_of(uint32_t recipient,
					enum delivery_action action,
					const char *reason)
{
	return (struct delivery_status){ .recipient = recipient,
					 .action = action,
					 .dsn = "4.4.1",
					 .dsn_action = "delayed",
					 .reason = reason,
					 .remote_mta = "mx.example.test" };
}

static void rescan(struct world *world)
{
	world_store_close(world);
	world_scan(world);
}

static void what_was_committed_is_found_with_its_content(void **state)
{
	struct world *world = *state;
	const char *small, *large, *empty;

	world_intake(world, "smtpd");
	small = world_commit_ok(world, SMALL);
	large = world_commit_ok(world, LARGE);
	empty = world_commit_ok(world, 0);
	world_intake_close(world);
	world_scan(world);
	assert_int_equal(world->found, 3);
	assert_false(found_by_id(world, small)->place.in_file);
	assert_true(found_by_id(world, large)->place.in_file);
	world_check_content(world, found_by_id(world, small), SMALL);
	world_check_content(world, found_by_id(world, large), LARGE);
	world_check_content(world, found_by_id(world, empty), 0);
	assert_int_equal(world->last->env->recipient_count, 3);
	assert_string_equal(world->last->env->sender, "ann@example.test");
}

static void what_is_finished_is_not_found_again(void **state)
{
	struct world *world = *state;
	const char *small, *large, *kept;

	world_intake(world, "smtpd");
	small = world_commit_ok(world, SMALL);
	large = world_commit_ok(world, LARGE);
	kept = world_commit_ok(world, SMALL);
	world_scan(world);
	assert_int_equal(store_finish(world->store,
				      &found_by_id(world, small)->place, small,
				      NULL),
			 RC_OK);
	assert_int_equal(store_finish(world->store,
				      &found_by_id(world, large)->place, large,
				      NULL),
			 RC_OK);
	for (int i = 0; i < 3; i++) { /* over checkpoints too */
		rescan(world);
		assert_int_equal(world->found, 1);
		assert_string_equal(world->last->env->queue_id, kept);
	}
}

static void statuses_of_a_journal_record_survive(void **state)
{
	struct world *world = *state;
	struct delivery_status statuses[3];
	const char *id;

	world_intake(world, "smtpd");
	id = world_commit_ok(world, SMALL);
	world_scan(world);
	statuses[0] = status_of(0, DELIVERY_SENT, "250 ok");
	statuses[1] = status_of(1, DELIVERY_DEFERRED, "busy");
	statuses[2] = status_of(2, DELIVERY_BOUNCED, "never");
	assert_int_equal(store_record(world->store, &world->last->place, id,
				      statuses, 3, NULL),
			 RC_OK);
	for (int i = 0; i < 3; i++) {
		const struct store_entry *entry;

		rescan(world);
		entry = world->last;
		assert_int_equal(world->found, 1);
		assert_int_equal(entry->recipient_done[0], 1);
		assert_int_equal(entry->recipient_done[1], 0);
		assert_int_equal(entry->recipient_done[2], 1);
		assert_int_equal(entry->status_count, 2);
		assert_string_equal(entry->statuses[0].reason, "busy");
		assert_string_equal(entry->statuses[1].reason, "never");
		assert_string_equal(entry->statuses[1].remote_mta,
				    "mx.example.test");
	}
	assert_int_equal(store_set_noticed(world->store, &world->last->place,
					   id, NULL),
			 RC_OK);
	rescan(world);
	assert_int_equal(world->last->status_count, 1);
	assert_string_equal(world->last->statuses[0].reason, "busy");
}

static void move_to_file(struct world *world)
{
	struct store_entry *entry = world->last;
	struct delivery_status statuses[2] = {
		status_of(0, DELIVERY_BOUNCED, "gone"),
		status_of(1, DELIVERY_DEFERRED, "slow"),
	};
	uint8_t done[3] = { 1, 0, 1 };

	entry->statuses = statuses;
	entry->status_count = 2;
	entry->recipient_done = done;
	entry->next_attempt_us = 4102444800123456;
	entry->on_hold = true;
	if (store_move(world->store, &entry->place, entry, &world->fault) !=
	    RC_OK)
		fail_msg("%s", world->fault.text);
	assert_true(entry->place.in_file);
}

static void check_moved(struct world *world)
{
	const struct store_entry *entry = world->last;

	assert_int_equal(world->found, 1);
	assert_true(entry->place.in_file);
	assert_int_equal(entry->next_attempt_us, 4102444800123456);
	assert_true(entry->on_hold);
	assert_int_equal(entry->recipient_done[0], 1);
	assert_int_equal(entry->recipient_done[1], 0);
	assert_int_equal(entry->recipient_done[2], 1);
	assert_int_equal(entry->status_count, 2);
	assert_string_equal(entry->statuses[0].reason, "gone");
	world_check_content(world, entry, SMALL);
}

static void a_moved_message_is_found_as_a_file(void **state)
{
	struct world *world = *state;

	world_intake(world, "smtpd");
	world_commit_ok(world, SMALL);
	world_scan(world);
	move_to_file(world);
	assert_int_equal(store_move_flush(world->store, NULL), RC_OK);
	rescan(world);
	check_moved(world);
	rescan(world);
	check_moved(world);
}

static void a_move_not_yet_durable_is_found_once(void **state)
{
	struct world *world = *state;
	struct store_pending *pending;

	world_intake(world, "smtpd");
	world_commit_ok(world, SMALL);
	world_scan(world);
	move_to_file(world);
	/* As if the process died here: nobody says that the record is done. */
	HASH_FIND(hh, world->store->pending,
		  &world->last->place.generation, sizeof(uint64_t), pending);
	assert_non_null(pending);
	pending->origin = (struct record_key){ 1, 1 };
	rescan(world);
	check_moved(world);
}

static void a_moved_file_that_is_not_whole_loses_to_its_record(void **state)
{
	struct world *world = *state;
	char path[QUEUE_PATH_MAX_BYTES];
	struct store_pending *pending;

	world_intake(world, "smtpd");
	world_commit_ok(world, SMALL);
	world_scan(world);
	move_to_file(world);
	pending = world->store->pending;
	pending->origin = (struct record_key){ 1, 1 };
	queue_id_path(world->last->env->queue_id, path);
	world_store_close(world);
	world_file_flip(mem_printf(world, "%s/queue/%s", world->dir, path),
			2000);
	world_scan(world);
	assert_int_equal(world->found, 1);
	assert_false(world->last->place.in_file);
	world_check_content(world, world->last, SMALL);
	move_to_file(world); /* the broken file is in the way: replaced */
	rescan(world);
	check_moved(world);
}

static void flags_and_times_of_a_file_survive(void **state)
{
	struct world *world = *state;
	struct delivery_status sent = status_of(1, DELIVERY_SENT, "ok");
	struct store_entry *entry;
	const char *id;

	world_intake(world, "smtpd");
	id = world_commit_ok(world, LARGE);
	world_scan(world);
	entry = world->last;
	assert_int_equal(store_set_hold(world->store, id, true, NULL), RC_OK);
	assert_int_equal(store_set_force_expire(world->store, id, NULL), RC_OK);
	assert_int_equal(store_set_warned(world->store, id, 77, NULL), RC_OK);
	assert_int_equal(store_record(world->store, &entry->place, id, &sent, 1,
				      NULL),
			 RC_OK);
	assert_int_equal(store_set_next_attempt(world->store, id, 5000001,
						NULL),
			 RC_OK);
	assert_int_equal(store_read(world, world->store, &entry->place, id,
				    &entry, NULL),
			 RC_OK);
	assert_int_equal(entry->recipient_done[1], 1);
	rescan(world);
	entry = world->last;
	assert_true(entry->on_hold);
	assert_true(entry->force_expire);
	assert_int_equal(entry->warned_us, 77);
	assert_int_equal(entry->next_attempt_us, 5000001);
	assert_int_equal(entry->recipient_done[1], 1);
	assert_int_equal(store_set_hold(world->store, id, false, NULL), RC_OK);
	rescan(world);
	assert_false(world->last->on_hold);
	assert_int_equal(world->last->next_attempt_us, 5000001);
}

static void a_long_log_is_shortened(void **state)
{
	struct world *world = *state;
	struct delivery_status statuses[3] = {
		status_of(0, DELIVERY_SENT, "ok"),
		status_of(1, DELIVERY_DEFERRED, "first"),
		status_of(2, DELIVERY_BOUNCED, "no"),
	};
	char path[QUEUE_PATH_MAX_BYTES];
	struct store_entry *entry;
	struct stat st;
	const char *id;

	world_intake(world, "smtpd");
	id = world_commit_ok(world, LARGE);
	world_scan(world);
	entry = world->last;
	for (int i = 0; i < 5000; i++) {
		assert_int_equal(store_record(world->store, &entry->place, id,
					      statuses, 3, NULL),
				 RC_OK);
		statuses[1].reason = "later";
		statuses[0] = statuses[1];
	}
	assert_int_equal(store_set_hold(world->store, id, true, NULL), RC_OK);
	queue_id_path(id, path);
	assert_int_equal(stat(mem_printf(world, "%s/queue/%s", world->dir,
					 path),
			      &st),
			 0);
	assert_true(st.st_size < LARGE + 1100000);
	rescan(world);
	entry = world->last;
	assert_int_equal(world->found, 1);
	assert_int_equal(entry->recipient_done[0], 1);
	assert_int_equal(entry->recipient_done[1], 0);
	assert_int_equal(entry->recipient_done[2], 1);
	assert_true(entry->on_hold);
	assert_int_equal(entry->status_count, 2);
	assert_string_equal(entry->statuses[0].reason, "later");
	world_check_content(world, entry, LARGE);
}

static void count_straggler(void *arg, const struct place *place,
			    const char *queue_id)
{
	(*(size_t *)arg)++;
}

static void a_segment_with_nothing_alive_is_used_again(void **state)
{
	struct world *world = *state;
	struct place places[50];
	size_t stragglers = 0;
	char *path;

	world_intake(world, "smtpd");
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		world_commit_ok(world, SMALL);
	path = world_segment(world, "smtpd");
	world_scan(world);
	assert_int_equal(world->found, ARRAY_LEN(places));
	for (size_t i = 0; i < world->found; i++) {
		store_stragglers(world->store, count_straggler, &stragglers);
		assert_int_equal(access(path, F_OK), 0);
		assert_int_equal(store_finish(world->store,
					      &world->all[i]->place,
					      world->all[i]->env->queue_id,
					      NULL),
				 RC_OK);
	}
	store_stragglers(world->store, count_straggler, &stragglers);
	assert_int_equal(access(path, F_OK), 0); /* its writer may go on */
	world_intake_close(world);
	store_stragglers(world->store, count_straggler, &stragglers);
	assert_int_not_equal(access(path, F_OK), 0);
	world_intake(world, "bounce");
	world_commit_ok(world, SMALL);
	world_segment(world, "bounce");
	rescan(world);
	assert_int_equal(world->found, 1); /* nothing of its earlier life */
}

static void a_note_is_taken_once_and_a_scan_finds_the_rest(void **state)
{
	struct world *world = *state;
	struct place place;
	const char *id;

	world_scan(world);
	world_intake(world, "smtpd");
	id = world_commit_ok(world, SMALL);
	assert_int_equal(store_scan_writer(world->store, "smtpd", world_found,
					   world, NULL),
			 RC_OK);
	assert_int_equal(world->found, 1);
	place = world->last->place;
	assert_false(store_note(world->store, &place, id));
	world_commit_ok(world, LARGE);
	world_commit_ok(world, SMALL);
	assert_int_equal(store_scan_writer(world->store, "smtpd", world_found,
					   world, NULL),
			 RC_OK);
	assert_int_equal(world->found, 3);
	assert_int_equal(store_scan_writer(world->store, "smtpd", world_found,
					   world, NULL),
			 RC_OK);
	assert_int_equal(world->found, 3);
	place.generation++;
	assert_false(store_note(world->store, &place, id));
}

static void a_flipped_bit_costs_one_message_and_is_kept_aside(void **state)
{
	struct world *world = *state;
	off_t offsets[3];
	char *path;

	world_intake(world, "smtpd");
	for (int i = 0; i < 3; i++)
		world_commit_ok(world, SMALL);
	world_scan(world);
	for (int i = 0; i < 3; i++)
		offsets[i] = (off_t)world->all[i]->place.offset;
	world_store_close(world);
	path = world_segment(world, "smtpd");
	world_intake_close(world);
	for (off_t at = 0; at < 2048; at += 61) { /* of the one in the middle */
		world_file_flip(path, offsets[1] + at);
		world_scan(world);
		assert_int_equal(world->found, 2);
		assert_int_equal(world->all[0]->place.offset, offsets[0]);
		assert_int_equal(world->all[1]->place.offset, offsets[2]);
		world_store_close(world);
		world_file_flip(path, offsets[1] + at);
		world_corrupt_empty(world);
	}
}

static void a_record_cut_off_anywhere_is_never_delivered(void **state)
{
	struct world *world = *state;
	uint64_t begin, length;
	char *path, *zeros, *bytes;
	int fd;

	world_intake(world, "smtpd");
	world_commit_ok(world, 100);
	world_commit_ok(world, 100);
	path = world_segment(world, "smtpd");
	world_intake_close(world);
	world_scan(world);
	begin = world->all[1]->place.offset;
	length = world->all[1]->place.length;
	world_store_close(world);
	zeros = mem_array(world, char, length);
	bytes = mem_array(world, char, length);
	fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, bytes, length, (off_t)begin), length);
	for (uint64_t keep = 0; keep < length - 128; keep++) {
		assert_int_equal(pwrite(fd, zeros, length, (off_t)begin),
				 length);
		assert_int_equal(pwrite(fd, bytes, keep, (off_t)begin), keep);
		world_scan(world);
		assert_int_equal(world->found, 1);
		world_store_close(world);
	}
	close(fd);
}

static void a_damaged_head_costs_nothing_two_cost_no_bytes(void **state)
{
	struct world *world = *state;
	char *path;

	world_intake(world, "smtpd");
	world_commit_ok(world, SMALL);
	world_intake_close(world);
	path = world_segment(world, "smtpd");
	world_file_flip(path, 20);
	world_scan(world);
	assert_int_equal(world->found, 1);
	world_store_close(world);
	world_file_flip(path, SEGMENT_HEAD_COPY_AT + 20);
	world_scan(world);
	assert_int_equal(world->found, 0);
	assert_int_equal(access(mem_printf(world, "%s/corrupt/smtpd.1",
					   world->dir),
				F_OK),
			 0);
}

static void a_damaged_file_is_moved_aside(void **state)
{
	struct world *world = *state;
	char path[QUEUE_PATH_MAX_BYTES];
	const char *id;

	world_intake(world, "smtpd");
	id = world_commit_ok(world, LARGE);
	world_commit_ok(world, LARGE);
	queue_id_path(id, path);
	world_file_flip(mem_printf(world, "%s/queue/%s", world->dir, path), 50);
	world_scan(world);
	assert_int_equal(world->found, 1);
	assert_int_equal(access(mem_printf(world, "%s/corrupt/%s", world->dir,
					   id),
				F_OK),
			 0);
}

static void two_owners_are_one_too_many(void **state)
{
	struct world *world = *state;
	struct store *second;

	world_scan(world);
	assert_int_equal(store_open(world, world->dir, STORE_OWNER, &second,
				    &world->fault),
			 RC_TEMP);
	assert_int_equal(store_open(world, world->dir, STORE_READ_ONLY, &second,
				    &world->fault),
			 RC_OK);
	talloc_free(second);
}

#define WORLD_TEST(test) \
	cmocka_unit_test_setup_teardown(test, world_begin, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(what_was_committed_is_found_with_its_content),
		WORLD_TEST(what_is_finished_is_not_found_again),
		WORLD_TEST(statuses_of_a_journal_record_survive),
		WORLD_TEST(a_moved_message_is_found_as_a_file),
		WORLD_TEST(a_move_not_yet_durable_is_found_once),
		WORLD_TEST(a_moved_file_that_is_not_whole_loses_to_its_record),
		WORLD_TEST(flags_and_times_of_a_file_survive),
		WORLD_TEST(a_long_log_is_shortened),
		WORLD_TEST(a_segment_with_nothing_alive_is_used_again),
		WORLD_TEST(a_note_is_taken_once_and_a_scan_finds_the_rest),
		WORLD_TEST(a_flipped_bit_costs_one_message_and_is_kept_aside),
		WORLD_TEST(a_record_cut_off_anywhere_is_never_delivered),
		WORLD_TEST(a_damaged_head_costs_nothing_two_cost_no_bytes),
		WORLD_TEST(a_damaged_file_is_moved_aside),
		WORLD_TEST(two_owners_are_one_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
