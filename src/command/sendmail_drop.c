/* SPDX-License-Identifier: Apache-2.0 */
#include "command/sendmail_drop.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "queue/crc32c.h"
#include "sys/child.h"
#include "sys/files.h"
#include "sys/log.h"

enum { CHUNK_BYTES = 64 * 1024 };

struct drop_pipe {
	int fd; /* -1: closed */
	pid_t child;
	struct buf out;
	uint32_t crc;
	uint64_t length;
	bool broken; /* postdrop has given up */
};

static int pipe_abandon(struct drop_pipe *pipe)
{
	struct fault fault;
	int status;

	if (pipe->fd < 0)
		return 0;
	close(pipe->fd);
	if (child_wait(pipe->child, -1, &status, &fault) != RC_OK)
		log_warning("%s", fault.text);
	return 0;
}

static enum rc postdrop_start(struct drop_pipe *pipe, const struct conf *conf,
			      struct fault *fault)
{
	static const char *const argv[] = { "postdrop", "-r", NULL };
	struct child_file files[] = { { 0, STDIN_FILENO },
				      { STDERR_FILENO, STDERR_FILENO } };
	struct child_spec spec = { .argv = argv, .directory = "/",
				   .files = files,
				   .file_count = ARRAY_LEN(files) };
	int ends[2];
	enum rc rc;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "pipe: %m");
	files[0].from = ends[0];
	spec.path = mem_printf(pipe, "%s/postdrop", conf->v.command_directory);
	setenv("MAIL_CONFIG", conf->config_directory, 1);
	rc = child_start(&spec, &pipe->child, fault);
	close(ends[0]);
	if (rc != RC_OK)
		close(ends[1]);
	else
		pipe->fd = ends[1];
	return rc;
}

static void out_flush(struct drop_pipe *pipe)
{
	struct span bytes = buf_span(&pipe->out);
	struct fault fault;

	if (bytes.len == 0)
		return;
	pipe->crc = crc32c(pipe->crc, bytes);
	pipe->length += bytes.len;
	if (!pipe->broken && file_write(pipe->fd, bytes, &fault) != RC_OK)
		pipe->broken = true;
	buf_clear(&pipe->out);
}

void drop_pipe_add(struct drop_pipe *pipe, struct span text)
{
	while (text.len > 0) {
		struct span part =
			span_take(text, CHUNK_BYTES - pipe->out.len);

		buf_add(&pipe->out, part);
		text = span_skip(text, part.len);
		if (pipe->out.len == CHUNK_BYTES)
			out_flush(pipe);
	}
}

enum rc drop_pipe_open(TALLOC_CTX *mem, const struct conf *conf,
		       const struct maildrop_head *head,
		       struct drop_pipe **ret_pipe, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct drop_pipe *pipe = mem_new(tmp, struct drop_pipe);
	struct buf text;
	enum rc rc;

	pipe->fd = -1;
	buf_init(&pipe->out, pipe, CHUNK_BYTES);
	buf_init(&text, tmp, MAILDROP_HEAD_MAX_BYTES);
	rc = maildrop_head_format(head, &text, fault);
	if (rc == RC_OK)
		rc = postdrop_start(pipe, conf, fault);
	if (rc != RC_OK)
		return rc;
	talloc_set_destructor(pipe, pipe_abandon);
	drop_pipe_add(pipe, buf_span(&text));
	*ret_pipe = talloc_steal(mem, pipe);
	return RC_OK;
}

int drop_pipe_close(struct drop_pipe *pipe)
{
	char tail[MAILDROP_TAIL_BYTES], text[CHILD_STATUS_MAX_BYTES];
	struct fault fault = { 0 };
	int status;

	out_flush(pipe);
	maildrop_tail_format(pipe->crc, pipe->length, tail);
	if (!pipe->broken &&
	    file_write(pipe->fd, (struct span){ tail, sizeof(tail) }, &fault) !=
		    RC_OK)
		pipe->broken = true;
	close(pipe->fd);
	pipe->fd = -1;
	if (child_wait(pipe->child, -1, &status, &fault) != RC_OK) {
		log_warning("%s", fault.text);
		return EX_OSERR;
	}
	if (!WIFEXITED(status)) {
		log_warning("postdrop: %s", child_status_text(status, text));
		return EX_TEMPFAIL;
	}
	status = WEXITSTATUS(status);
	return status == EX_OK && pipe->broken ? EX_TEMPFAIL : status;
}
