/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILES_MAX = 512 };

/* What the child tells through the pipe when it could not become the program.
 */
struct child_failure {
	int error;
	char doing[16];
};

static void signals_reset(void)
{
	struct sigaction normal = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		sigaction(i, &normal, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

NORETURN static void child_fail(int pipe_fd, const char *doing)
{
	struct child_failure failure = { .error = errno };
	ssize_t ignored;

	snprintf(failure.doing, sizeof(failure.doing), "%s", doing);
	ignored = write(pipe_fd, &failure, sizeof(failure));
	(void)ignored;
	_exit(127);
}

static int files_top(const struct child_spec *spec)
{
	int top = STDERR_FILENO;

	for (size_t i = 0; i < spec->file_count; i++)
		top = MAX_OF(top, spec->files[i].to);
	return top;
}

static bool files_have(const struct child_spec *spec, int to)
{
	for (size_t i = 0; i < spec->file_count; i++)
		if (spec->files[i].to == to)
			return true;
	return false;
}

/* Put every file in its place; none of the others survives exec. Returns the
 * pipe's new number, or -1. */
static int files_arrange(const struct child_spec *spec, int pipe_fd)
{
	int above = files_top(spec) + 1;
	int moved[FILES_MAX], null_fd;

	pipe_fd = fcntl(pipe_fd, F_DUPFD_CLOEXEC, above);
	null_fd = open("/dev/null", O_RDWR);
	if (pipe_fd < 0 || null_fd < 0)
		return -1;
	null_fd = fcntl(null_fd, F_DUPFD_CLOEXEC, above);
	for (size_t i = 0; i < spec->file_count; i++) {
		int from = spec->files[i].from;

		moved[i] = from < 0 ? null_fd
				    : fcntl(from, F_DUPFD_CLOEXEC, above);
		if (moved[i] < 0)
			return -1;
	}
	for (size_t i = 0; i < spec->file_count; i++)
		if (dup2(moved[i], spec->files[i].to) < 0)
			return -1;
	for (int fd = 0; fd < above; fd++) {
		if (files_have(spec, fd))
			continue;
		if (fd > STDERR_FILENO)
			close(fd);
		else if (dup2(null_fd, fd) < 0)
			return -1;
	}
	close_range((unsigned)above, ~0U, CLOSE_RANGE_CLOEXEC);
	return pipe_fd;
}

NORETURN static void child_become(const struct child_spec *spec, int pipe_fd)
{
	const char *const *env =
		spec->env != NULL ? spec->env : (const char *const *)environ;
	struct fault fault;
	int moved_fd;

	if (spec->new_session && setsid() < 0)
		child_fail(pipe_fd, "setsid");
	if (spec->new_group && !spec->new_session && setpgid(0, 0) != 0)
		child_fail(pipe_fd, "setpgid");
	moved_fd = files_arrange(spec, pipe_fd);
	if (moved_fd < 0)
		child_fail(pipe_fd, "arrange files");
	pipe_fd = moved_fd;
	if (spec->user != NULL &&
	    privilege_become(spec->user, false, &fault) != RC_OK)
		child_fail(pipe_fd, "become user");
	if (spec->directory != NULL && chdir(spec->directory) != 0)
		child_fail(pipe_fd, "chdir");
	signals_reset();
	execve(spec->path, (char *const *)spec->argv, (char *const *)env);
	child_fail(pipe_fd, "exec");
}

static enum rc failure_read(int pipe_fd, const struct child_spec *spec,
			    pid_t pid, struct fault *fault)
{
	struct child_failure failure;
	ssize_t got;

	do
		got = read(pipe_fd, &failure, sizeof(failure));
	while (got < 0 && errno == EINTR);
	if (got != (ssize_t)sizeof(failure))
		return RC_OK; /* closed by exec */
	waitpid(pid, NULL, 0);
	failure.doing[sizeof(failure.doing) - 1] = '\0';
	errno = failure.error;
	return fault_set(fault,
			 errno == ENOMEM || errno == EAGAIN ||
					 errno == EMFILE || errno == ENFILE
				 ? RC_TEMP
				 : RC_CONF,
			 "4.3.5", "%s %s: %m", failure.doing, spec->path);
}

/* Every signal waits while the child is neither the parent nor the program. */
static pid_t fork_quiet(sigset_t *ret_old)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, ret_old);
	return fork();
}

enum rc child_start(const struct child_spec *spec, pid_t *ret_pid,
		    struct fault *fault)
{
	sigset_t old;
	int pipe_fds[2];
	enum rc rc;
	pid_t pid;

	if (spec->file_count > FILES_MAX)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "more than %d files for %s", FILES_MAX,
				 spec->path);
	if (pipe2(pipe_fds, O_CLOEXEC) != 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "pipe: %m");
	pid = fork_quiet(&old);
	if (pid == 0)
		child_become(spec, pipe_fds[1]);
	rc = pid < 0 ? fault_set(fault, RC_TEMP, "4.3.0", "fork: %m") : RC_OK;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	close(pipe_fds[1]);
	if (rc == RC_OK)
		rc = failure_read(pipe_fds[0], spec, pid, fault);
	close(pipe_fds[0]);
	if (rc == RC_OK)
		*ret_pid = pid;
	return rc;
}

enum rc child_fork(pid_t *ret_pid, struct fault *fault)
{
	sigset_t old;
	pid_t pid = fork_quiet(&old);

	if (pid == 0) {
		setpgid(0, 0);
		signals_reset();
		*ret_pid = 0;
		return RC_OK;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (pid < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "fork: %m");
	setpgid(pid, pid); /* whoever is first */
	*ret_pid = pid;
	return RC_OK;
}

static enum rc wait_readable(pid_t pid, int timeout_ms, struct fault *fault)
{
	struct pollfd poll_fd = { .events = POLLIN };
	int ready;

	poll_fd.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (poll_fd.fd < 0)
		return fault_set(fault, errno == ESRCH ? RC_PERM : RC_TEMP,
				 "4.3.0", "watch process %d: %m", (int)pid);
	do
		ready = poll(&poll_fd, 1, timeout_ms);
	while (ready < 0 && errno == EINTR);
	close(poll_fd.fd);
	if (ready == 0)
		return fault_set(fault, RC_NONE, "4.3.0",
				 "process %d still runs", (int)pid);
	return RC_OK;
}

enum rc child_wait(pid_t pid, int timeout_ms, int *ret_status,
		   struct fault *fault)
{
	pid_t got = waitpid(pid, ret_status, WNOHANG);
	enum rc rc;

	if (got == 0) {
		rc = wait_readable(pid, timeout_ms, fault);
		if (rc != RC_OK)
			return rc;
		got = waitpid(pid, ret_status, WNOHANG);
	}
	if (got == pid)
		return RC_OK;
	if (got == 0)
		return fault_set(fault, RC_NONE, "4.3.0",
				 "process %d still runs", (int)pid);
	return fault_set(fault, RC_PERM, "4.3.0", "wait for process %d: %m",
			 (int)pid);
}

bool child_reap(pid_t *ret_pid, int *ret_status)
{
	int status;
	pid_t pid;

	do
		pid = waitpid(-1, &status, WNOHANG);
	while (pid < 0 && errno == EINTR);
	if (pid <= 0)
		return false;
	*ret_pid = pid;
	*ret_status = status;
	return true;
}

void child_kill_group(pid_t pid, int signal)
{
	assert(pid > 1);
	if (kill(-pid, signal) != 0)
		kill(pid, signal);
}

const char *child_status_text(int status, char text[CHILD_STATUS_MAX_BYTES])
{
	if (WIFSIGNALED(status))
		snprintf(text, CHILD_STATUS_MAX_BYTES, "killed by signal %d",
			 WTERMSIG(status));
	else
		snprintf(text, CHILD_STATUS_MAX_BYTES, "exit status %d",
			 WEXITSTATUS(status));
	return text;
}
