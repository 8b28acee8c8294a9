/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "queue/crc32c.h"
#include "queue/intake_priv.h"

/*
 * The file of a large message: a head of zeros, the body as it comes, header
 * block and envelope at the end, then the head; fsync; then its final name. So
 * a file under its final name is always whole.
 */

static enum rc file_failed(struct intake_priv *priv, const char *what,
			   struct fault *fault)
{
	return fault_set(fault, RC_TEMP,
			 errno == ENOSPC || errno == EDQUOT ? "4.3.1" : "4.3.0",
			 "%s queue file %s: %m", what, priv->id);
}

static enum rc put_at_end(struct intake_priv *priv, struct span bytes,
			  struct fault *fault)
{
	while (bytes.len > 0) {
		struct iovec iov = { (char *)bytes.ptr, bytes.len };
		ssize_t done = priv->intake->journal.io->pwritev(
			priv->fd, &iov, 1, (off_t)priv->file_end);

		if (done < 0 && errno == EINTR)
			continue;
		if (done == 0)
			errno = ENOSPC;
		if (done <= 0)
			return file_failed(priv, "write", fault);
		priv->file_end += (uint64_t)done;
		bytes = span_skip(bytes, (size_t)done);
	}
	return RC_OK;
}

enum rc message_file_begin(struct intake_priv *priv, struct fault *fault)
{
	const struct queue_dirs *dirs = priv->intake->dirs;
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;

	queue_id_path(priv->id, priv->path);
	snprintf(priv->temporary, sizeof(priv->temporary), "%s%s", priv->path,
		 TEMPORARY_SUFFIX);
	priv->fd = openat(dirs->queue, priv->temporary, flags,
			  JOURNAL_FILE_MODE);
	if (priv->fd < 0 && errno == ENOENT) {
		if (queue_hash_dir_make(dirs, priv->path) < 0)
			return file_failed(priv, "make directory of", fault);
		priv->fd = openat(dirs->queue, priv->temporary, flags,
				  JOURNAL_FILE_MODE);
	}
	if (priv->fd < 0)
		return file_failed(priv, "create", fault);
	queue_file_adopt(dirs->journal, priv->fd);
	if (flock(priv->fd, LOCK_EX | LOCK_NB) < 0)
		return file_failed(priv, "lock", fault);
	priv->file_end = FILE_BODY_OFFSET;
	if (put_at_end(priv, buf_span(&priv->body), fault) != RC_OK)
		return RC_TEMP;
	atomic_fetch_sub_explicit(&priv->intake->memory_used, priv->body.cap,
				  memory_order_relaxed);
	priv->memory_counted -= MIN_OF(priv->memory_counted, priv->body.cap);
	buf_done(&priv->body);
	return RC_OK;
}

/* Small pieces are gathered in priv->body. */
enum rc message_file_write(struct intake_priv *priv, struct span bytes,
			   struct fault *fault)
{
	enum rc rc = RC_OK;

	if (priv->body.len + bytes.len < FILE_CHUNK_BYTES) {
		buf_add(&priv->body, bytes);
		return RC_OK;
	}
	rc = put_at_end(priv, buf_span(&priv->body), fault);
	buf_clear(&priv->body);
	if (rc == RC_OK)
		rc = put_at_end(priv, bytes, fault);
	return rc;
}

static enum rc file_sync(struct intake_priv *priv, struct fault *fault)
{
	const struct queue_io *io = priv->intake->journal.io;
	const struct queue_dirs *dirs = priv->intake->dirs;
	char hash[3] = { priv->path[0], priv->path[1], '\0' };
	int dir, result;

	if (io->fsync(priv->fd) < 0)
		return file_failed(priv, "sync", fault);
	if (renameat2(dirs->queue, priv->temporary, dirs->queue, priv->path,
		      RENAME_NOREPLACE) < 0)
		return file_failed(priv, "rename", fault);
	priv->named = true;
	dir = openat(dirs->queue, hash, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return file_failed(priv, "open directory of", fault);
	result = io->fsync(dir);
	close(dir);
	if (result < 0)
		return file_failed(priv, "sync directory of", fault);
	return RC_OK;
}

enum rc message_file_finish(struct intake_priv *priv, struct image_head *head,
			    struct span envelope, struct fault *fault)
{
	enum rc rc = put_at_end(priv, buf_span(&priv->body), fault);

	buf_clear(&priv->body);
	if (getrandom(&head->generation, sizeof(head->generation), 0) !=
	    sizeof(head->generation))
		return file_failed(priv, "getrandom for", fault);
	head->body_offset = FILE_BODY_OFFSET;
	head->header_offset = priv->file_end;
	if (rc == RC_OK)
		rc = put_at_end(priv, buf_span(&priv->header), fault);
	head->envelope_offset = priv->file_end;
	if (rc == RC_OK)
		rc = put_at_end(priv, envelope, fault);
	head->length = priv->file_end;
	image_head_seal(head, envelope);
	priv->file_end = 0;
	if (rc == RC_OK)
		rc = put_at_end(priv,
				(struct span){ (char *)head, sizeof(*head) },
				fault);
	if (rc == RC_OK)
		rc = file_sync(priv, fault);
	return rc;
}

void message_file_drop(struct intake_priv *priv)
{
	if (priv->fd < 0)
		return;
	(void)unlinkat(priv->intake->dirs->queue,
		       priv->named ? priv->path : priv->temporary, 0);
	close(priv->fd);
	priv->fd = -1;
}
