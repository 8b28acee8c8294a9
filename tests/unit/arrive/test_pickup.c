/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the maildrop, good and bad, one at a time into a queue. */
#include "../rule/world.h"

#include <sys/time.h>
#include <time.h>

#include "arrive/pickup/pickup.h"
#include "queue/crc32c.h"
#include "queue/image.h"
#include "queue/store.h"
#include "rule/maildrop.h"

struct scene {
	struct world *w;
	struct pickup *pickup;
	struct intake *intake;
	int found; /* messages in the queue */
	struct envelope *env;
};

static struct scene *scene_new(const char *main_cf)
{
	struct scene *s = mem_new(NULL, struct scene);
	struct intake_config config = { .writer = "pickup",
					.qmgr_socket = "public/qmgr",
					.min_free_bytes = 1,
					.commit_timeout_ms = 10000 };
	struct fault fault = { 0 };

	setenv("TZ", "UTC", 1);
	s->w = world_new(main_cf, "");
	config.queue_directory = s->w->dir;
	s->pickup = mem_new(s, struct pickup);
	s->pickup->conf = s->w->conf;
	s->pickup->maildrop_fd =
		open(mem_printf(s, "%s/maildrop", s->w->dir),
		     O_RDONLY | O_DIRECTORY);
	s->pickup->corrupt_fd = open(mem_printf(s, "%s/corrupt", s->w->dir),
				     O_RDONLY | O_DIRECTORY);
	if (intake_open(s, &config, &s->intake, &fault) != RC_OK ||
	    cleanup_service_open(s->pickup, s->w->conf, s->intake,
				 &s->pickup->cleanup, &fault) != RC_OK)
		fail_msg("%s", fault.text);
	return s;
}

static void scene_free(struct scene *s)
{
	close(s->pickup->maildrop_fd);
	close(s->pickup->corrupt_fd);
	TALLOC_FREE(s->pickup);
	TALLOC_FREE(s->intake);
	world_free(s->w);
	talloc_free(s);
}

static void found(void *arg, TALLOC_CTX *mem, const struct store_entry *entry)
{
	struct scene *s = arg;

	s->found++;
	s->env = talloc_steal(s, entry->env);
}

/* What is in the queue now. */
static void scene_look(struct scene *s)
{
	struct store *store;
	struct fault fault;

	s->found = 0;
	assert_int_equal(store_open(s, s->w->dir, STORE_READ_ONLY, &store,
				    &fault),
			 RC_OK);
	assert_int_equal(store_scan(store, found, s, &fault), RC_OK);
	talloc_free(store);
}

static bool is_there(const struct scene *s, const char *folder)
{
	char *path = mem_printf(s->w->mem, "%s/%s/M", s->w->dir, folder);
	struct stat st;

	return lstat(path, &st) == 0;
}

static void bytes_drop(const struct scene *s, struct span bytes, mode_t mode)
{
	char *path = mem_printf(s->w->mem, "%s/maildrop/M", s->w->dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes.ptr, bytes.len), (ssize_t)bytes.len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* A file as postdrop leaves it. */
static struct span mail_make(TALLOC_CTX *mem, const char *head,
			     struct span content)
{
	char tail[MAILDROP_TAIL_BYTES];
	struct buf out;

	buf_init(&out, mem, 64 * 1024 * 1024);
	buf_add_text(&out, "postern-maildrop 1\n");
	buf_add_text(&out, head);
	buf_add_text(&out, "\n");
	buf_add(&out, content);
	maildrop_tail_format(crc32c(0, buf_span(&out)), out.len, tail);
	buf_add(&out, (struct span){ tail, sizeof(tail) });
	return buf_span(&out);
}

static const char plain_head[] = "sender jo\nto ann@a.test\n";

static void a_complete_file_becomes_a_message(void **state)
{
	struct scene *s = scene_new("");
	struct span mail = mail_make(
		s,
		"sender jo\nname Jo Doe\nenvid E 1\nnotify 3\nret 2\nbody 2\n"
		"to ann@a.test\nto bob\n",
		SPAN_OF("Subject: x\n\nhello\n"));

	bytes_drop(s, mail, 0744);
	assert_int_equal(pickup_file(s->pickup, "M"), PICKUP_TAKEN);
	assert_false(is_there(s, "maildrop"));
	scene_look(s);
	assert_int_equal(s->found, 1);
	assert_string_equal(s->env->sender, "jo@mx.example.test");
	assert_int_equal(s->env->recipient_count, 2);
	assert_string_equal(s->env->recipients[1].address,
			    "bob@mx.example.test");
	assert_string_equal(s->env->recipients[1].original, "bob");
	assert_int_equal(s->env->recipients[0].notify, 3);
	assert_string_equal(s->env->dsn_envid, "E 1");
	assert_int_equal(s->env->dsn_ret, DSN_RET_HDRS);
	assert_true(s->env->flags & ENVELOPE_BODY_8BITMIME);
	scene_free(s);
}

static void a_file_being_written_is_left_alone(void **state)
{
	struct scene *s = scene_new("");
	struct span mail = mail_make(s, plain_head, SPAN_OF("\n"));

	bytes_drop(s, mail, 0600);
	assert_int_equal(pickup_file(s->pickup, "M"), PICKUP_SKIPPED);
	assert_true(is_there(s, "maildrop"));
	assert_int_equal(pickup_file(s->pickup, "none"), PICKUP_SKIPPED);
	scene_free(s);
}

static void a_file_never_completed_goes_after_a_day(void **state)
{
	struct scene *s = scene_new("");
	const struct timeval old[2] = { { time(NULL) - 2 * 86400, 0 },
					{ time(NULL) - 2 * 86400, 0 } };

	bytes_drop(s, SPAN_OF("postern"), 0600);
	assert_int_equal(utimes(mem_printf(s, "%s/maildrop/M", s->w->dir), old),
			 0);
	assert_int_equal(pickup_file(s->pickup, "M"), PICKUP_SKIPPED);
	assert_false(is_there(s, "maildrop"));
	assert_false(is_there(s, "corrupt"));
	scene_free(s);
}

static void damaged_files_are_put_away(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct span good = mail_make(mem, plain_head,
				     SPAN_OF("Subject: x\n\nhello\n"));
	char *flipped = mem_span_dup(mem, good);
	const struct {
		const char *why;
		struct span bytes;
	} cases[] = {
		{ "empty", SPAN("") },
		{ "not a mail file", SPAN("hello, world, hello, world\n\n\n") },
		{ "no end of head", span_take(good, 40) },
		{ "no content", span_take(good, 60) },
		{ "one byte short", span_take(good, good.len - 1) },
		{ "one byte changed", { flipped, good.len } },
	};

	flipped[good.len - MAILDROP_TAIL_BYTES - 3] ^= 1;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct scene *s = scene_new("");

		print_message("  %s\n", cases[i].why);
		bytes_drop(s, cases[i].bytes, 0744);
		assert_int_equal(pickup_file(s->pickup, "M"), PICKUP_SKIPPED);
		assert_false(is_there(s, "maildrop"));
		assert_true(is_there(s, "corrupt"));
		scene_look(s);
		assert_int_equal(s->found, 0);
		scene_free(s);
	}
	talloc_free(mem);
}

static void links_and_pipes_are_put_away(void **state)
{
	struct scene *s = scene_new("");
	char *path = mem_printf(s, "%s/maildrop/M", s->w->dir);

	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(pickup_file(s->pickup, "M"), PICKUP_SKIPPED);
	assert_true(is_there(s, "corrupt"));
	assert_int_equal(unlinkat(s->pickup->corrupt_fd, "M", 0), 0);
	assert_int_equal(mkfifo(path, 0744), 0);
	assert_int_equal(pickup_file(s->pickup, "M"), PICKUP_SKIPPED);
	assert_true(is_there(s, "corrupt"));
	scene_free(s);
}

static void what_cannot_be_queued_now_stays(void **state)
{
	struct scene *s = scene_new("virtual_alias_maps = fail:x\n"
				    "virtual_alias_domains =\n");

	bytes_drop(s, mail_make(s, plain_head, SPAN_OF("\n")), 0744);
	assert_int_equal(pickup_file(s->pickup, "M"), PICKUP_LATER);
	assert_true(is_there(s, "maildrop"));
	scene_look(s);
	assert_int_equal(s->found, 0);
	scene_free(s);
}

static void what_is_refused_is_queued_to_bounce(void **state)
{
	struct scene *s = scene_new("hopcount_limit = 3\n");

	bytes_drop(s,
		   mail_make(s, plain_head,
			     SPAN_OF("Received: a\nReceived: b\n\nx\n")),
		   0744);
	assert_int_equal(pickup_file(s->pickup, "M"), PICKUP_TAKEN);
	assert_false(is_there(s, "maildrop"));
	scene_look(s);
	assert_int_equal(s->found, 1);
	assert_string_equal(s->env->filter, "error:5.4.0 too many hops");
	scene_free(s);
}

static void long_lines_and_large_messages_pass_whole(void **state)
{
	enum { LONG = 200 * 1000, LINES = 5000 };
	struct scene *s = scene_new("");
	uint64_t want = 0;
	struct buf content;

	buf_init(&content, s, 16 * 1024 * 1024);
	buf_add_text(&content, "From: a@b\nDate: d\nMessage-Id: <x>\n\n");
	for (int i = 0; i < LONG; i++)
		buf_add_char(&content, 'x');
	buf_add_char(&content, '\n');
	want += LONG + 2;
	for (int i = 0; i < LINES; i++)
		buf_addf(&content, "line %04d of a message that is large\n", i);
	want += LINES * (strlen("line 0000 of a message that is large") + 2);
	bytes_drop(s, mail_make(s, plain_head, buf_span(&content)), 0744);
	assert_int_equal(pickup_file(s->pickup, "M"), PICKUP_TAKEN);
	scene_look(s);
	assert_int_equal(s->found, 1);
	assert_int_equal(s->env->longest_line, LONG);
	assert_in_range(s->env->size_bytes, want, want + 500);
	scene_free(s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_complete_file_becomes_a_message),
		cmocka_unit_test(a_file_being_written_is_left_alone),
		cmocka_unit_test(a_file_never_completed_goes_after_a_day),
		cmocka_unit_test(damaged_files_are_put_away),
		cmocka_unit_test(links_and_pipes_are_put_away),
		cmocka_unit_test(what_cannot_be_queued_now_stays),
		cmocka_unit_test(what_is_refused_is_queued_to_bounce),
		cmocka_unit_test(long_lines_and_large_messages_pass_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
