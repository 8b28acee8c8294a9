/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "queue/store_priv.h"
#include "sys/log.h"

enum {
	ROTATE_AT_BYTES = 16 * 1024 * 1024,
	CHECKPOINT_MAX_BYTES = 128 * 1024 * 1024,
	OUTCOME_FILES_MAX = 1024,
	NAME_BYTES = 32,
};

static void outcome_name(uint32_t number, char ret_name[NAME_BYTES])
{
	snprintf(ret_name, NAME_BYTES, "outcome.%u", number);
}

static void load_record(struct store *store, const struct outcome *outcome,
			struct span payload, struct span whole)
{
	struct store_segment *segment;
	struct store_gone *gone;

	if (outcome->type == OUTCOME_FILE_DONE) {
		HASH_FIND(hh, store->gone, &outcome->generation,
			  sizeof(outcome->generation), gone);
		if (gone != NULL)
			return;
		gone = mem_new(store, struct store_gone);
		gone->generation = outcome->generation;
		HASH_ADD(hh, store->gone, generation, sizeof(gone->generation),
			 gone);
		return;
	}
	segment = store_segment_find(store, outcome->generation);
	if (segment == NULL)
		return; /* recycled since */
	if (outcome->type == OUTCOME_DONE) {
		store_segment_set_done(segment, outcome->offset);
		store_partial_drop(store, (struct record_key){
						  outcome->generation,
						  outcome->offset });
	} else if (outcome->type == OUTCOME_BITMAP) {
		for (uint64_t at = 0; at < payload.len * 8; at++)
			if ((payload.ptr[at / 8] & (1 << (at % 8))) != 0)
				store_segment_set_done(
					segment, at * IMAGE_ALIGN_BYTES);
	} else if (!store_segment_is_done(segment, outcome->offset)) {
		struct record_key key = { outcome->generation,
					  outcome->offset };

		buf_add(&store_partial_get(store, key)->log, whole);
	}
}

static void load_bytes(struct store *store, struct span bytes, const char *name)
{
	struct span rest = bytes, payload;
	struct outcome outcome;
	size_t skipped, bad = 0;

	for (;;) {
		bool more = outcome_take(&rest, &outcome, &payload, &skipped);

		if (more && skipped > 0)
			bad += skipped;
		if (!more)
			break;
		load_record(store, &outcome, payload,
			    (struct span){
				    payload.ptr - sizeof(outcome),
				    (size_t)(rest.ptr - payload.ptr) +
					    sizeof(outcome) });
	}
	/* What is torn at the end was written in the last second. */
	if (bad > 0)
		log_warning("journal/%s: skipped %zu damaged bytes; what they "
			    "said was delivered may be delivered again",
			    name, bad);
}

static enum rc load_file(struct store *store, uint32_t number,
			 struct fault *fault)
{
	char name[NAME_BYTES];
	struct stat st;
	void *map;
	int fd;

	outcome_name(number, name);
	fd = openat(store->dirs->journal, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return RC_OK; /* just replaced */
	if (fd < 0 || fstat(fd, &st) < 0)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "open journal/%s: %m", name);
	if (st.st_size == 0) {
		close(fd);
		return RC_OK;
	}
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return fault_set(fault, RC_TEMP, "4.3.0", "map journal/%s: %m",
				 name);
	load_bytes(store, (struct span){ map, (size_t)st.st_size }, name);
	munmap(map, (size_t)st.st_size);
	return RC_OK;
}

static int number_compare(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

/* Their numbers, rising. */
static size_t list_files(struct store *store, uint32_t *numbers, size_t max)
{
	int fd = openat(store->dirs->journal, ".", O_RDONLY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	size_t count = 0;

	while (stream != NULL && (entry = readdir(stream)) != NULL) {
		struct span name = span_from(entry->d_name);
		uint64_t number;

		if (span_starts(name, "outcome.") && count < max &&
		    span_to_u64(span_skip(name, strlen("outcome.")),
				UINT32_MAX - 1, &number))
			numbers[count++] = (uint32_t)number;
	}
	if (stream != NULL)
		closedir(stream);
	qsort(numbers, count, sizeof(*numbers), number_compare);
	return count;
}

enum rc store_outcomes_load(struct store *store, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(store);
	uint32_t *numbers = mem_array(tmp, uint32_t, OUTCOME_FILES_MAX);
	size_t count = list_files(store, numbers, OUTCOME_FILES_MAX);

	for (size_t i = 0; i < count; i++) {
		enum rc rc = load_file(store, numbers[i], fault);

		if (rc != RC_OK)
			return rc;
		store->outcome_number = numbers[i];
	}
	return RC_OK;
}

static bool write_all(int fd, struct span bytes, size_t *ret_written)
{
	*ret_written = 0;
	while (*ret_written < bytes.len) {
		ssize_t done = write(fd, bytes.ptr + *ret_written,
				     bytes.len - *ret_written);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		*ret_written += (size_t)done;
	}
	return true;
}

static void backlog_write(struct store *store)
{
	size_t written;

	if (store->backlog.len == 0 || store->outcome_fd < 0)
		return;
	write_all(store->outcome_fd, buf_span(&store->backlog), &written);
	store->outcome_bytes += written;
	buf_consume(&store->backlog, written);
	if (written > 0)
		store_sync_outcome(store);
}

/* Memory knows it anyway; what cannot be written now is written later, or goes
 * into the next checkpoint. */
void store_outcome_append(struct store *store, struct span records)
{
	size_t written = 0;

	if (store->mode != STORE_OWNER)
		return;
	backlog_write(store);
	if (store->backlog.len > 0 || store->outcome_fd < 0) {
		buf_add(&store->backlog, records);
		return;
	}
	if (!write_all(store->outcome_fd, records, &written)) {
		log_warning("write journal/outcome.%u: %m; trying again",
			    store->outcome_number);
		buf_add(&store->backlog, span_skip(records, written));
	}
	store->outcome_bytes += written;
	store_sync_outcome(store);
}

void store_outcome_done(struct store *store, struct record_key key)
{
	struct store_segment *segment =
		store_segment_find(store, key.generation);
	char bytes[sizeof(struct outcome) + 1];
	struct buf record = { .data = bytes,
			      .cap = sizeof(bytes),
			      .max = sizeof(bytes) };

	if (segment == NULL)
		return;
	store_segment_set_known(segment, key.offset);
	if (!store_segment_set_done(segment, key.offset))
		return;
	store_partial_drop(store, key);
	outcome_put(&record, OUTCOME_DONE, key.generation, key.offset,
		    SPAN_OF(""));
	store_outcome_append(store, buf_span(&record));
}

static void checkpoint_put(struct store *store, struct buf *out)
{
	for (struct store_segment *segment = store->segments; segment != NULL;
	     segment = segment->hh.next) {
		struct span map = { (char *)segment->done,
				    segment->size_bytes / IMAGE_ALIGN_BYTES /
						    8 + 1 };

		if (segment->done_count > 0)
			outcome_put(out, OUTCOME_BITMAP, segment->generation, 0,
				    map);
	}
	for (struct store_partial *partial = store->partials; partial != NULL;
	     partial = partial->hh.next)
		buf_add(out, buf_span(&partial->log));
}

static int outcome_create(struct store *store, char ret_name[NAME_BYTES])
{
	int fd;

	outcome_name(store->outcome_number + 1, ret_name);
	fd = openat(store->dirs->journal, ret_name,
		    O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC,
		    JOURNAL_FILE_MODE);
	if (fd >= 0)
		queue_file_adopt(store->dirs->journal, fd);
	return fd;
}

enum rc store_outcome_begin(struct store *store, struct fault *fault)
{
	char name[NAME_BYTES];

	store->outcome_fd = outcome_create(store, name);
	if (store->outcome_fd < 0)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "create journal/%s: %m", name);
	store->outcome_number++;
	return RC_OK;
}

enum rc store_outcome_rotate(struct store *store, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(store);
	struct sync_job *job = mem_new(NULL, struct sync_job);
	char name[NAME_BYTES];
	struct buf checkpoint;
	size_t written = 0;
	int fd;

	buf_init(&checkpoint, tmp, CHECKPOINT_MAX_BYTES);
	checkpoint_put(store, &checkpoint);
	fd = outcome_create(store, name);
	if (fd < 0 || checkpoint.full ||
	    !write_all(fd, buf_span(&checkpoint), &written)) {
		fault_set(fault, RC_TEMP, "4.3.0", "write journal/%s: %m",
			  name);
		if (fd >= 0)
			unlinkat(store->dirs->journal, name, 0);
		if (fd >= 0)
			close(fd);
		talloc_free(job);
		return RC_TEMP;
	}
	job->kind = SYNC_ROTATE;
	job->fd = store->outcome_fd;
	job->number = store->outcome_number;
	store->outcome_fd = fd;
	store->outcome_number++;
	store->outcome_bytes = written;
	/* What waits in the backlog is in the checkpoint, except for files:
	 * theirs is kept. */
	store_sync_outcome(store);
	store_sync_push(store, job);
	backlog_write(store);
	return RC_OK;
}

void store_outcome_keep(struct store *store)
{
	struct fault fault;
	bool failed;

	pthread_mutex_lock(&store->sync.lock);
	failed = store->sync.outcome_failed;
	store->sync.outcome_failed = false;
	pthread_mutex_unlock(&store->sync.lock);
	backlog_write(store);
	if ((failed || store->outcome_bytes > ROTATE_AT_BYTES) &&
	    store_outcome_rotate(store, &fault) != RC_OK)
		log_warning("%s", fault.text);
}
