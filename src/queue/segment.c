/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/segment_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/crc32c.h"

enum { SEGMENT_VERSION = 1, FILL_CHUNK_BYTES = 256 * 1024, NEW_TRIES = 3 };

#define FREE_PREFIX "seg."
#define NEW_PREFIX  "new."

const struct queue_io queue_io_system = {
	.pwritev = pwritev,
	.fdatasync = fdatasync,
	.fsync = fsync,
};

void segment_name(const char *writer, uint32_t number,
		  char ret_name[SEGMENT_NAME_MAX_BYTES])
{
	snprintf(ret_name, SEGMENT_NAME_MAX_BYTES, "%s.%" PRIu32, writer,
		 number);
}

bool segment_writer_is_valid(const char *writer)
{
	size_t len = strlen(writer);

	if (len == 0 || len >= WRITER_NAME_MAX_BYTES ||
	    strcmp(writer, "outcome") == 0 || strcmp(writer, "slot") == 0 ||
	    strcmp(writer, "lock") == 0 || strcmp(writer, "free") == 0)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!ascii_is_alnum(writer[i]) && writer[i] != '-' &&
		    writer[i] != '_')
			return false;
	return true;
}

bool segment_name_parse(const char *name,
			char ret_writer[WRITER_NAME_MAX_BYTES],
			uint32_t *ret_number)
{
	struct span rest = span_from(name);
	ssize_t dot = span_rfind(rest, '.');
	char writer[WRITER_NAME_MAX_BYTES];
	uint64_t number;

	if (dot <= 0 || dot >= WRITER_NAME_MAX_BYTES ||
	    !span_to_u64(span_skip(rest, (size_t)dot + 1), UINT32_MAX, &number))
		return false;
	memcpy(writer, name, (size_t)dot);
	writer[dot] = '\0';
	if (!segment_writer_is_valid(writer))
		return false;
	memcpy(ret_writer, writer, sizeof(writer));
	*ret_number = (uint32_t)number;
	return true;
}

static uint32_t head_crc(const struct segment_head *head)
{
	size_t from = offsetof(struct segment_head, generation);

	return crc32c(0, (struct span){ (const char *)head + from,
					sizeof(*head) - from });
}

static bool head_is_good(const struct segment_head *head)
{
	return memcmp(head->magic, SEGMENT_MAGIC, sizeof(head->magic)) == 0 &&
	       head->version == SEGMENT_VERSION &&
	       head->crc == head_crc(head) && head->size_bytes <= UINT32_MAX;
}

enum rc segment_head_read(int fd, const char *writer, uint32_t number,
			  struct segment_head *ret_head, struct fault *fault)
{
	char block[SEGMENT_HEAD_BYTES] = { 0 };
	struct segment_head head;

	if (pread(fd, block, sizeof(block), 0) < 0)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "read segment %s.%" PRIu32 ": %m", writer,
				 number);
	memcpy(&head, block, sizeof(head));
	if (!head_is_good(&head))
		memcpy(&head, block + SEGMENT_HEAD_COPY_AT, sizeof(head));
	if (!head_is_good(&head))
		return fault_set(fault, RC_PERM, "4.3.0",
				 "journal/%s.%" PRIu32 " has a damaged head",
				 writer, number);
	if (head.number != number ||
	    strncmp(head.writer, writer, sizeof(head.writer)) != 0)
		return fault_set(fault, RC_NONE, "4.3.0",
				 "segment %s.%" PRIu32 " was never begun",
				 writer, number);
	*ret_head = head;
	return RC_OK;
}

/* A directory stream that leaves `dir` alone. */
static DIR *dir_stream(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream;

	if (fd < 0)
		return NULL;
	stream = fdopendir(fd);
	if (stream == NULL)
		close(fd);
	return stream;
}

enum rc segment_last_number(const struct queue_dirs *dirs, const char *writer,
			    uint32_t *ret_number, struct fault *fault)
{
	DIR *stream = dir_stream(dirs->journal);
	char found[WRITER_NAME_MAX_BYTES];
	struct dirent *entry;
	uint32_t number, last = 0;

	if (stream == NULL)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "list queue directory journal: %m");
	while ((entry = readdir(stream)) != NULL)
		if (segment_name_parse(entry->d_name, found, &number) &&
		    strcmp(found, writer) == 0)
			last = MAX_OF(last, number);
	closedir(stream);
	*ret_number = last;
	return RC_OK;
}

static bool write_all(int fd, const char *bytes, size_t size, off_t offset)
{
	while (size > 0) {
		ssize_t done = pwrite(fd, bytes, size, offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		bytes += done;
		size -= (size_t)done;
		offset += done;
	}
	return true;
}

/* Written, not only reserved: turning reserved blocks into written ones costs a
 * journal commit of the file system at every fdatasync. */
static enum rc fill_with_zeros(int fd, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *zeros = mem_array(tmp, char, FILL_CHUNK_BYTES);
	int error = posix_fallocate(fd, 0, SEGMENT_BYTES);

	if (error != 0) {
		errno = error;
		return fault_set(fault, RC_TEMP, "4.3.1",
				 "reserve a journal segment: %m");
	}
	for (off_t at = 0; at < SEGMENT_BYTES; at += FILL_CHUNK_BYTES)
		if (!write_all(fd, zeros, FILL_CHUNK_BYTES, at))
			return fault_set(fault, RC_TEMP, "4.3.1",
					 "fill a journal segment: %m");
	return RC_OK;
}

static enum rc head_write(int fd, const struct queue_io *io,
			  const struct segment_head *head, struct fault *fault)
{
	char block[SEGMENT_HEAD_BYTES] = { 0 };

	memcpy(block, head, sizeof(*head));
	memcpy(block + SEGMENT_HEAD_COPY_AT, head, sizeof(*head));
	if (!write_all(fd, block, sizeof(block), 0))
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "write the head of a journal segment: %m");
	if (io->fdatasync(fd) < 0)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "sync a journal segment: %m");
	return RC_OK;
}

/* A free segment of the right size, locked; -1: there is none. */
static int take_free(const struct queue_dirs *dirs, char ret_name[NAME_MAX + 1])
{
	DIR *stream = dir_stream(dirs->free);
	struct dirent *entry;
	int fd = -1;

	while (stream != NULL && fd < 0 && (entry = readdir(stream)) != NULL) {
		struct stat st;

		if (!span_starts(span_from(entry->d_name), FREE_PREFIX))
			continue;
		fd = openat(dirs->free, entry->d_name,
			    O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			continue;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 ||
		    st.st_nlink == 0 || st.st_size != SEGMENT_BYTES) {
			close(fd);
			fd = -1;
			continue;
		}
		snprintf(ret_name, NAME_MAX + 1, "%s", entry->d_name);
	}
	if (stream != NULL)
		closedir(stream);
	if (fd >= 0) /* a write to part of a page must not wait for a read */
		(void)readahead(fd, 0, SEGMENT_BYTES);
	return fd;
}

static enum rc make_new(const struct queue_dirs *dirs, const char *name,
			int *ret_fd, struct fault *fault)
{
	int fd;
	enum rc rc;

	(void)unlinkat(dirs->free, name, 0); /* of a crashed process */
	fd = openat(dirs->free, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
		    JOURNAL_FILE_MODE);
	if (fd < 0)
		return fault_set(fault, RC_TEMP, "4.3.1",
				 "create journal/free/%s: %m", name);
	queue_file_adopt(dirs->journal, fd);
	rc = flock(fd, LOCK_EX | LOCK_NB) == 0 ?
		     fill_with_zeros(fd, fault) :
		     fault_set(fault, RC_TEMP, "4.3.0", "lock %s: %m", name);
	if (rc != RC_OK) {
		close(fd);
		(void)unlinkat(dirs->free, name, 0);
		return rc;
	}
	*ret_fd = fd;
	return RC_OK;
}

/* The head is durable before the name is, so a segment under its name never
 * shows the records of its earlier life. */
static enum rc put_in_place(const struct queue_dirs *dirs,
			    const struct queue_io *io, int fd, const char *from,
			    const struct segment_head *head,
			    struct fault *fault)
{
	char name[SEGMENT_NAME_MAX_BYTES];
	enum rc rc = head_write(fd, io, head, fault);

	if (rc != RC_OK)
		return rc;
	segment_name(head->writer, head->number, name);
	if (renameat2(dirs->free, from, dirs->journal, name,
		      RENAME_NOREPLACE) < 0)
		return fault_set(fault, errno == ENOENT ? RC_NONE : RC_TEMP,
				 "4.3.0", "rename %s to journal/%s: %m", from,
				 name);
	if (io->fsync(dirs->journal) < 0)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "sync queue directory journal: %m");
	return RC_OK;
}

static enum rc prepare_once(const struct queue_dirs *dirs,
			    const struct queue_io *io,
			    const struct segment_head *head, int *ret_fd,
			    struct fault *fault)
{
	char from[NAME_MAX + 1];
	int fd = take_free(dirs, from);
	enum rc rc;

	if (fd < 0) {
		snprintf(from, sizeof(from), NEW_PREFIX "%s", head->writer);
		rc = make_new(dirs, from, &fd, fault);
		if (rc != RC_OK)
			return rc;
	}
	rc = put_in_place(dirs, io, fd, from, head, fault);
	if (rc != RC_OK)
		close(fd);
	else
		*ret_fd = fd;
	return rc;
}

enum rc segment_prepare(const struct queue_dirs *dirs,
			const struct queue_io *io, const char *writer,
			uint32_t number, int *ret_fd,
			struct segment_head *ret_head, struct fault *fault)
{
	struct segment_head head = { .version = SEGMENT_VERSION,
				     .size_bytes = SEGMENT_BYTES,
				     .created_us = clock_wall_us(),
				     .number = number };
	enum rc rc = RC_NONE;

	memcpy(head.magic, SEGMENT_MAGIC, sizeof(head.magic));
	memcpy(head.writer, writer, strlen(writer));
	if (getrandom(&head.generation, sizeof(head.generation), 0) !=
	    sizeof(head.generation))
		return fault_set(fault, RC_TEMP, "4.3.0", "getrandom: %m");
	head.crc = head_crc(&head);
	/* RC_NONE: another writer was faster with the same free one. */
	for (int i = 0; i < NEW_TRIES && rc == RC_NONE; i++)
		rc = prepare_once(dirs, io, &head, ret_fd, fault);
	if (rc == RC_OK)
		*ret_head = head;
	return rc == RC_NONE ? RC_TEMP : rc;
}

static size_t free_count(const struct queue_dirs *dirs)
{
	DIR *stream = dir_stream(dirs->free);
	struct dirent *entry;
	size_t count = 0;

	while (stream != NULL && (entry = readdir(stream)) != NULL)
		if (span_starts(span_from(entry->d_name), FREE_PREFIX))
			count++;
	if (stream != NULL)
		closedir(stream);
	return count;
}

enum rc segment_recycle(const struct queue_dirs *dirs, const char *writer,
			uint32_t number, uint64_t generation,
			struct fault *fault)
{
	char name[SEGMENT_NAME_MAX_BYTES], to[SEGMENT_NAME_MAX_BYTES];
	int result;

	segment_name(writer, number, name);
	snprintf(to, sizeof(to), FREE_PREFIX "%016" PRIx64, generation);
	if (free_count(dirs) >= SEGMENT_FREE_MAX)
		result = unlinkat(dirs->journal, name, 0);
	else
		result = renameat(dirs->journal, name, dirs->free, to);
	if (result < 0 && errno != ENOENT)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "recycle journal/%s: %m", name);
	return RC_OK;
}

void segment_clean_free(const struct queue_dirs *dirs)
{
	DIR *stream = dir_stream(dirs->free);
	struct dirent *entry;

	while (stream != NULL && (entry = readdir(stream)) != NULL) {
		int fd;

		if (!span_starts(span_from(entry->d_name), NEW_PREFIX))
			continue;
		fd = openat(dirs->free, entry->d_name, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
			(void)unlinkat(dirs->free, entry->d_name, 0);
		if (fd >= 0)
			close(fd);
	}
	if (stream != NULL)
		closedir(stream);
}
