/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "queue/store_priv.h"
#include "sys/log.h"

enum {
	LOG_MAX_BYTES = 64 * 1024 * 1024,
	RECORDS_MAX_BYTES = 16 * 1024 * 1024,
};

static enum rc file_failed(const char *what, const char *path,
			   struct fault *fault)
{
	return fault_set(fault, errno == ENOENT ? RC_NONE : RC_TEMP,
			 errno == ENOSPC || errno == EDQUOT ? "4.3.1" : "4.3.0",
			 "%s queue/%s: %m", what, path);
}

static enum rc log_read(TALLOC_CTX *mem, int fd, const struct image *image,
			const struct stat *st, struct span *ret_log,
			struct fault *fault)
{
	uint64_t size = (uint64_t)st->st_size;
	char *bytes;

	*ret_log = SPAN_OF("");
	if (size <= image->length)
		return size == image->length ?
			       RC_OK :
			       fault_set(fault, RC_PERM, "5.3.0",
					 "the message is cut off");
	size = MIN_OF(size - image->length, (uint64_t)LOG_MAX_BYTES);
	bytes = mem_array(mem, char, size);
	*ret_log = (struct span){ bytes, size };
	return read_exactly(fd, image->length, bytes, size, fault);
}

static enum rc entry_read(TALLOC_CTX *mem, int fd,
			  struct store_entry **ret_entry, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct store_entry *entry;
	struct image *image;
	struct span log;
	struct stat st;
	enum rc rc;

	if (fstat(fd, &st) < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "stat: %m");
	rc = image_open(tmp, fd, 0, false, &image, fault);
	if (rc == RC_OK)
		rc = log_read(tmp, fd, image, &st, &log, fault);
	if (rc != RC_OK)
		return rc;
	entry = store_entry_make(mem, image->env, log);
	entry->place = (struct place){ .in_file = true,
				       .generation = image->generation,
				       .length = image->length };
	entry->next_attempt_us = (uint64_t)st.st_mtim.tv_sec * 1000000 +
				 (uint64_t)st.st_mtim.tv_nsec / 1000;
	*ret_entry = entry;
	return RC_OK;
}

/* A look at a million files must not write a million access times. */
static int open_to_look(struct store *store, const char *path)
{
	const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW;
	int fd = openat(store->dirs->queue, path, flags | O_NOATIME);

	if (fd < 0 && errno == EPERM) /* not ours */
		fd = openat(store->dirs->queue, path, flags);
	return fd;
}

enum rc store_file_entry(TALLOC_CTX *mem, struct store *store, const char *path,
			 struct store_entry **ret_entry, struct fault *fault)
{
	int fd = open_to_look(store, path);
	enum rc rc;

	if (fd < 0)
		return file_failed("open", path, fault);
	rc = entry_read(mem, fd, ret_entry, fault);
	close(fd);
	return rc == RC_OK ? rc : fault_add(fault, "queue/%s", path);
}

static bool log_was_shortened(struct store *store, const char *path)
{
	struct fault fault;

	if (store_file_compact(store, path, &fault) == RC_OK)
		return true;
	log_warning("%s", fault.text);
	return false;
}

/* Behind the image, keeping the time of the next attempt. */
enum rc store_file_log(struct store *store, const char *queue_id,
		       struct span log, bool durable, struct fault *fault)
{
	char path[QUEUE_PATH_MAX_BYTES];
	struct sync_job *job;
	struct stat st;
	ssize_t done;
	int fd;

	queue_id_path(queue_id, path);
	fd = openat(store->dirs->queue, path,
		    O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return file_failed("open", path, fault);
	done = fstat(fd, &st) < 0 ? -1 : write(fd, log.ptr, log.len);
	if (done != (ssize_t)log.len) {
		if (done >= 0)
			errno = ENOSPC;
		file_failed("write", path, fault);
		if (done > 0)
			(void)!ftruncate(fd, st.st_size);
		close(fd);
		return RC_TEMP;
	}
	(void)futimens(fd, (struct timespec[2]){ st.st_atim, st.st_mtim });
	if (store_compact_is_due((uint64_t)st.st_size,
				 (uint64_t)st.st_size + log.len) &&
	    log_was_shortened(store, path)) {
		close(fd);
		return RC_OK;
	}
	if (!durable) {
		close(fd);
		return RC_OK;
	}
	job = mem_new(NULL, struct sync_job);
	job->kind = SYNC_FILE;
	job->fd = fd;
	store_sync_push(store, job);
	return RC_OK;
}

void store_file_condemn(struct store *store, const char *path, const char *why)
{
	if (store->mode != STORE_OWNER) {
		log_warning("%s", why);
		return;
	}
	if (renameat(store->dirs->queue, path, store->dirs->corrupt,
		     path + 3) < 0)
		log_warning("%s; move to corrupt: %m", why);
	else
		log_warning("%s; moved to corrupt/%s", why, path + 3);
}

/* An unfinished file whose writer is gone. */
static void temporary_remove(struct store *store, const char *path)
{
	int fd = openat(store->dirs->queue, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		(void)unlinkat(store->dirs->queue, path, 0);
	close(fd);
}

static bool is_gone(struct store *store, uint64_t generation)
{
	struct store_gone *gone;

	HASH_FIND(hh, store->gone, &generation, sizeof(generation), gone);
	return gone != NULL;
}

static void file_found(struct store *store, const char *path)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct store_entry *entry;
	struct fault fault;
	enum rc rc = store_file_entry(tmp, store, path, &entry, &fault);

	if (rc == RC_OK && strcmp(entry->env->queue_id, path + 3) != 0)
		rc = fault_set(&fault, RC_PERM, "5.3.0",
			       "queue/%s holds message %s", path,
			       entry->env->queue_id);
	if (rc == RC_PERM)
		store_file_condemn(store, path, fault.text);
	if (rc == RC_TEMP)
		log_warning("%s", fault.text);
	if (rc != RC_OK)
		return;
	if (!is_gone(store, entry->place.generation))
		store->found(store->found_arg, tmp, entry);
	else if (store->mode == STORE_OWNER)
		(void)unlinkat(store->dirs->queue, path, 0);
}

static void dir_scan(struct store *store, const char *hash)
{
	int fd = openat(store->dirs->queue, hash,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (stream == NULL) {
		log_warning("list queue/%s: %m", hash);
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(stream)) != NULL) {
		char path[QUEUE_PATH_MAX_BYTES + 8];
		struct span name = span_from(entry->d_name);

		if (name.len >= QUEUE_ID_MAX_BYTES + 4)
			continue;
		snprintf(path, sizeof(path), "%.2s/%.36s", hash,
			 entry->d_name);
		if (queue_id_is_valid(name))
			file_found(store, path);
		else if (span_ends(name, ".new") && store->mode == STORE_OWNER)
			temporary_remove(store, path);
	}
	closedir(stream);
}

enum rc store_files_scan(struct store *store, struct fault *fault)
{
	int fd = openat(store->dirs->queue, ".", O_RDONLY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (stream == NULL) {
		fault_set(fault, RC_TEMP, "4.3.0", "list queue: %m");
		if (fd >= 0)
			close(fd);
		return RC_TEMP;
	}
	while ((entry = readdir(stream)) != NULL)
		if (strlen(entry->d_name) == 2 &&
		    ascii_is_alnum(entry->d_name[0]))
			dir_scan(store, entry->d_name);
	closedir(stream);
	return RC_OK;
}

static bool has_final(const struct delivery_status *statuses, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (statuses[i].action != DELIVERY_DEFERRED)
			return true;
	return false;
}

enum rc store_record(struct store *store, const struct place *place,
		     const char *queue_id,
		     const struct delivery_status *statuses, size_t count,
		     struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(store);
	uint64_t offset = place->in_file ? 0 : place->offset;
	struct record_key key = { place->generation, place->offset };
	struct buf log;

	buf_init(&log, tmp, RECORDS_MAX_BYTES);
	outcome_put_statuses(&log, place->generation, offset, statuses, count);
	if (log.full)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "too many statuses at once");
	if (place->in_file)
		return store_file_log(store, queue_id, buf_span(&log),
				      has_final(statuses, count), fault);
	buf_add(&store_partial_get(store, key)->log, buf_span(&log));
	store_outcome_append(store, buf_span(&log));
	return RC_OK;
}

enum rc store_set_noticed(struct store *store, const struct place *place,
			  const char *queue_id, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(store);
	uint64_t offset = place->in_file ? 0 : place->offset;
	struct record_key key = { place->generation, place->offset };
	struct buf log;

	buf_init(&log, tmp, RECORDS_MAX_BYTES);
	outcome_put(&log, OUTCOME_NOTICED, place->generation, offset,
		    SPAN_OF(""));
	if (place->in_file)
		return store_file_log(store, queue_id, buf_span(&log), true,
				      fault);
	buf_add(&store_partial_get(store, key)->log, buf_span(&log));
	store_outcome_append(store, buf_span(&log));
	return RC_OK;
}

/* The owner need not remember the generations of a million files. */
static uint64_t file_generation(struct store *store, const struct place *place,
				const char *path)
{
	struct image_head head = { 0 };
	int fd;

	if (place->generation != 0)
		return place->generation;
	fd = openat(store->dirs->queue, path,
		    O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return 0;
	if (image_head_read(fd, 0, &head, NULL) != RC_OK)
		head.generation = 0;
	close(fd);
	return head.generation;
}

static enum rc file_finish(struct store *store, const struct place *place,
			   const char *queue_id, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(store);
	char path[QUEUE_PATH_MAX_BYTES];
	struct store_pending *pending;
	struct buf record;
	uint64_t generation;

	queue_id_path(queue_id, path);
	generation = file_generation(store, place, path);
	HASH_FIND(hh, store->pending, &generation, sizeof(generation), pending);
	if (pending != NULL) {
		store_outcome_done(store, pending->origin);
		pending->finished = true;
	}
	buf_init(&record, tmp, RECORDS_MAX_BYTES);
	outcome_put(&record, OUTCOME_FILE_DONE, generation, 0, SPAN_OF(""));
	store_outcome_append(store, buf_span(&record));
	if (unlinkat(store->dirs->queue, path, 0) < 0 && errno != ENOENT)
		return file_failed("remove", path, fault);
	return RC_OK;
}

enum rc store_finish(struct store *store, const struct place *place,
		     const char *queue_id, struct fault *fault)
{
	if (place->in_file)
		return file_finish(store, place, queue_id, fault);
	store_outcome_done(store, (struct record_key){ place->generation,
						       place->offset });
	return RC_OK;
}

enum rc store_set_next_attempt(struct store *store, const char *queue_id,
			       uint64_t when_us, struct fault *fault)
{
	char path[QUEUE_PATH_MAX_BYTES];
	struct timespec at = { (time_t)(when_us / 1000000),
			       (long)(when_us % 1000000) * 1000 };
	struct timespec times[2] = { at, at };

	queue_id_path(queue_id, path);
	if (utimensat(store->dirs->queue, path, times, AT_SYMLINK_NOFOLLOW) < 0)
		return file_failed("set the time of", path, fault);
	return RC_OK;
}

static enum rc log_number(struct store *store, const char *queue_id,
			  enum outcome_type type, uint64_t value,
			  struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(store);
	struct buf log;

	buf_init(&log, tmp, RECORDS_MAX_BYTES);
	outcome_put_number(&log, type, 0, value);
	return store_file_log(store, queue_id, buf_span(&log), true, fault);
}

enum rc store_set_hold(struct store *store, const char *queue_id, bool on_hold,
		       struct fault *fault)
{
	return log_number(store, queue_id, OUTCOME_HOLD, on_hold, fault);
}

enum rc store_set_force_expire(struct store *store, const char *queue_id,
			       struct fault *fault)
{
	return log_number(store, queue_id, OUTCOME_EXPIRE, 1, fault);
}

enum rc store_set_warned(struct store *store, const char *queue_id,
			 uint64_t when_us, struct fault *fault)
{
	return log_number(store, queue_id, OUTCOME_WARNED, when_us, fault);
}
