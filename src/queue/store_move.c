/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "queue/crc32c.h"
#include "queue/store_priv.h"
#include "sys/log.h"

enum { LOG_MAX_BYTES = 64 * 1024 * 1024 };

static enum rc move_failed(const char *what, const char *path,
			   struct fault *fault)
{
	return fault_set(fault, RC_TEMP,
			 errno == ENOSPC || errno == EDQUOT ? "4.3.1" : "4.3.0",
			 "%s queue/%s: %m", what, path);
}

/* The whole record, checked: a file is not made from damaged bytes. */
static enum rc record_read(TALLOC_CTX *mem, struct store_segment *segment,
			   const struct place *place, struct buf *out,
			   struct image_head *ret_head, struct fault *fault)
{
	struct span parts;
	enum rc rc = image_head_read(segment->fd, place->offset, ret_head,
				     fault);

	if (rc == RC_OK && ret_head->generation != place->generation)
		rc = RC_NONE;
	if (rc == RC_OK)
		rc = image_content_check(segment->fd, place->offset, ret_head,
					 fault);
	if (rc != RC_OK)
		return rc == RC_NONE ? fault_set(fault, RC_PERM, "5.3.0",
						 "no message at this place") :
				       rc;
	if (!buf_reserve(out, ret_head->length))
		return fault_set(fault, RC_PERM, "5.3.0", "record too large");
	rc = read_exactly(segment->fd, place->offset, out->data,
			  ret_head->length, fault);
	out->len = ret_head->length;
	parts = span_skip(buf_span(out), ret_head->envelope_offset);
	if (rc == RC_OK)
		image_head_seal(ret_head,
				span_take(parts, ret_head->envelope_length));
	return rc;
}

static bool write_whole(int fd, struct span bytes)
{
	while (bytes.len > 0) {
		ssize_t done = write(fd, bytes.ptr, bytes.len);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		bytes = span_skip(bytes, (size_t)done);
	}
	return true;
}

bool store_move_was_made(struct store *store, const struct image_head *head,
			 uint64_t offset)
{
	char path[QUEUE_PATH_MAX_BYTES];
	struct image_head found;
	bool ours, whole;
	int fd;

	queue_id_path(head->queue_id, path);
	fd = openat(store->dirs->queue, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ours = image_head_read(fd, 0, &found, NULL) == RC_OK &&
	       found.origin_generation == head->generation &&
	       found.origin_offset == offset;
	whole = ours && image_content_check(fd, 0, &found, NULL) == RC_OK;
	close(fd);
	if (ours && !whole && store->mode == STORE_OWNER)
		(void)unlinkat(store->dirs->queue, path, 0);
	return whole;
}

/* A file of a move that a crash undid is in the way; any other message is not
 * ours to touch. */
static bool is_leftover(struct store *store, const char *path,
			const struct place *origin)
{
	int fd = openat(store->dirs->queue, path, O_RDONLY | O_CLOEXEC);
	struct image_head head = { 0 };
	enum rc rc;

	if (fd < 0)
		return false;
	rc = image_head_read(fd, 0, &head, NULL);
	close(fd);
	return rc != RC_OK || (head.origin_generation == origin->generation &&
			       head.origin_offset == origin->offset);
}

static int file_create(struct store *store, const char *path,
		       const struct place *origin)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
	int fd = openat(store->dirs->queue, path, flags, JOURNAL_FILE_MODE);

	if (fd < 0 && errno == ENOENT &&
	    queue_hash_dir_make(store->dirs, path) == 0)
		fd = openat(store->dirs->queue, path, flags, JOURNAL_FILE_MODE);
	if (fd < 0 && errno == EEXIST && is_leftover(store, path, origin) &&
	    unlinkat(store->dirs->queue, path, 0) == 0)
		fd = openat(store->dirs->queue, path, flags, JOURNAL_FILE_MODE);
	if (fd >= 0)
		queue_file_adopt(store->dirs->journal, fd);
	return fd;
}

static struct timespec time_of(uint64_t when_us)
{
	return (struct timespec){ .tv_sec = (time_t)(when_us / 1000000),
				  .tv_nsec = (long)(when_us % 1000000) * 1000 };
}

static enum rc file_make(struct store *store, const char *path,
			 const struct store_entry *entry,
			 const struct place *origin, struct span bytes,
			 int *ret_fd, struct fault *fault)
{
	struct timespec times[2] = { time_of(entry->next_attempt_us),
				     time_of(entry->next_attempt_us) };
	int fd = file_create(store, path, origin);

	if (fd < 0)
		return move_failed("create", path, fault);
	if (!write_whole(fd, bytes) || futimens(fd, times) < 0) {
		move_failed("write", path, fault);
		unlinkat(store->dirs->queue, path, 0);
		close(fd);
		return RC_TEMP;
	}
	*ret_fd = fd;
	return RC_OK;
}

static void pending_add(struct store *store, const char *path, int fd,
			uint64_t generation, const struct place *origin)
{
	struct store_pending *pending = mem_new(store, struct store_pending);
	struct sync_job *job = mem_new(NULL, struct sync_job);

	pending->generation = generation;
	pending->origin = (struct record_key){ origin->generation,
					       origin->offset };
	HASH_ADD(hh, store->pending, generation, sizeof(pending->generation),
		 pending);
	job->kind = SYNC_MOVE;
	job->fd = fd;
	job->generation = generation;
	memcpy(job->path, path, sizeof(job->path));
	job->next = store->batch;
	store->batch = job;
}

enum rc store_move(struct store *store, struct place *place,
		   const struct store_entry *entry, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(store);
	struct store_segment *segment;
	char path[QUEUE_PATH_MAX_BYTES];
	struct image_head head;
	uint64_t generation;
	struct buf bytes;
	enum rc rc;
	int fd;

	if (place->in_file)
		return RC_OK;
	segment = store_segment_get(store, place->writer, place->segment,
				    place->generation);
	if (segment == NULL)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "journal/%s.%u cannot be read", place->writer,
				 place->segment);
	buf_init(&bytes, tmp, LOG_MAX_BYTES);
	rc = record_read(tmp, segment, place, &bytes, &head, fault);
	if (rc != RC_OK)
		return fault_add(fault, "journal/%s.%u at %ju", place->writer,
				 place->segment, (uintmax_t)place->offset);
	if (getrandom(&generation, sizeof(generation), 0) < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "getrandom: %m");
	head.generation = generation;
	head.origin_generation = place->generation;
	head.origin_offset = place->offset;
	image_head_seal(&head, (struct span){ bytes.data + head.envelope_offset,
					      head.envelope_length });
	memcpy(bytes.data, &head, sizeof(head));
	store_entry_log(&bytes, generation, entry);
	queue_id_path(head.queue_id, path);
	rc = file_make(store, path, entry, place, buf_span(&bytes), &fd, fault);
	if (rc != RC_OK)
		return rc;
	pending_add(store, path, fd, generation, place);
	*place = (struct place){ .in_file = true,
				 .generation = generation,
				 .length = head.length };
	return RC_OK;
}

/* The file could not be made durable: what the disk has of it is not known, so
 * it is written again. */
static void move_again(struct store *store, struct sync_job *job)
{
	struct image_head head;
	struct fault fault;
	char *bytes;

	if (image_head_read(job->fd, 0, &head, &fault) == RC_OK) {
		bytes = mem_array(job, char, head.length);
		if (read_exactly(job->fd, 0, bytes, head.length, &fault) ==
		    RC_OK)
			(void)!pwrite(job->fd, bytes, head.length, 0);
		talloc_free(bytes);
	}
	job->failed = false;
	job->next = store->batch;
	store->batch = job;
}

static void move_settle(struct store *store, struct sync_job *job)
{
	struct store_pending *pending;

	HASH_FIND(hh, store->pending, &job->generation,
		  sizeof(job->generation), pending);
	if (pending != NULL && job->failed && !pending->finished) {
		log_warning("sync of queue/%s failed; trying again",
			    job->path);
		move_again(store, job);
		return;
	}
	if (pending != NULL) {
		store_outcome_done(store, pending->origin);
		HASH_DEL(store->pending, pending);
		talloc_free(pending);
	}
	close(job->fd);
	talloc_free(job);
}

void store_moves_settle(struct store *store)
{
	struct sync_job *job, *next;

	pthread_mutex_lock(&store->sync.lock);
	job = store->sync.through;
	store->sync.through = NULL;
	pthread_mutex_unlock(&store->sync.lock);
	for (; job != NULL; job = next) {
		next = job->next;
		move_settle(store, job);
	}
}

enum rc store_move_flush(struct store *store, struct fault *fault)
{
	struct sync_job *batch = store->batch;

	store->batch = NULL;
	if (batch != NULL)
		store_sync_push(store, batch);
	if (store->pending != NULL)
		store_moves_settle(store);
	return RC_OK;
}
