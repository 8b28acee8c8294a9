/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/user_work.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "sys/child.h"

/* As long as a command may run: the child is its user's, who can stop it. */
enum { WORK_MAX_MS = 1000 * 1000, KILL_WAIT_MS = 10 * 1000 };

NORETURN static void child_run(const struct privilege_user *user,
			       user_work_fn *work, void *arg, int pipe_fd)
{
	struct fault fault = {.rc = RC_OK};
	ssize_t ignored;

	if (privilege_become(user, false, &fault) != RC_OK) {
		fault.rc = RC_TEMP;
	} else {
		signal(SIGXFSZ, SIG_IGN);
		signal(SIGPIPE, SIG_IGN);
		fault.rc = work(arg, &fault);
	}
	/* Less than PIPE_BUF: whole or not at all. */
	ignored = write(pipe_fd, &fault, sizeof(fault));
	(void)ignored;
	_exit(0);
}

static bool is_in_time(int pipe_fd)
{
	const uint64_t end_ms = clock_mono_ms() + WORK_MAX_MS;
	struct pollfd fds = {.fd = pipe_fd, .events = POLLIN};
	int ready;

	do {
		const uint64_t now_ms = clock_mono_ms();

		ready = poll(&fds, 1,
			     now_ms < end_ms ? (int)(end_ms - now_ms) : 0);
	} while (ready < 0 && errno == EINTR);
	return ready > 0;
}

static bool fault_receive(int pipe_fd, struct fault *fault)
{
	ssize_t got;

	if (!is_in_time(pipe_fd))
		return false;
	do
		got = read(pipe_fd, fault, sizeof(*fault));
	while (got < 0 && errno == EINTR);
	return got == (ssize_t)sizeof(*fault);
}

enum rc user_work(const struct privilege_user *user, user_work_fn *work,
		  void *arg, struct fault *fault)
{
	char ended[CHILD_STATUS_MAX_BYTES];
	struct fault got;
	int pipe_fds[2], status = 0;
	bool whole;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC) != 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "pipe: %m");
	if (child_fork(&pid, fault) != RC_OK) {
		close(pipe_fds[0]);
		close(pipe_fds[1]);
		return fault->rc;
	}
	if (pid == 0)
		child_run(user, work, arg, pipe_fds[1]);
	close(pipe_fds[1]);
	whole = fault_receive(pipe_fds[0], &got);
	close(pipe_fds[0]);
	kill(pid, SIGKILL); /* done, or it never would be */
	while (whole && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!whole &&
	    child_wait(pid, KILL_WAIT_MS, &status, fault) == RC_NONE)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "delivery process cannot be ended");
	if (!whole)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "delivery process ended with %s",
				 child_status_text(status, ended));
	if (got.rc != RC_OK && fault != NULL)
		*fault = got;
	return got.rc;
}
