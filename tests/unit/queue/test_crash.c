/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that is killed at any moment: what it was told is safe is there
 * afterwards, once. The child says over a pipe what was acknowledged to it.
 */
#include "world.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	ROUNDS = 25,
	THREADS = 4,
	SMALL = 2500,
	LARGE = 300000,
	IDS_MAX = 200000,
	ID_BYTES = QUEUE_ID_MAX_BYTES,
};

struct child {
	struct world *world;
	struct intake *intake;
	int out;
};

static void *commit_for_ever(void *arg)
{
	const struct child *child = arg;

	for (unsigned int i = 0;; i++) {
		struct world *own = mem_new(NULL, struct world);
		char line[ID_BYTES] = { 0 };
		const char *id;

		if (world_commit(own, child->intake,
				 i % 20 == 19 ? LARGE : SMALL, 2, &id) ==
		    RC_OK) {
			snprintf(line, sizeof(line), "%s", id);
			if (write(child->out, line, sizeof(line)) < 0)
				_exit(1);
		}
		talloc_free(own);
	}
	return NULL;
}

/* Writers commit, and are killed. */
static void writer_child(struct world *world, int out)
{
	struct child child = { .world = world, .out = out };
	pthread_t thread;

	child.intake = world_intake(world, "smtpd");
	for (int i = 1; i < THREADS; i++)
		pthread_create(&thread, NULL, commit_for_ever, &child);
	commit_for_ever(&child);
}

static pid_t child_begin(struct world *world, int *ret_in,
			 void (*run)(struct world *world, int out))
{
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(ends[0]);
		run(world, ends[1]);
		_exit(0);
	}
	close(ends[1]);
	*ret_in = ends[0];
	return pid;
}

static size_t read_ids(int in, char (*ids)[ID_BYTES], size_t count)
{
	while (count < IDS_MAX && read(in, ids[count], ID_BYTES) == ID_BYTES)
		count++;
	close(in);
	return count;
}

static void kill_after_ms(pid_t pid, unsigned int ms)
{
	int status;

	usleep(ms * 1000);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static int id_compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Every id of `want` is in `have`, which has none twice. Both are sorted. */
static void check_all_there(char (*want)[ID_BYTES], size_t want_count,
			    char (*have)[ID_BYTES], size_t have_count)
{
	qsort(want, want_count, ID_BYTES, id_compare);
	qsort(have, have_count, ID_BYTES, id_compare);
	for (size_t i = 1; i < have_count; i++)
		assert_string_not_equal(have[i - 1], have[i]);
	for (size_t i = 0; i < want_count; i++)
		if (bsearch(want[i], have, have_count, ID_BYTES, id_compare) ==
		    NULL)
			fail_msg("%s was acknowledged and is lost", want[i]);
}

static char (*ids_new(TALLOC_CTX *mem))[ID_BYTES]
{
	return (char (*)[ID_BYTES])mem_array(mem, char,
					     (size_t)IDS_MAX * ID_BYTES);
}

struct survey {
	char (*ids)[ID_BYTES];
	size_t count;
	struct store *store;
};

static void survey_found(void *arg, TALLOC_CTX *mem,
			 const struct store_entry *entry)
{
	struct survey *survey = arg;
	struct image *image;
	int fd;

	assert_true(survey->count < IDS_MAX);
	snprintf(survey->ids[survey->count++], ID_BYTES, "%s",
		 entry->env->queue_id);
	assert_int_equal(store_descriptor(survey->store, &entry->place,
					  entry->env->queue_id, &fd, NULL),
			 RC_OK);
	assert_int_equal(image_open(mem, fd, entry->place.offset, true, &image,
				    NULL),
			 RC_OK);
}

static void what_a_killed_writer_acknowledged_is_there(void **state)
{
	struct world *world = *state;
	char(*acked)[ID_BYTES] = ids_new(world);
	struct survey survey = { .ids = ids_new(world) };
	size_t count = 0;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		int in;
		pid_t pid = child_begin(world, &in, writer_child);

		kill_after_ms(pid, 10 + round * 7 % 90);
		count = read_ids(in, acked, count);
	}
	assert_int_equal(store_open(world, world->dir, STORE_OWNER,
				    &survey.store, NULL),
			 RC_OK);
	assert_int_equal(store_scan(survey.store, survey_found, &survey, NULL),
			 RC_OK);
	print_message("  %zu acknowledged, %zu found\n", count, survey.count);
	assert_true(count > 0);
	check_all_there(acked, count, survey.ids, survey.count);
	talloc_free(survey.store);
}

/* A queue manager that finishes or moves what it finds, and is killed. */
struct manager {
	struct store *store;
	int out;
	unsigned int turn;
};

/* Said before and after, since it may die in between. */
static void manager_say(const struct manager *manager, char what,
			const char *id)
{
	char line[ID_BYTES] = { 0 };

	snprintf(line, sizeof(line), "%c%s", what, id);
	if (write(manager->out, line, sizeof(line)) < 0)
		_exit(1);
}

static void manager_found(void *arg, TALLOC_CTX *mem,
			  const struct store_entry *entry)
{
	struct manager *manager = arg;
	struct store_entry mine = *entry;
	const char *id = entry->env->queue_id;

	switch (manager->turn++ % 4) {
	case 0:
		manager_say(manager, '?', id);
		if (store_finish(manager->store, &mine.place, id, NULL) !=
		    RC_OK)
			_exit(1);
		manager_say(manager, '!', id);
		break;
	case 1:
		mine.next_attempt_us = 12345;
		(void)!store_move(manager->store, &mine.place, &mine, NULL);
		break;
	default:
		break;
	}
	if (manager->turn % 8 == 0)
		(void)!store_move_flush(manager->store, NULL);
	if (manager->turn % 50 == 0)
		(void)!store_outcome_rotate(manager->store, NULL);
}

static void no_straggler(void *arg, const struct place *place,
			 const char *queue_id)
{
}

static void manager_child(struct world *world, int out)
{
	struct manager manager = { .out = out };

	if (store_open(world, world->dir, STORE_OWNER, &manager.store, NULL) !=
		    RC_OK ||
	    store_scan(manager.store, manager_found, &manager, NULL) != RC_OK)
		_exit(1);
	for (;;) {
		(void)!store_move_flush(manager.store, NULL);
		store_stragglers(manager.store, no_straggler, NULL);
		usleep(1000);
	}
}

/* The ids of the lines that begin with `what`, sorted. */
static size_t pick(char (*lines)[ID_BYTES], size_t count, char what,
		   char (*ids)[ID_BYTES])
{
	size_t picked = 0;

	for (size_t i = 0; i < count; i++)
		if (lines[i][0] == what)
			memcpy(ids[picked++], lines[i] + 1, ID_BYTES - 1);
	qsort(ids, picked, ID_BYTES, id_compare);
	return picked;
}

static void a_killed_manager_loses_nothing_and_revives_nothing(void **state)
{
	struct world *world = *state;
	char(*acked)[ID_BYTES] = ids_new(world);
	char(*said)[ID_BYTES] = ids_new(world);
	char(*ids)[ID_BYTES] = ids_new(world);
	struct survey survey = { .ids = ids_new(world) };
	size_t acked_count = 0, said_count = 0, count;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		int in, done;
		pid_t writer = child_begin(world, &in, writer_child);
		pid_t manager = child_begin(world, &done, manager_child);

		kill_after_ms(writer, 20 + round * 5 % 40);
		kill_after_ms(manager, round * 13 % 60);
		acked_count = read_ids(in, acked, acked_count);
		said_count = read_ids(done, said, said_count);
	}
	assert_int_equal(store_open(world, world->dir, STORE_OWNER,
				    &survey.store, NULL),
			 RC_OK);
	assert_int_equal(store_scan(survey.store, survey_found, &survey, NULL),
			 RC_OK);
	count = pick(said, said_count, '!', ids);
	print_message("  %zu acknowledged, %zu finished, %zu left\n",
		      acked_count, count, survey.count);
	assert_true(count > 0 && survey.count > 0);
	for (size_t i = 0; i < survey.count; i++)
		if (bsearch(survey.ids[i], ids, count, ID_BYTES, id_compare) !=
		    NULL)
			fail_msg("%s was finished and is back", survey.ids[i]);
	/* Begun to be finished and not found: it was finished. */
	count = pick(said, said_count, '?', ids);
	qsort(survey.ids, survey.count, ID_BYTES, id_compare);
	for (size_t i = 0; i < count; i++)
		if ((i == 0 || strcmp(ids[i], ids[i - 1]) != 0) &&
		    bsearch(ids[i], survey.ids, survey.count, ID_BYTES,
			    id_compare) == NULL)
			memcpy(survey.ids[survey.count + i], ids[i], ID_BYTES);
		else
			snprintf(survey.ids[survey.count + i], ID_BYTES,
				 "again %zu", i);
	check_all_there(acked, acked_count, survey.ids, survey.count + count);
	talloc_free(survey.store);
}

#define WORLD_TEST(test) \
	cmocka_unit_test_setup_teardown(test, world_begin, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(what_a_killed_writer_acknowledged_is_there),
		WORLD_TEST(a_killed_manager_loses_nothing_and_revives_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
