/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "mail/dsn.h"
#include "sys/child.h"

enum { OUTPUT_MAX_BYTES = 4096, WORDS_MAX = 200, KILL_WAIT_MS = 10 * 1000 };

static const struct {
	int status;
	const char *dsn, *text;
} exits[] = {
    {EX_USAGE, "5.3.0", "command line usage error"},
    {EX_DATAERR, "5.6.0", "data format error"},
    {EX_NOINPUT, "5.3.0", "cannot open input"},
    {EX_NOUSER, "5.1.1", "user unknown"},
    {EX_NOHOST, "5.1.2", "host name unknown"},
    {EX_UNAVAILABLE, "5.3.0", "service unavailable"},
    {EX_SOFTWARE, "5.3.0", "internal software error"},
    {EX_OSERR, "4.3.0", "system resource problem"},
    {EX_OSFILE, "5.3.0", "critical OS file missing"},
    {EX_CANTCREAT, "5.2.0", "can't create user output file"},
    {EX_IOERR, "5.3.0", "input/output error"},
    {EX_TEMPFAIL, "4.3.0", "temporary failure"},
    {EX_PROTOCOL, "5.5.0", "remote error in protocol"},
    {EX_NOPERM, "5.7.0", "permission denied"},
    {EX_CONFIG, "5.3.5", "local configuration error"},
};

/* The message as a file in memory: the program may read as much of it as it
 * likes, as slowly as it likes, and nobody waits for nobody. */
static enum rc message_file(const struct mail_text *text, int *ret_fd,
			    struct fault *fault)
{
	int fd = memfd_create("message", MFD_CLOEXEC), error;

	if (fd < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "memfd: %m");
	if (mail_text_write(text, fd, &error, fault) != RC_OK) {
		close(fd);
		return fault->rc;
	}
	lseek(fd, 0, SEEK_SET);
	*ret_fd = fd;
	return RC_OK;
}

static void output_add(struct buf *output, const char *bytes, size_t size)
{
	for (size_t i = 0; i < size && output->len < OUTPUT_MAX_BYTES; i++)
		buf_add_char(output, bytes[i] == '\n'		? ' '
				     : ascii_is_print(bytes[i]) ? bytes[i]
								: '?');
}

static int time_left_ms(uint64_t deadline)
{
	const uint64_t now = clock_mono_ms();

	return now >= deadline
		   ? 0
		   : (int)MIN_OF(deadline - now, (uint64_t)INT32_MAX);
}

/* Read until the program has ended. false: time is over. */
static bool output_read(int fd, pid_t pid, uint64_t deadline,
			struct buf *output)
{
	struct pollfd fds[2] = {
	    {.fd = fd, .events = POLLIN},
	    {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN},
	};
	bool in_time = true, open = true;

	while (open) {
		char bytes[4096];
		int ready = poll(fds, 2, time_left_ms(deadline));
		ssize_t got;

		if (ready == 0) {
			in_time = false;
			break;
		}
		if (ready < 0)
			continue;
		if (fds[0].revents == 0)
			break; /* ended; others may still hold the pipe */
		got = read(fd, bytes, sizeof(bytes));
		if (got > 0)
			output_add(output, bytes, (size_t)got);
		open = got > 0 || (got < 0 && errno == EINTR);
		/* Who never stops talking has no more time than others. */
		if (open && time_left_ms(deadline) == 0) {
			in_time = false;
			break;
		}
	}
	if (fds[1].fd >= 0)
		close(fds[1].fd);
	return in_time;
}

static enum rc ended(const struct command *c, int status,
		     const struct buf *output, struct fault *fault)
{
	const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	const char *said = buf_text(output);
	struct span rest = buf_span(output);
	char dsn[DSN_MAX_BYTES];

	if (code == 0)
		return RC_OK;
	if (dsn_cut(&rest, dsn) && dsn[0] != '2')
		return fault_set(fault, dsn_rc(dsn), dsn, "%.*s",
				 SPAN_FMT(span_trim(rest)));
	for (size_t i = 0; i < ARRAY_LEN(exits); i++)
		if (exits[i].status == code)
			return fault_set(fault, dsn_rc(exits[i].dsn),
					 exits[i].dsn, "%s%s%s", exits[i].text,
					 *said ? ". Command output: " : "",
					 said);
	return fault_set(fault, RC_PERM, "5.3.0",
			 "Command died with %s %d: \"%s\"%s%s",
			 code >= 0 ? "status" : "signal",
			 code >= 0 ? code : WTERMSIG(status), c->shown,
			 *said ? ". Command output: " : "", said);
}

static enum rc start(const struct command *c, const struct mail_text *text,
		     int *ret_output_fd, pid_t *ret_pid, struct fault *fault)
{
	int input_fd, pipe_fds[2];
	enum rc rc;

	if (message_file(text, &input_fd, fault) != RC_OK)
		return fault->rc;
	if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
		close(input_fd);
		return fault_set(fault, RC_TEMP, "4.3.0", "pipe: %m");
	}
	{
		const struct child_file files[] = {
		    {input_fd, 0}, {pipe_fds[1], 1}, {pipe_fds[1], 2}};
		const struct child_spec spec = {
		    .path = c->argv[0],
		    .argv = c->argv,
		    .env = c->env,
		    .files = files,
		    .file_count = ARRAY_LEN(files),
		    .directory = c->directory,
		    .user = c->user,
		    .new_session = true,
		};

		rc = child_start(&spec, ret_pid, fault);
	}
	close(input_fd);
	close(pipe_fds[1]);
	if (rc != RC_OK)
		close(pipe_fds[0]);
	*ret_output_fd = pipe_fds[0];
	return rc;
}

enum rc command_run(TALLOC_CTX *mem, const struct command *c,
		    const struct mail_text *text, const char **ret_output,
		    struct fault *fault)
{
	const uint64_t deadline =
	    clock_mono_ms() + (uint64_t)c->time_limit_s * 1000;
	int output_fd, status = 0;
	struct buf output;
	bool in_time;
	pid_t pid;
	enum rc rc;

	rc = start(c, text, &output_fd, &pid, fault);
	if (rc == RC_CONF) /* not there or not for this user: as sh says it */
		return fault_set(fault, RC_PERM, "5.3.0", "%s",
				 mem_strdup(mem, fault->text));
	if (rc != RC_OK)
		return rc;
	buf_init(&output, mem, OUTPUT_MAX_BYTES + 1);
	in_time = output_read(output_fd, pid, deadline, &output);
	close(output_fd);
	if (in_time)
		in_time = child_wait(pid, time_left_ms(deadline), &status,
				     fault) != RC_NONE;
	if (!in_time) {
		child_kill_group(pid, SIGKILL);
		if (child_wait(pid, KILL_WAIT_MS, &status, fault) == RC_NONE)
			return fault_set(fault, RC_TEMP, "4.3.0",
					 "Command cannot be killed: \"%s\"",
					 c->shown);
		return fault_set(
		    fault, RC_PERM, "5.3.0",
		    "Command time limit exceeded: \"%s\"%s%s", c->shown,
		    output.len ? ". Command output: " : "", buf_text(&output));
	}
	if (ret_output != NULL)
		*ret_output = mem_span_dup(mem, span_trim(buf_span(&output)));
	return ended(c, status, &output, fault);
}

static const char *const *words_split(TALLOC_CTX *mem, struct span line,
				      const char *last)
{
	const char **argv = mem_array(mem, const char *, WORDS_MAX + 2);
	struct span word;
	size_t count = 0;

	while (count < WORDS_MAX && span_token(&line, " \t", &word))
		argv[count++] = mem_span_dup(mem, word);
	if (last != NULL)
		argv[count++] = last;
	return argv;
}

const char *const *command_argv(TALLOC_CTX *mem, const char *line,
				const char *shell)
{
	static const char plain[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789_-./:@%+=, \t";

	if (*shell != '\0')
		return words_split(mem, span_from(shell), line);
	if (line[0] == '/' && line[strspn(line, plain)] == '\0')
		return words_split(mem, span_from(line), NULL);
	return words_split(mem, SPAN_OF("/bin/sh -c"), line);
}
