/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "deliver/mailbox.h"
#include "world.h"

/* fsync fails from the nth call on; linked in with --wrap. */
static int fsync_good_calls = 1000;
static int fsync_calls;

int __real_fsync(int fd);
int __wrap_fsync(int fd);

int __wrap_fsync(int fd)
{
	if (fsync_calls++ < fsync_good_calls)
		return __real_fsync(fd);
	errno = EIO;
	return -1;
}

static const char *const to[] = {"jo@example.test", NULL};
static const struct world_message message = {
    .sender = "me@x.test",
    .recipients = to,
    .text = "A: b\r\n\r\nhello\r\n",
    .transport = "local",
    .nexthop = "example.test",
};
static const struct mailbox_rules rules = {.locks = "fcntl, dotlock",
					   .lock_attempts = 1,
					   .stale_lock_s = 500,
					   .strict_owner = true};

struct box {
	struct world *w;
	struct delivery *d;
	struct mail_text text;
};

static struct box box_open(void)
{
	struct box b = {.w = world_new()};

	world_configure(b.w, NULL);
	b.d = world_delivery(b.w, &message);
	b.text = (struct mail_text){
	    .image = b.d->image, .sender = "me@x.test", .prepend = ""};
	fsync_calls = 0;
	fsync_good_calls = 1000;
	return b;
}

static void box_close(struct box *b)
{
	fsync_good_calls = 1000;
	talloc_free(b->d);
	world_free(b->w);
}

static enum rc mbox_add(struct box *b, const char *path, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct mbox *mbox;

	if (mbox_open(tmp, path, geteuid(), (gid_t)-1, &rules, &mbox, fault) !=
		RC_OK ||
	    mbox_append(mbox, &b->text, &rules, fault) != RC_OK)
		return fault->rc;
	return mbox_sync_name(mbox, fault);
}

static void an_mbox_whose_flush_fails_is_as_it_was(void **state)
{
	struct box b = box_open();
	const char *path = mem_printf(b.w, "%s/box", b.w->directory);
	struct fault fault;

	assert_int_equal(mbox_add(&b, path, &fault), RC_OK);
	assert_string_equal(world_file(b.w, path), "A: b\n\nhello\n");
	fsync_calls = 0;
	fsync_good_calls = 0;
	assert_int_equal(mbox_add(&b, path, &fault), RC_TEMP);
	assert_string_equal(fault.dsn, "4.3.0");
	assert_string_equal(world_file(b.w, path), "A: b\n\nhello\n");
	box_close(&b);
}

static void a_new_mbox_is_done_when_its_name_is_on_disk(void **state)
{
	struct box b = box_open();
	const char *path = mem_printf(b.w, "%s/box", b.w->directory);
	struct fault fault;

	fsync_good_calls = 1; /* the file, not its directory */
	assert_int_equal(mbox_add(&b, path, &fault), RC_TEMP);
	assert_int_equal(fsync_calls, 2);
	fsync_good_calls = 1000;
	fsync_calls = 0;
	assert_int_equal(mbox_add(&b, path, &fault), RC_OK);
	assert_int_equal(fsync_calls, 2);
	assert_string_equal(world_file(b.w, path), "A: b\n\nhello\n");
	fsync_calls = 0;
	assert_int_equal(mbox_add(&b, path, &fault), RC_OK);
	assert_int_equal(fsync_calls, 1); /* the name is there already */
	box_close(&b);
}

static int file_count(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int count = 0;

	if (dir == NULL)
		return 0;
	while ((entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

static void a_maildir_has_no_message_that_could_vanish(void **state)
{
	struct box b = box_open();
	const char *path = mem_printf(b.w, "%s/m/", b.w->directory);
	struct fault fault;
	int good = 0;

	/* Each flush fails in turn; only without a failure it is there. */
	for (;; good++) {
		fsync_calls = 0;
		fsync_good_calls = good;
		if (maildir_deliver(b.w, path, &b.text, &fault) == RC_OK)
			break;
		assert_int_equal(fault.rc, RC_TEMP);
		assert_int_equal(file_count(mem_printf(b.w, "%snew", path)), 0);
		assert_in_range(good, 0, 10);
	}
	assert_in_range(good, 2, 10);
	assert_int_equal(file_count(mem_printf(b.w, "%snew", path)), 1);
	assert_int_equal(file_count(mem_printf(b.w, "%stmp", path)), 0);
	box_close(&b);
}

static void a_mailbox_that_another_has_locked_waits(void **state)
{
	struct box b = box_open();
	const char *path = mem_printf(b.w, "%s/box", b.w->directory);
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct fault fault;
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	assert_int_equal(fcntl(fd, F_OFD_SETLK, &whole), 0);
	assert_int_equal(mbox_add(&b, path, &fault), RC_TEMP);
	assert_string_equal(fault.dsn, "4.2.0");
	assert_int_equal(access(mem_printf(b.w, "%s.lock", path), F_OK), -1);
	close(fd);
	assert_int_equal(mbox_add(&b, path, &fault), RC_OK);
	box_close(&b);
}

static void what_an_error_means_for_the_mail(void **state)
{
	static const struct {
		int error;
		enum rc rc;
		const char *dsn;
	} cases[] = {
	    {ENOSPC, RC_TEMP, "4.3.0"}, {EDQUOT, RC_TEMP, "4.2.2"},
	    {EFBIG, RC_PERM, "5.2.2"},	{EACCES, RC_PERM, "5.2.0"},
	    {EIO, RC_TEMP, "4.3.0"},	{EMFILE, RC_TEMP, "4.3.0"},
	    {ELOOP, RC_PERM, "5.2.0"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fault fault;

		print_message("  %s\n", strerror(cases[i].error));
		assert_int_equal(
		    mailbox_errno_fault(&fault, cases[i].error, "x"),
		    cases[i].rc);
		assert_string_equal(fault.dsn, cases[i].dsn);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_mbox_whose_flush_fails_is_as_it_was),
	    cmocka_unit_test(a_new_mbox_is_done_when_its_name_is_on_disk),
	    cmocka_unit_test(a_maildir_has_no_message_that_could_vanish),
	    cmocka_unit_test(a_mailbox_that_another_has_locked_waits),
	    cmocka_unit_test(what_an_error_means_for_the_mail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
