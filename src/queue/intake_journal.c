/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/crc32c.h"
#include "queue/intake_priv.h"

/*
 * Group commit. A record is appended under the lock and joins the batch of its
 * segment that still takes members. The oldest batch is flushed by whichever
 * of its members finds no flush under way; the others sleep on the batch. A
 * batch is closed when its flush begins, so what was written before is covered.
 */

static struct timespec deadline_after(clockid_t clock, int timeout_ms)
{
	struct timespec at;

	clock_gettime(clock, &at);
	at.tv_sec += timeout_ms / 1000;
	at.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	return at;
}

static void cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

static void segment_drop(struct segment *segment)
{
	if (--segment->users == 0)
		talloc_free(segment);
}

static int segment_close(struct segment *segment)
{
	char name[SEGMENT_NAME_MAX_BYTES];

	segment_name(segment->head.writer, segment->head.number, name);
	if (segment->failed && !segment->has_synced)
		(void)unlinkat(segment->journal_dir, name, 0);
	close(segment->fd); /* gives up its lock: now it is qmgr's */
	return 0;
}

/* The segment takes no more records. */
static void segment_give_up(struct journal *journal, struct segment *segment)
{
	segment->failed = true;
	if (journal->current == segment) {
		journal->current = NULL;
		segment_drop(segment);
	}
}

static int batch_close(struct batch *batch)
{
	pthread_cond_destroy(&batch->cond);
	return 0;
}

static struct batch *batch_new(struct journal *journal, struct segment *segment)
{
	struct batch *batch = mem_new(NULL, struct batch);

	cond_init(&batch->cond);
	talloc_set_destructor(batch, batch_close);
	packet_begin(&batch->news, batch, WIRE_WRITER_NEW);
	batch->segment = segment;
	segment->users++;
	if (journal->last == NULL)
		journal->first = batch;
	else
		journal->last->next = batch;
	journal->last = batch;
	return batch;
}

static void batch_drop(struct batch *batch)
{
	if (batch->members > 0 || !batch->done)
		return;
	segment_drop(batch->segment);
	talloc_free(batch);
}

/* What qmgr gets to read; false when the packet has no room for it. */
static bool batch_add_news(struct batch *batch, const struct record *record)
{
	struct buf *buf = &batch->news.buf;
	size_t before = buf->len;

	writer_new_put(&batch->news, &record->place, record->news_env,
		       record->news_has_recipients);
	if (!buf->full)
		return true;
	buf->len = before;
	buf->full = false;
	return false;
}

static void batch_add(struct batch *batch, uint64_t offset)
{
	if (batch->count == talloc_array_length(batch->offsets)) {
		size_t cap = MAX_OF(batch->count * 2, (size_t)16);

		batch->offsets = mem_resize(batch, batch->offsets, uint64_t,
					    cap);
		batch->cancelled = mem_resize(batch, batch->cancelled, bool,
					      cap);
	}
	batch->offsets[batch->count] = offset;
	batch->cancelled[batch->count] = false;
	batch->count++;
	batch->members++;
}

/* The batch that takes this record: the newest, when it is still open and of
 * this segment. */
static struct batch *batch_join(struct journal *journal,
				struct segment *segment,
				const struct record *record)
{
	struct batch *batch = journal->last;

	if (batch == NULL || batch->closed || batch->segment != segment)
		batch = batch_new(journal, segment);
	if (!batch_add_news(batch, record)) {
		batch = batch_new(journal, segment);
		if (!batch_add_news(batch, record))
			batch->any_cancelled = true; /* qmgr looks itself */
	}
	batch_add(batch, segment->end);
	return batch;
}

/* Best effort: the record is to be skipped by whoever reads the segment. */
static void record_void(struct journal *journal, struct segment *segment,
			uint64_t offset)
{
	struct iovec iov = { (char *)IMAGE_VOID, IMAGE_MAGIC_BYTES };
	ssize_t ignored = journal->io->pwritev(segment->fd, &iov, 1,
					       (off_t)offset);

	(void)ignored;
}

static void batch_void_records(struct journal *journal, struct batch *batch)
{
	for (size_t i = 0; i < batch->count; i++)
		if (batch->rc != RC_OK || batch->cancelled[i])
			record_void(journal, batch->segment, batch->offsets[i]);
}

/* The oldest batch that somebody waits for may flush. */
static void wake_next_flusher(struct journal *journal)
{
	for (struct batch *batch = journal->first; batch != NULL;
	     batch = batch->next) {
		if (batch->members > 0) {
			pthread_cond_signal(&batch->cond);
			return;
		}
	}
}

static void batch_failed(struct journal *journal, struct batch *batch,
			 int error)
{
	errno = error;
	batch->rc = fault_set(&batch->fault, RC_TEMP,
			      error == ENOSPC ? "4.3.1" : "4.3.0",
			      "queue file write error: sync journal segment: "
			      "%m");
	segment_give_up(journal, batch->segment);
	journal->retry_ms = clock_mono_ms() + PREPARE_RETRY_MS;
	if (journal->spare == NULL) {
		journal->spare_failed = true;
		journal->spare_fault = batch->fault;
	}
}

/* The oldest batch. */
static void batch_flush(struct journal *journal, struct batch *batch)
{
	struct segment *segment = batch->segment;
	int result = -1, error = EIO;

	journal->flushing = true;
	batch->closed = true;
	journal->first = batch->next;
	if (journal->first == NULL)
		journal->last = NULL;
	if (batch->members == 0) {
		result = 0; /* all left: nothing to make durable */
	} else if (!segment->failed) {
		const struct queue_io *io = journal->io;

		pthread_mutex_unlock(&journal->lock);
		result = io->fdatasync(segment->fd);
		error = errno;
		pthread_mutex_lock(&journal->lock);
		atomic_fetch_add_explicit(&journal->flushes, 1,
					  memory_order_relaxed);
	}
	batch->done = true;
	batch->rc = RC_OK;
	if (result < 0)
		batch_failed(journal, batch, error);
	else if (batch->members > 0)
		segment->has_synced = true;
	if (batch->rc != RC_OK || batch->any_cancelled)
		batch_void_records(journal, batch);
	journal->flushing = false;
	pthread_cond_broadcast(&batch->cond);
	wake_next_flusher(journal);
}

/* The flusher tells qmgr, after all others were woken. */
static void batch_tell(struct journal *journal, struct batch *batch)
{
	bool behind;

	if (batch->rc != RC_OK)
		return;
	pthread_mutex_unlock(&journal->lock);
	if (batch->any_cancelled)
		notify_miss(journal->notify);
	else
		notify_send(journal->notify, &batch->news);
	behind = notify_is_behind(journal->notify);
	pthread_mutex_lock(&journal->lock);
	if (behind)
		pthread_cond_signal(&journal->wanted);
}

static enum rc too_late(const struct journal *journal, struct fault *fault)
{
	return fault_set(fault, RC_TEMP, "4.3.0",
			 "queue file write error: the disk takes longer than "
			 "%d ms",
			 journal->timeout_ms);
}

static enum rc batch_leave_late(struct journal *journal, struct batch *batch,
				size_t index, struct fault *fault)
{
	batch->cancelled[index] = true;
	batch->any_cancelled = true;
	batch->members--;
	if (!journal->flushing)
		wake_next_flusher(journal); /* it may have been our turn */
	return too_late(journal, fault);
}

static void batch_flush_and_drop(struct journal *journal)
{
	struct batch *batch = journal->first;

	batch_flush(journal, batch);
	batch_drop(batch);
}

static bool is_our_turn(const struct journal *journal,
			const struct batch *batch)
{
	const struct batch *first = journal->first;

	return !journal->flushing && (first == batch || first->members == 0);
}

static enum rc batch_wait(struct journal *journal, struct batch *batch,
			  size_t index, const struct timespec *deadline,
			  struct fault *fault)
{
	enum rc rc;

	while (!batch->done) {
		struct batch *first = journal->first;

		if (!batch->closed && is_our_turn(journal, batch)) {
			batch_flush(journal, first);
			if (first == batch)
				batch_tell(journal, batch);
			else
				batch_drop(first);
		} else if (pthread_cond_timedwait(&batch->cond, &journal->lock,
						  deadline) == ETIMEDOUT &&
			   !batch->done) {
			return batch_leave_late(journal, batch, index, fault);
		}
	}
	rc = batch->rc;
	if (rc != RC_OK)
		*fault = batch->fault;
	batch->members--;
	batch_drop(batch);
	return rc;
}

/* The spare becomes current; waits for the preparer when there is none. */
static enum rc segment_switch(struct journal *journal,
			      const struct timespec *deadline,
			      struct fault *fault)
{
	while (journal->spare == NULL) {
		if (journal->spare_failed) {
			*fault = journal->spare_fault;
			journal->spare_wanted = true;
			pthread_cond_signal(&journal->wanted);
			return RC_TEMP;
		}
		journal->spare_wanted = true;
		pthread_cond_signal(&journal->wanted);
		if (pthread_cond_timedwait(&journal->prepared, &journal->lock,
					   deadline) == ETIMEDOUT)
			return fault_set(fault, RC_TEMP, "4.3.0",
					 "queue file write error: no journal "
					 "segment within %d ms",
					 journal->timeout_ms);
		if (journal->current != NULL)
			return RC_OK; /* another thread was first */
	}
	if (journal->current != NULL)
		segment_drop(journal->current);
	journal->current = journal->spare;
	journal->spare = NULL;
	return RC_OK;
}

static uint64_t record_size(const struct record *record)
{
	uint64_t size = sizeof(*record->head) + record->envelope.len +
			record->header.len + record->body.len;

	return (size + IMAGE_ALIGN_BYTES - 1) / IMAGE_ALIGN_BYTES *
	       IMAGE_ALIGN_BYTES;
}

static bool segment_has_room(const struct segment *segment, uint64_t size)
{
	return segment != NULL && !segment->failed &&
	       segment->end + size <= segment->head.size_bytes;
}

static enum rc segment_for(struct journal *journal, uint64_t size,
			   const struct timespec *deadline,
			   struct fault *fault)
{
	while (!segment_has_room(journal->current, size)) {
		struct segment *full = journal->current;
		enum rc rc;

		if (full != NULL) {
			journal->current = NULL;
			segment_drop(full);
		}
		rc = segment_switch(journal, deadline, fault);
		if (rc != RC_OK)
			return rc;
	}
	if (journal->spare == NULL && !journal->spare_wanted &&
	    journal->current->end > SEGMENT_BYTES / 4) {
		journal->spare_wanted = true;
		pthread_cond_signal(&journal->wanted);
	}
	return RC_OK;
}

static enum rc record_write(struct journal *journal, struct segment *segment,
			    struct record *record, uint64_t size,
			    struct fault *fault)
{
	static const char padding[IMAGE_ALIGN_BYTES];
	uint64_t used = sizeof(*record->head) + record->envelope.len +
			record->header.len + record->body.len;
	struct iovec iov[RECORD_PARTS_MAX] = {
		{ record->head, sizeof(*record->head) },
		{ (char *)record->envelope.ptr, record->envelope.len },
		{ (char *)record->header.ptr, record->header.len },
		{ (char *)record->body.ptr, record->body.len },
		{ (char *)padding, size - used },
	};
	ssize_t done;

	record->head->generation = segment->head.generation;
	image_head_seal(record->head, record->envelope);
	do
		done = journal->io->pwritev(segment->fd, iov, RECORD_PARTS_MAX,
					    (off_t)segment->end);
	while (done < 0 && errno == EINTR);
	if (done >= 0 && (uint64_t)done == size)
		return RC_OK;
	if (done >= 0)
		errno = ENOSPC;
	fault_set(fault, RC_TEMP,
		  errno == ENOSPC || errno == EDQUOT ? "4.3.1" : "4.3.0",
		  "queue file write error: write journal segment: %m");
	record_void(journal, segment, segment->end);
	segment_give_up(journal, segment);
	return RC_TEMP;
}

static void place_fill(struct place *place, const struct segment *segment,
		       uint64_t size)
{
	memcpy(place->writer, segment->head.writer, sizeof(place->writer));
	place->segment = segment->head.number;
	if (place->in_file) {
		place->record_generation = segment->head.generation;
		place->record_offset = segment->end;
	} else {
		place->generation = segment->head.generation;
		place->offset = segment->end;
		place->length = size;
	}
}

static enum rc append(struct journal *journal, struct record *record,
		      const struct timespec *deadline, struct batch **ret_batch,
		      size_t *ret_index, struct fault *fault)
{
	uint64_t size = record_size(record);
	struct segment *segment;
	enum rc rc = segment_for(journal, size, deadline, fault);

	if (rc != RC_OK)
		return rc;
	segment = journal->current;
	record->head->length = size;
	rc = record_write(journal, segment, record, size, fault);
	if (rc != RC_OK)
		return rc;
	place_fill(&record->place, segment, size);
	*ret_batch = batch_join(journal, segment, record);
	*ret_index = (*ret_batch)->count - 1;
	segment->end += size;
	return RC_OK;
}

enum rc journal_commit(struct journal *journal, struct record *record,
		       struct fault *fault)
{
	struct timespec deadline =
		deadline_after(CLOCK_MONOTONIC, journal->timeout_ms);
	struct timespec lock_by =
		deadline_after(CLOCK_REALTIME, journal->timeout_ms);
	struct batch *batch;
	struct fault own;
	size_t index;
	enum rc rc;

	if (fault == NULL)
		fault = &own;
	/* The lock is held across writes, and a disk may hang. */
	if (pthread_mutex_timedlock(&journal->lock, &lock_by) != 0)
		return too_late(journal, fault);
	rc = append(journal, record, &deadline, &batch, &index, fault);
	if (rc == RC_OK)
		rc = batch_wait(journal, batch, index, &deadline, fault);
	pthread_mutex_unlock(&journal->lock);
	return rc;
}

static struct segment *segment_make(struct journal *journal,
				    const struct queue_io *io, uint32_t number,
				    struct fault *fault)
{
	struct segment *segment = mem_new(NULL, struct segment);

	if (segment_prepare(journal->dirs, io, journal->writer, number,
			    &segment->fd, &segment->head, fault) != RC_OK) {
		talloc_free(segment);
		return NULL;
	}
	talloc_set_destructor(segment, segment_close);
	segment->journal_dir = journal->dirs->journal;
	segment->end = SEGMENT_HEAD_BYTES;
	segment->users = 1;
	return segment;
}

static void prepare_spare(struct journal *journal)
{
	uint32_t number = journal->next_number++;
	const struct queue_io *io = journal->io;
	struct segment *made;
	struct fault fault;

	pthread_mutex_unlock(&journal->lock);
	made = segment_make(journal, io, number, &fault);
	pthread_mutex_lock(&journal->lock);
	journal->spare = made;
	journal->spare_failed = made == NULL;
	journal->spare_wanted = false;
	if (made == NULL) {
		journal->spare_fault = fault;
		journal->retry_ms = clock_mono_ms() + PREPARE_RETRY_MS;
	}
	pthread_cond_broadcast(&journal->prepared);
}

static void preparer_wait(struct journal *journal, uint64_t wait_ms)
{
	struct timespec at = deadline_after(CLOCK_MONOTONIC, (int)wait_ms);

	pthread_cond_timedwait(&journal->wanted, &journal->lock, &at);
}

/* Nobody may come by for a long time: what qmgr was not told must not wait for
 * the next message. */
static void notify_again(struct journal *journal)
{
	pthread_mutex_unlock(&journal->lock);
	notify_check(journal->notify);
	pthread_mutex_lock(&journal->lock);
}

static void *preparer_run(void *arg)
{
	struct journal *journal = arg;

	pthread_mutex_lock(&journal->lock);
	while (!journal->stopping) {
		bool wanted = journal->spare_wanted && journal->spare == NULL;
		bool behind = notify_is_behind(journal->notify);
		uint64_t now_ms = clock_mono_ms();

		if (wanted && now_ms >= journal->retry_ms) {
			prepare_spare(journal);
			continue;
		}
		if (wanted) {
			preparer_wait(journal, journal->retry_ms - now_ms);
		} else if (behind) {
			journal->spare_wanted = false;
			preparer_wait(journal, NOTIFY_RETRY_MS);
		} else {
			journal->spare_wanted = false;
			pthread_cond_wait(&journal->wanted, &journal->lock);
		}
		if (behind && !journal->stopping)
			notify_again(journal);
	}
	pthread_mutex_unlock(&journal->lock);
	return NULL;
}

enum rc journal_open(struct journal *journal, struct fault *fault)
{
	int error;
	enum rc rc = segment_last_number(journal->dirs, journal->writer,
					 &journal->next_number, fault);

	if (rc != RC_OK)
		return rc;
	journal->next_number++;
	pthread_mutex_init(&journal->lock, NULL);
	cond_init(&journal->wanted);
	cond_init(&journal->prepared);
	journal->spare_wanted = true;
	error = pthread_create(&journal->preparer, NULL, preparer_run, journal);
	if (error != 0) {
		errno = error;
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "start a thread of the intake: %m");
	}
	journal->preparer_runs = true;
	return RC_OK;
}

void journal_close(struct journal *journal)
{
	if (!journal->preparer_runs)
		return;
	pthread_mutex_lock(&journal->lock);
	journal->stopping = true;
	pthread_cond_signal(&journal->wanted);
	pthread_mutex_unlock(&journal->lock);
	pthread_join(journal->preparer, NULL);
	while (journal->first != NULL) /* all of its members came too late */
		batch_flush_and_drop(journal);
	if (journal->current != NULL)
		segment_drop(journal->current);
	if (journal->spare != NULL)
		segment_drop(journal->spare);
	pthread_cond_destroy(&journal->wanted);
	pthread_cond_destroy(&journal->prepared);
	pthread_mutex_destroy(&journal->lock);
}
