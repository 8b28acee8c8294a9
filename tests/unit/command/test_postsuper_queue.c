/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command/postsuper_queue.h"
#include "queue/intake.h"
#include "queue/store.h"

enum { MESSAGES = 4 };

struct world {
	char dir[64];
	struct conf *conf;
	struct super_queue *queue;
	char ids[MESSAGES][32];
	size_t found;
	bool on_hold, force_expire;
};

static void commit(struct world *world, struct intake *intake, size_t index)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct envelope *env = envelope_new(tmp);
	struct intake_message *message;

	assert_int_equal(intake_begin(tmp, intake, &message, NULL), RC_OK);
	assert_int_equal(intake_header(message, SPAN_OF("Subject: x\r\n"),
				       NULL),
			 RC_OK);
	assert_int_equal(intake_body(message, SPAN_OF("\r\nbody\r\n"), NULL),
			 RC_OK);
	env->sender = "ann@example.test";
	envelope_add_recipient(env, SPAN_OF("jo@example.test"));
	assert_int_equal(intake_commit(message, env, NULL), RC_OK);
	snprintf(world->ids[index], sizeof(world->ids[index]), "%s",
		 message->queue_id);
}

static void fill(struct world *world)
{
	struct intake_config config = {
		.queue_directory = mem_printf(world, "%s/queue", world->dir),
		.writer = "smtpd",
		.qmgr_socket = "public/qmgr",
		.min_free_bytes = 1,
	};
	struct intake *intake;

	assert_int_equal(intake_open(world, &config, &intake, NULL), RC_OK);
	for (size_t i = 0; i < MESSAGES; i++)
		commit(world, intake, i);
	talloc_free(intake);
}

static int world_begin(void **state)
{
	struct world *world = mem_new(NULL, struct world);
	struct conf_source source = { .process_name = "postsuper",
				      .service_name = "postsuper" };
	const char *parts[] = { "queue", "queue/maildrop", "queue/public" };
	FILE *main_cf;

	snprintf(world->dir, sizeof(world->dir), "/tmp/postern-super-XXXXXX");
	assert_non_null(mkdtemp(world->dir));
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		assert_int_equal(mkdir(mem_printf(world, "%s/%s", world->dir,
						  parts[i]),
				       0755),
				 0);
	main_cf = fopen(mem_printf(world, "%s/main.cf", world->dir), "w");
	fprintf(main_cf, "queue_directory = %s/queue\n", world->dir);
	fclose(main_cf);
	source.config_directory = world->dir;
	assert_int_equal(conf_load(&source, &world->conf, NULL), RC_OK);
	fill(world);
	*state = world;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	return remove(path);
}

static int world_end(void **state)
{
	struct world *world = *state;

	assert_int_equal(chdir("/"), 0);
	conf_unref(world->conf);
	nftw(world->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	talloc_free(world);
	return 0;
}

static uint32_t apply(struct world *world, enum admin_action action,
		      const char *id, const char *queue)
{
	char *queues[2] = { (char *)queue, NULL };
	struct fault fault;
	uint32_t count = 0;

	if (super_queue_open(world, world->conf, &world->queue, &fault) !=
		    RC_OK ||
	    super_queue_apply(world->queue, action, id, queues, &count,
			      &fault) != RC_OK)
		fail_msg("%s", fault.text);
	talloc_free(world->queue);
	return count;
}

static void look_found(void *arg, TALLOC_CTX *mem,
		       const struct store_entry *entry)
{
	struct world *world = arg;

	world->found++;
	if (strcmp(entry->env->queue_id, world->ids[0]) == 0) {
		world->on_hold = entry->on_hold;
		world->force_expire = entry->force_expire;
	}
}

static size_t look(struct world *world)
{
	struct store *store;

	world->found = 0;
	assert_int_equal(store_open(world, world->conf->v.queue_directory,
				    STORE_OWNER, &store, NULL),
			 RC_OK);
	assert_int_equal(store_scan(store, look_found, world, NULL), RC_OK);
	talloc_free(store);
	return world->found;
}

static void one_is_deleted_and_then_all(void **state)
{
	struct world *world = *state;

	assert_int_equal(apply(world, ADMIN_DELETE, world->ids[1], NULL), 1);
	assert_int_equal(apply(world, ADMIN_DELETE, world->ids[1], NULL), 0);
	assert_int_equal(look(world), MESSAGES - 1);
	assert_int_equal(apply(world, ADMIN_DELETE, "ALL", "hold"), 0);
	assert_int_equal(apply(world, ADMIN_DELETE, "ALL", "incoming"),
			 MESSAGES - 1);
	assert_int_equal(look(world), 0);
}

static void hold_and_release_are_kept(void **state)
{
	struct world *world = *state;

	assert_int_equal(apply(world, ADMIN_HOLD, world->ids[0], NULL), 1);
	assert_int_equal(apply(world, ADMIN_HOLD, world->ids[0], NULL), 0);
	assert_int_equal(look(world), MESSAGES);
	assert_true(world->on_hold);
	assert_int_equal(apply(world, ADMIN_RELEASE, "ALL", "hold"), 1);
	assert_int_equal(look(world), MESSAGES);
	assert_false(world->on_hold);
}

static void expiry_is_kept(void **state)
{
	struct world *world = *state;

	assert_int_equal(apply(world, ADMIN_EXPIRE, "ALL", NULL), MESSAGES);
	assert_int_equal(apply(world, ADMIN_EXPIRE, "ALL", NULL), 0);
	assert_int_equal(look(world), MESSAGES);
	assert_true(world->force_expire);
}

static size_t maildrop_count(struct world *world)
{
	DIR *stream = opendir(
		mem_printf(world, "%s/queue/maildrop", world->dir));
	struct dirent *entry;
	size_t count = 0;

	while ((entry = readdir(stream)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(stream);
	return count;
}

static void requeued_mail_goes_to_the_maildrop(void **state)
{
	struct world *world = *state;

	assert_int_equal(apply(world, ADMIN_REQUEUE, world->ids[2], NULL), 1);
	assert_int_equal(look(world), MESSAGES - 1);
	assert_int_equal(maildrop_count(world), 1);
}

#define WORLD_TEST(test) \
	cmocka_unit_test_setup_teardown(test, world_begin, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(one_is_deleted_and_then_all),
		WORLD_TEST(hold_and_release_are_kept),
		WORLD_TEST(expiry_is_kept),
		WORLD_TEST(requeued_mail_goes_to_the_maildrop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
