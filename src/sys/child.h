/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child - other programs, started with exactly the files they should have.
 *
 * Holds    a child sees the files of its spec and nothing else, default signal
 *          handlers and an empty signal mask
 * Errors   RC_TEMP no process or memory; RC_CONF the program cannot be run:
 *          "exec /usr/lib/postfix/sbin/smtpd: No such file or directory"
 * Threads  any may start children
 */
#pragma once

#include <sys/types.h>

#include "base/fault.h"
#include "base/mem.h"
#include "sys/privilege.h"

struct child_file {
	int from; /* in this process; -1: /dev/null */
	int to;	  /* in the child */
};

struct child_spec {
	const char *path;
	const char *const *argv; /* NULL-terminated, with argv[0] */
	const char *const *env;	 /* NULL-terminated; NULL: ours */
	/* 0, 1 and 2 are /dev/null when not in the list. */
	const struct child_file *files;
	size_t file_count;
	const char *directory;		   /* NULL: ours */
	const struct privilege_user *user; /* become it; NULL: stay */
	bool new_group; /* its own process group, for child_kill_group */
	bool new_session;
};

/* Returns when the program runs or when it is known that it cannot. */
MUST_CHECK enum rc child_start(const struct child_spec *spec, pid_t *ret_pid,
			       struct fault *fault);
/* fork: 0 in the child (default signals, empty mask, own process group). */
MUST_CHECK enum rc child_fork(pid_t *ret_pid, struct fault *fault);
/* Wait at most timeout_ms (-1: no limit): RC_OK with the wait status, RC_NONE
 * when it still runs, RC_PERM when it is no child of ours. */
MUST_CHECK enum rc child_wait(pid_t pid, int timeout_ms, int *ret_status,
			      struct fault *fault);
/* One child that has ended; false when there is none. */
bool child_reap(pid_t *ret_pid, int *ret_status);
/* The signal goes to the child and all that it started in its group. */
void child_kill_group(pid_t pid, int signal);

enum { CHILD_STATUS_MAX_BYTES = 64 };
/* "exit status 1", "killed by signal 9"; returns text. */
const char *child_status_text(int status, char text[CHILD_STATUS_MAX_BYTES]);
