/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { GOOD = 0, NOT_HERE = 77 };

/* A sandbox cannot be left, so each case is a process of its own. */
static void in_child(int (*run)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(run());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NOT_HERE) {
		print_message("  this kernel does not have it\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), GOOD);
}

static int syscalls_run(void)
{
	struct fault fault;
	int fd;

	switch (sandbox_syscalls(&fault)) {
	case RC_OK:
		break;
	case RC_NONE:
		return NOT_HERE;
	default:
		return 1;
	}
	if (unshare(CLONE_NEWNS) == 0 || errno != EPERM)
		return 2;
	if (mount("none", "/", "tmpfs", 0, NULL) == 0 || errno != EPERM)
		return 3;
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 || errno != EPERM)
		return 4;
	fd = open("/dev/null", O_RDWR);
	return fd >= 0 && write(fd, "x", 1) == 1 ? GOOD : 5;
}

static void what_mail_never_needs_is_taken_away(void **state)
{
	in_child(syscalls_run);
}

static int paths_run(void)
{
	static const struct sandbox_path paths[] = {
		{ "/tmp", SANDBOX_READ | SANDBOX_WRITE | SANDBOX_CREATE },
		{ "/dev/null", SANDBOX_READ | SANDBOX_WRITE },
		{ "/nonexistent", SANDBOX_READ | SANDBOX_OPTIONAL },
	};
	int etc = open("/etc/passwd", O_RDONLY);
	struct fault fault;
	char name[64], byte;

	switch (sandbox_paths(paths, ARRAY_LEN(paths), &fault)) {
	case RC_OK:
		break;
	case RC_NONE:
		return NOT_HERE;
	default:
		return 1;
	}
	if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES)
		return 2;
	if (read(etc, &byte, 1) != 1) /* open before: usable */
		return 3;
	snprintf(name, sizeof(name), "/tmp/postern-sandbox-%d", (int)getpid());
	if (open(name, O_CREAT | O_WRONLY, 0600) < 0 || unlink(name) != 0)
		return 4;
	return open("/dev/null", O_RDWR) >= 0 ? GOOD : 5;
}

static void only_the_named_paths_are_left(void **state)
{
	in_child(paths_run);
}

static int missing_run(void)
{
	static const struct sandbox_path paths[] = { { "/nonexistent",
						       SANDBOX_READ } };
	struct fault fault;

	switch (sandbox_paths(paths, ARRAY_LEN(paths), &fault)) {
	case RC_CONF:
		return strstr(fault.text, "/nonexistent") != NULL ? GOOD : 2;
	case RC_NONE:
		return NOT_HERE;
	default:
		return 1;
	}
}

static void a_path_that_is_missing_is_said(void **state)
{
	in_child(missing_run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_mail_never_needs_is_taken_away),
		cmocka_unit_test(only_the_named_paths_are_left),
		cmocka_unit_test(a_path_that_is_missing_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
