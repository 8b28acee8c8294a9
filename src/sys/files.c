/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { GROWTH_BYTES = 4096, LOCK_RETRY_MAX_MS = 50 };

struct file_fd {
	int fd;
};

static int file_fd_close(struct file_fd *file)
{
	close(file->fd);
	return 0;
}

/* An fd that the scratch context closes. */
static enum rc file_fd_open(TALLOC_CTX *mem, int dir_fd, const char *path,
			    int flags, mode_t mode, struct file_fd **ret_file,
			    struct fault *fault)
{
	struct file_fd *file = mem_new(mem, struct file_fd);

	file->fd = openat(dir_fd, path, flags | O_CLOEXEC | O_NOCTTY, mode);
	if (file->fd < 0)
		return fault_set(fault, errno == ENOENT ? RC_NONE : RC_TEMP,
				 "4.3.0", "open %s: %m", path);
	talloc_set_destructor(file, file_fd_close);
	*ret_file = file;
	return RC_OK;
}

static enum rc bytes_read(TALLOC_CTX *mem, int fd, const char *path, size_t max,
			  struct span *ret_bytes, struct fault *fault)
{
	struct stat st;
	size_t room, len = 0;
	char *bytes;

	if (fstat(fd, &st) != 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "stat %s: %m", path);
	room = (size_t)MIN_OF((uint64_t)st.st_size, (uint64_t)max) + 2;
	bytes = mem_resize(mem, NULL, char, room);
	for (;;) {
		ssize_t got = read(fd, bytes + len, room - len - 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fault_set(fault, RC_TEMP, "4.3.0", "read %s: %m",
					 path);
		if (got == 0)
			break;
		len += (size_t)got;
		if (len > max)
			return fault_set(fault, RC_PERM, "5.3.0",
					 "%s is larger than %zu bytes", path,
					 max);
		if (room - len < 2) {
			room += room + GROWTH_BYTES;
			bytes = mem_resize(mem, bytes, char, room);
		}
	}
	bytes[len] = '\0';
	*ret_bytes = (struct span){ bytes, len };
	return RC_OK;
}

enum rc file_read(TALLOC_CTX *mem, int dir_fd, const char *path, size_t max,
		  struct span *ret_bytes, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct file_fd *file;
	enum rc rc;

	rc = file_fd_open(tmp, dir_fd, path, O_RDONLY, 0, &file, fault);
	if (rc != RC_OK)
		return rc;
	rc = bytes_read(tmp, file->fd, path, max, ret_bytes, fault);
	if (rc == RC_OK)
		talloc_steal(mem, ret_bytes->ptr);
	return rc;
}

enum rc file_write(int fd, struct span bytes, struct fault *fault)
{
	while (bytes.len > 0) {
		ssize_t put = write(fd, bytes.ptr, bytes.len);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return fault_set(fault, RC_TEMP, "4.3.0", "write: %m");
		bytes = span_skip(bytes, (size_t)put);
	}
	return RC_OK;
}

static char *parent_of(TALLOC_CTX *mem, const char *path)
{
	ssize_t slash = span_rfind(span_from(path), '/');

	if (slash < 0)
		return mem_strdup(mem, ".");
	if (slash == 0)
		return mem_strdup(mem, "/");
	return mem_span_dup(mem, span_take(span_from(path), (size_t)slash));
}

enum rc file_sync_parent(int dir_fd, const char *path, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *parent = parent_of(tmp, path);
	struct file_fd *directory;
	enum rc rc;

	rc = file_fd_open(tmp, dir_fd, parent, O_RDONLY | O_DIRECTORY, 0,
			  &directory, fault);
	if (rc != RC_OK)
		return rc;
	if (fsync(directory->fd) != 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "fsync %s: %m",
				 parent);
	return RC_OK;
}

/* The rights and the owner of the file that is replaced. */
static enum rc likeness_take(int fd, int dir_fd, const char *path, mode_t mode,
			     struct fault *fault)
{
	struct stat st;

	if (fstatat(dir_fd, path, &st, 0) == 0) {
		mode = st.st_mode & 07777;
		if (geteuid() == 0 && fchown(fd, st.st_uid, st.st_gid) != 0)
			return fault_set(fault, RC_TEMP, "4.3.0",
					 "chown %s: %m", path);
	}
	if (fchmod(fd, mode) != 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "chmod %s: %m", path);
	return RC_OK;
}

enum rc file_replace(int dir_fd, const char *path, struct span bytes,
		     mode_t mode, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *temporary = mem_printf(tmp, "%s.tmp%d", path, (int)getpid());
	struct file_fd *file;
	enum rc rc;

	unlinkat(dir_fd, temporary, 0);
	rc = file_fd_open(tmp, dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL,
			  0600, &file, fault);
	if (rc != RC_OK)
		return rc;
	rc = likeness_take(file->fd, dir_fd, path, mode, fault);
	if (rc == RC_OK && file_write(file->fd, bytes, fault) != RC_OK)
		rc = fault_add(fault, "%s", temporary);
	if (rc == RC_OK && fsync(file->fd) != 0)
		rc = fault_set(fault, RC_TEMP, "4.3.0", "fsync %s: %m",
			       temporary);
	if (rc == RC_OK && renameat(dir_fd, temporary, dir_fd, path) != 0)
		rc = fault_set(fault, RC_TEMP, "4.3.0", "rename %s to %s: %m",
			       temporary, path);
	if (rc != RC_OK) {
		unlinkat(dir_fd, temporary, 0);
		return rc;
	}
	return file_sync_parent(dir_fd, path, fault);
}

static int lock_try(int fd, enum file_lock_style style,
		    enum file_lock_kind kind)
{
	struct flock range = {
		.l_type = kind == FILE_LOCK_SHARED ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};

	if (style == FILE_LOCK_FCNTL)
		return fcntl(fd, F_OFD_SETLK, &range);
	return flock(fd,
		     (kind == FILE_LOCK_SHARED ? LOCK_SH : LOCK_EX) | LOCK_NB);
}

enum rc file_lock(int fd, enum file_lock_style style, enum file_lock_kind kind,
		  int wait_ms, struct fault *fault)
{
	uint64_t end_ms = clock_mono_ms() + (uint64_t)MAX_OF(wait_ms, 0);
	long pause_ms = 1;

	while (lock_try(fd, style, kind) != 0) {
		struct timespec pause = { .tv_nsec = pause_ms * 1000000 };

		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			return fault_set(fault, RC_TEMP, "4.2.0", "lock: %m");
		if (clock_mono_ms() >= end_ms)
			return fault_set(fault, RC_NONE, "4.2.0",
					 "another process holds the lock");
		nanosleep(&pause, NULL);
		pause_ms = MIN_OF(pause_ms * 2, (long)LOCK_RETRY_MAX_MS);
	}
	return RC_OK;
}
