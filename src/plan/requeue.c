/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/requeue.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "queue/crc32c.h"
#include "queue/image.h"
#include "rule/maildrop.h"

enum { COPY_BYTES = 64 * 1024, NAME_MAX_BYTES = 80 };

/* The file as it grows. */
struct drop {
	int fd;
	uint32_t crc;
	uint64_t length;
};

static int requeue_done(struct requeue *requeue)
{
	close(requeue->fd);
	return 0;
}

enum rc requeue_new(TALLOC_CTX *mem, int fd, uint64_t offset,
		    const char *queue_id, struct store_entry *entry,
		    struct requeue **ret_requeue, struct fault *fault)
{
	struct requeue *requeue = mem_new(mem, struct requeue);
	struct envelope *env = entry->env;
	size_t kept = 0;

	requeue->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (requeue->fd < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "dup: %m");
	talloc_set_destructor(requeue, requeue_done);
	requeue->queue_id = mem_strdup(requeue, queue_id);
	requeue->offset = offset;
	requeue->env = talloc_steal(requeue, env);
	for (size_t i = 0; i < env->recipient_count; i++)
		if (entry->recipient_done == NULL || !entry->recipient_done[i])
			env->recipients[kept++] = env->recipients[i];
	env->recipient_count = kept;
	*ret_requeue = requeue;
	return RC_OK;
}

static enum rc drop_write(struct drop *drop, struct span bytes,
			  struct fault *fault)
{
	drop->crc = crc32c(drop->crc, bytes);
	drop->length += bytes.len;
	while (bytes.len > 0) {
		ssize_t size = write(drop->fd, bytes.ptr, bytes.len);

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0)
			return fault_set(fault, RC_TEMP, "4.3.0",
					 "write maildrop file: %m");
		bytes = span_skip(bytes, (size_t)size);
	}
	return RC_OK;
}

static enum rc write_head(struct drop *drop, const struct requeue *requeue,
			  struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const struct envelope *env = requeue->env;
	struct maildrop_head head = {
		.sender = env->sender,
		.envid = env->dsn_envid,
		.verp = env->verp,
		.log_ident = requeue->queue_id,
		.ret = env->dsn_ret,
		.body = (env->flags & ENVELOPE_BODY_8BITMIME) != 0
				? MAILDROP_BODY_8BIT
				: MAILDROP_BODY_NONE,
		.recipient_count = env->recipient_count,
	};
	struct buf out;

	/* One NOTIFY for all is what the file can say: the first one's. */
	head.recipients = mem_array(tmp, const char *, env->recipient_count);
	for (size_t i = 0; i < env->recipient_count; i++)
		head.recipients[i] = env->recipients[i].address;
	if (env->recipient_count > 0)
		head.notify = env->recipients[0].notify;
	buf_init(&out, tmp, MAILDROP_HEAD_MAX_BYTES);
	if (maildrop_head_format(&head, &out, fault) != RC_OK)
		return fault->rc;
	return drop_write(drop, buf_span(&out), fault);
}

/* CRLF to LF; a CR at the end of a piece waits for what follows, so `out` has
 * room for one byte more. */
static size_t to_lf(const char *in, size_t size, char *out, bool *cr)
{
	size_t len = 0;

	for (size_t i = 0; i < size; i++) {
		if (*cr && in[i] != '\n')
			out[len++] = '\r';
		*cr = in[i] == '\r';
		if (!*cr)
			out[len++] = in[i];
	}
	return len;
}

static enum rc write_content(struct drop *drop, const struct requeue *requeue,
			     struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *in = mem_array(tmp, char, COPY_BYTES);
	char *out = mem_array(tmp, char, COPY_BYTES + 1);
	struct image *image;
	uint64_t from = 0;
	bool cr = false;
	size_t size;

	if (image_open(tmp, requeue->fd, requeue->offset, false, &image,
		       fault) != RC_OK)
		return fault->rc;
	do {
		size_t len;

		if (image_content_read(image, from, in, COPY_BYTES, &size,
				       fault) != RC_OK)
			return fault->rc;
		from += size;
		len = to_lf(in, size, out, &cr);
		if (size == 0 && cr)
			out[len++] = '\r';
		if (drop_write(drop, (struct span){ out, len }, fault) != RC_OK)
			return fault->rc;
	} while (size > 0);
	return RC_OK;
}

static enum rc write_all(struct drop *drop, const struct requeue *requeue,
			 struct fault *fault)
{
	char tail[MAILDROP_TAIL_BYTES];
	struct span tail_span = { tail, sizeof(tail) };

	if (write_head(drop, requeue, fault) != RC_OK ||
	    write_content(drop, requeue, fault) != RC_OK)
		return fault->rc;
	maildrop_tail_format(drop->crc, drop->length, tail);
	if (drop_write(drop, tail_span, fault) != RC_OK)
		return fault->rc;
	if (fsync(drop->fd) != 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "fsync: %m");
	return RC_OK;
}

/* The new name is on the disk, not only in memory. */
static enum rc sync_directory(struct fault *fault)
{
	int fd = open("maildrop", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = fd < 0 ? -1 : fsync(fd);
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
	return result == 0 ? RC_OK
			   : fault_set(fault, RC_TEMP, "4.3.0",
				       "fsync maildrop: %m");
}

enum rc requeue_write(struct requeue *requeue, struct fault *fault)
{
	char name[NAME_MAX_BYTES];
	struct drop drop = { 0 };
	enum rc rc;

	/* pickup takes no file whose tail does not fit. */
	snprintf(name, sizeof(name), "maildrop/%s", requeue->queue_id);
	drop.fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (drop.fd < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "open %s: %m", name);
	rc = write_all(&drop, requeue, fault);
	if (rc == RC_OK && fchmod(drop.fd, 0700) != 0)
		rc = fault_set(fault, RC_TEMP, "4.3.0", "chmod %s: %m", name);
	close(drop.fd);
	if (rc == RC_OK)
		rc = sync_directory(fault);
	if (rc != RC_OK)
		unlink(name);
	return rc;
}
