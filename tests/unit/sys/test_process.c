/* SPDX-License-Identifier: Apache-2.0 */
/* child, privilege, log: what has to do with processes. */
#include "sys/child.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#include "sys/log.h"
#include "sys/privilege.h"

enum { WAIT_MS = 20 * 1000, TEXT_MAX = 4096 };

static void pipe_read(int fd, char text[TEXT_MAX])
{
	size_t len = 0;
	ssize_t got;

	while ((got = read(fd, text + len, TEXT_MAX - 1 - len)) > 0)
		len += (size_t)got;
	text[len] = '\0';
	close(fd);
}

/* Run a shell command with its output in text. */
static int shell(struct child_spec *spec, const char *command,
		 char text[TEXT_MAX])
{
	const char *argv[] = { "sh", "-c", command, NULL };
	struct child_file files[8];
	struct fault fault = { 0 };
	int fds[2], status = -1;
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	for (size_t i = 0; i < spec->file_count; i++)
		files[i] = spec->files[i];
	files[spec->file_count] = (struct child_file){ fds[1], 1 };
	spec->files = files;
	spec->file_count++;
	spec->path = "/bin/sh";
	spec->argv = argv;
	if (child_start(spec, &pid, &fault) != RC_OK)
		fail_msg("%s", fault.text);
	close(fds[1]);
	pipe_read(fds[0], text);
	assert_int_equal(child_wait(pid, WAIT_MS, &status, NULL), RC_OK);
	return status;
}

static void a_child_sees_its_files_and_no_others(void **state)
{
	char text[TEXT_MAX];
	/* 3 and 4 change places on the way; 5 is nowhere. */
	struct child_file files[] = { { 4, 3 }, { 3, 4 }, { -1, 6 } };
	struct child_spec spec = { .files = files, .file_count = 3 };
	int zero = open("/dev/zero", O_RDONLY),
	    full = open("/dev/full", O_RDONLY);

	if (zero != 3)
		assert_int_equal(dup2(zero, 3), 3);
	if (full != 4)
		assert_int_equal(dup2(full, 4), 4);
	assert_true(dup2(3, 200) == 200);
	assert_int_equal(shell(&spec,
			       "for i in 0 2 3 4 5 6 200; do echo $i; "
			       "readlink /proc/$$/fd/$i; done; true",
			       text),
			 0);
	assert_string_equal(text, "0\n/dev/null\n2\n/dev/null\n3\n/dev/full\n"
				  "4\n/dev/zero\n5\n6\n/dev/null\n200\n");
	close(3);
	close(4);
	close(200);
}

static void a_child_starts_with_clean_signals(void **state)
{
	char text[TEXT_MAX];
	struct child_spec spec = { .new_group = true, .directory = "/usr" };
	unsigned long blocked, ignored;
	char directory[6];
	sigset_t all, old;

	signal(SIGPIPE, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	assert_int_equal(shell(&spec,
			       "grep -E 'SigBlk|SigIgn' /proc/self/status; "
			       "pwd",
			       text),
			 0);
	sigprocmask(SIG_SETMASK, &old, NULL);
	assert_int_equal(sscanf(text, "SigBlk: %lx SigIgn: %lx %5s", &blocked,
				&ignored, directory),
			 3);
	/* 32 and 33 are the C library's own; whoever started the test may have
	 * left them ignored, and nobody can change that. */
	assert_int_equal(blocked, 0);
	assert_int_equal(ignored & 0x7fffffff, 0);
	assert_string_equal(directory, "/usr");
}

static void a_program_that_cannot_run_is_said_at_once(void **state)
{
	static const char *const argv[] = { "x", NULL };
	static const struct {
		const char *path, *directory, *text;
	} cases[] = {
		{ "/nonexistent/x", NULL,
		  "exec /nonexistent/x: No such file or directory" },
		{ "/etc/passwd", NULL, "exec /etc/passwd: Permission denied" },
		{ "/bin/true", "/nonexistent",
		  "chdir /bin/true: No such file or directory" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct child_spec spec = { .path = cases[i].path,
					   .argv = argv,
					   .directory = cases[i].directory };
		struct fault fault;
		pid_t pid;

		assert_int_equal(child_start(&spec, &pid, &fault), RC_CONF);
		assert_string_equal(fault.text, cases[i].text);
	}
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void what_became_of_a_child_is_text(void **state)
{
	static const struct {
		const char *command, *text;
	} cases[] = {
		{ "exit 0", "exit status 0" },
		{ "exit 75", "exit status 75" },
		{ "kill -9 $$", "killed by signal 9" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char out[TEXT_MAX], text[CHILD_STATUS_MAX_BYTES];
		struct child_spec spec = { 0 };

		assert_string_equal(
			child_status_text(shell(&spec, cases[i].command, out),
					  text),
			cases[i].text);
	}
}

static void a_group_is_killed_with_all_it_started(void **state)
{
	static const char *const argv[] = { "sh", "-c",
					    "sleep 100 & echo go; wait", NULL };
	struct child_file file = { .to = 1 };
	struct child_spec spec = { .path = "/bin/sh",
				   .argv = argv,
				   .files = &file,
				   .file_count = 1,
				   .new_group = true };
	int fds[2], status;
	char byte, rest[TEXT_MAX];
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	file.from = fds[1];
	assert_int_equal(child_start(&spec, &pid, NULL), RC_OK);
	close(fds[1]);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	assert_int_equal(child_wait(pid, 10, &status, NULL), RC_NONE);
	child_kill_group(pid, SIGKILL);
	assert_int_equal(child_wait(pid, WAIT_MS, &status, NULL), RC_OK);
	assert_true(WIFSIGNALED(status));
	/* The pipe ends only when the sleep is gone, too. */
	pipe_read(fds[0], rest);
	assert_int_equal(child_wait(pid, 0, &status, NULL), RC_PERM);
}

static void users_are_found_or_not_there(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct privilege_user *user;
	gid_t gid;

	assert_int_equal(privilege_user_find(tmp, "root", &user, NULL), RC_OK);
	assert_int_equal(user->uid, 0);
	assert_string_equal(user->home, "/root");
	assert_int_equal(privilege_user_find(tmp, "no-such-user", &user, NULL),
			 RC_NONE);
	assert_int_equal(privilege_user_find_uid(tmp, 0, &user, NULL), RC_OK);
	assert_string_equal(user->name, "root");
	assert_int_equal(privilege_user_find_uid(tmp, 4000000, &user, NULL),
			 RC_NONE);
	assert_int_equal(privilege_group_find("root", &gid, NULL), RC_OK);
	assert_int_equal(privilege_group_find("no-such-group", &gid, NULL),
			 RC_NONE);
}

static void there_is_no_way_back_from_a_lesser_user(void **state)
{
	char text[TEXT_MAX];
	struct privilege_user nobody = { .name = "nobody",
					 .uid = 65534,
					 .gid = 65534 };
	struct child_spec spec = { .user = &nobody };

	if (geteuid() != 0)
		skip();
	assert_int_equal(shell(&spec,
			       "grep -E '^(Uid|Gid|Groups|CapEff)' "
			       "/proc/self/status",
			       text),
			 0);
	assert_string_equal(text, "Uid:\t65534\t65534\t65534\t65534\n"
				  "Gid:\t65534\t65534\t65534\t65534\n"
				  "Groups:\t65534 \n"
				  "CapEff:\t0000000000000000\n");
}

static int log_file(char path[32])
{
	snprintf(path, 32, "/tmp/postern-test-log-XXXXXX");
	return mkostemp(path, O_APPEND | O_CLOEXEC);
}

static void a_log_line_is_one_clean_line(void **state)
{
	static const struct {
		const char *why, *in, *out;
	} cases[] = {
		{ "plain", "connect from a[192.0.2.1]",
		  "connect from a[192.0.2.1]" },
		{ "line ends and tabs", "a\r\nb\tc", "a??b?c" },
		{ "UTF-8", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
		  "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ "broken UTF-8", "a\xc3(\xff\xe2\x82", "a?(???" },
		{ "overlong", "\xc0\xaf\xe0\x80\xaf", "?????" },
		{ "surrogate", "\xed\xa0\x80", "???" },
		{ "C1 controls", "\xc2\x9b", "??" },
		{ "escape", "\033[31m", "?[31m" },
	};
	char path[32], text[TEXT_MAX], head[128];
	int fd = log_file(path);

	snprintf(head, sizeof(head),
		 " postfix/test[%d]: warning: ", (int)getpid());
	log_open("postfix", "test", LOG_TO_FD, fd, LOG_MAIL);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *at;
		ssize_t got;

		print_message("  %s\n", cases[i].why);
		assert_int_equal(ftruncate(fd, 0), 0);
		log_warning("%s", cases[i].in);
		got = pread(fd, text, sizeof(text) - 1, 0);
		assert_true(got > 0);
		text[got] = '\0';
		at = strstr(text, head);
		assert_non_null(at);
		assert_int_equal(text[got - 1], '\n');
		text[got - 1] = '\0';
		assert_string_equal(at + strlen(head), cases[i].out);
	}
	log_open("postfix", "test", LOG_TO_STDERR, -1, LOG_MAIL);
	close(fd);
	unlink(path);
}

static void a_long_line_is_cut_and_a_fork_has_its_own_number(void **state)
{
	static char big[10000];
	char path[32], text[TEXT_MAX], head[64];
	int fd = log_file(path), status;
	ssize_t got;
	pid_t pid;

	memset(big, 'x', sizeof(big) - 1);
	log_open("postfix", "test", LOG_TO_FD, fd, LOG_MAIL);
	errno = ENOENT;
	log_info("%m %s", big);
	assert_int_equal(errno, ENOENT);
	got = pread(fd, text, sizeof(text), 0);
	assert_in_range(got, 2000, 2049);
	assert_int_equal(text[got - 1], '\n');
	assert_non_null(strstr(text, "No such file or directory xxx"));

	assert_int_equal(ftruncate(fd, 0), 0);
	log_debug("not with -v 0");
	assert_int_equal(child_fork(&pid, NULL), RC_OK);
	if (pid == 0) {
		log_info("child");
		_exit(0);
	}
	assert_int_equal(child_wait(pid, WAIT_MS, &status, NULL), RC_OK);
	got = pread(fd, text, sizeof(text) - 1, 0);
	text[MAX_OF(got, 0)] = '\0';
	snprintf(head, sizeof(head), "postfix/test[%d]: child\n", (int)pid);
	assert_non_null(strstr(text, head));
	assert_null(strstr(text, "not with"));
	log_open("postfix", "test", LOG_TO_STDERR, -1, LOG_MAIL);
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_sees_its_files_and_no_others),
		cmocka_unit_test(a_child_starts_with_clean_signals),
		cmocka_unit_test(a_program_that_cannot_run_is_said_at_once),
		cmocka_unit_test(what_became_of_a_child_is_text),
		cmocka_unit_test(a_group_is_killed_with_all_it_started),
		cmocka_unit_test(users_are_found_or_not_there),
		cmocka_unit_test(there_is_no_way_back_from_a_lesser_user),
		cmocka_unit_test(a_log_line_is_one_clean_line),
		cmocka_unit_test(
			a_long_line_is_cut_and_a_fork_has_its_own_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
