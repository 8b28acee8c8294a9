/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "queue/store_priv.h"

enum {
	COMPACT_FROM_BYTES = 256 * 1024,
	COMPACT_LOG_MAX_BYTES = 64 * 1024 * 1024,
	COPY_BYTES = 256 * 1024,
};

#define COMPACT_SUFFIX ".new"

bool store_compact_is_due(uint64_t before_bytes, uint64_t after_bytes)
{
	uint64_t limit = COMPACT_FROM_BYTES;

	while (limit <= before_bytes)
		limit *= 2;
	return after_bytes >= limit;
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

static bool copy_image(TALLOC_CTX *mem, int from, int to, uint64_t length)
{
	char *chunk = mem_array(mem, char, COPY_BYTES);
	uint64_t at = 0;

	while (at < length) {
		size_t size = MIN_OF(length - at, (uint64_t)COPY_BYTES);

		if (read_exactly(from, at, chunk, size, NULL) != RC_OK ||
		    !write_whole(to, (struct span){ chunk, size }))
			return false;
		at += size;
	}
	return true;
}

static bool file_fill(TALLOC_CTX *mem, struct store *store, int from, int to,
		      const struct store_entry *entry)
{
	struct timespec at = { (time_t)(entry->next_attempt_us / 1000000),
			       (long)(entry->next_attempt_us % 1000000) *
				       1000 };
	struct timespec times[2] = { at, at };
	struct buf log;

	buf_init(&log, mem, COMPACT_LOG_MAX_BYTES);
	store_entry_log(&log, entry->place.generation, entry);
	return !log.full && copy_image(mem, from, to, entry->place.length) &&
	       write_whole(to, buf_span(&log)) && futimens(to, times) == 0 &&
	       store->io->fsync(to) == 0;
}

static bool dir_sync(struct store *store, const char *path)
{
	char name[3] = { path[0], path[1], '\0' };
	int fd = openat(store->dirs->queue, name,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool good = fd >= 0 && store->io->fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return good;
}

enum rc store_file_compact(struct store *store, const char *path,
			   struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(store);
	char temporary[QUEUE_PATH_MAX_BYTES + sizeof(COMPACT_SUFFIX)];
	struct store_entry *entry;
	bool good;
	int from, to;

	if (store_file_entry(tmp, store, path, &entry, fault) != RC_OK)
		return fault->rc;
	snprintf(temporary, sizeof(temporary), "%s" COMPACT_SUFFIX, path);
	from = openat(store->dirs->queue, path, O_RDONLY | O_CLOEXEC);
	to = openat(store->dirs->queue, temporary,
		    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		    JOURNAL_FILE_MODE);
	good = from >= 0 && to >= 0 && file_fill(tmp, store, from, to, entry);
	if (to >= 0)
		queue_file_adopt(store->dirs->journal, to);
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	good = good && renameat(store->dirs->queue, temporary,
				store->dirs->queue, path) == 0;
	if (!good)
		(void)unlinkat(store->dirs->queue, temporary, 0);
	if (!good || !dir_sync(store, path))
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "shorten the log of queue/%s: %m", path);
	return RC_OK;
}
