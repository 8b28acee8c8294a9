/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deliver/local/local.h"
#include "deliver/user_work.h"

enum { USER_FILE_MAX_BYTES = 1024 * 1024 };

struct user_file {
	const char *path;
	const struct privilege_user *user;
	int into_fd;
	uid_t owner; /* found here, not in a child */
};

static enum rc file_trusted(struct user_file *file, int fd,
			    struct fault *fault)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "%s: %m", file->path);
	if (!S_ISREG(st.st_mode))
		return fault_set(fault, RC_NONE, "4.3.0",
				 "%s is not a regular file", file->path);
	if (st.st_mode & S_IWOTH)
		return fault_set(fault, RC_NONE, "4.3.0",
				 "%s is writable by everyone", file->path);
	if (file->user != NULL && st.st_uid != file->user->uid &&
	    st.st_uid != 0)
		return fault_set(fault, RC_NONE, "4.3.0",
				 "%s is not owned by user %s", file->path,
				 file->user->name);
	if (st.st_size > USER_FILE_MAX_BYTES)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "%s is larger than %d bytes", file->path,
				 USER_FILE_MAX_BYTES);
	file->owner = st.st_uid;
	return RC_OK;
}

static enum rc file_copy(int from, int into, struct fault *fault)
{
	char bytes[8192];
	ssize_t got;

	while ((got = read(from, bytes, sizeof(bytes))) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 || write(into, bytes, (size_t)got) != got)
			return fault_set(fault, RC_TEMP, "4.3.0", "read: %m");
	}
	return RC_OK;
}

/* In a child that is the user, or here. */
static enum rc file_fetch(void *arg, struct fault *fault)
{
	struct user_file *file = arg;
	int fd = open(file->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	enum rc rc;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return fault_set(fault, RC_NONE, "4.3.0", "%s", "");
	if (fd < 0)
		return fault_set(fault, errno == EACCES ? RC_NONE : RC_TEMP,
				 "4.3.0", "open %s: %m", file->path);
	rc = file_trusted(file, fd, fault);
	if (rc == RC_OK)
		rc = file_copy(fd, file->into_fd, fault);
	close(fd);
	return rc;
}

static enum rc memory_read(TALLOC_CTX *mem, int fd, struct span *ret_text,
			   struct fault *fault)
{
	const off_t size = lseek(fd, 0, SEEK_END);
	char *text;

	if (size < 0 || size > 2 * USER_FILE_MAX_BYTES)
		return fault_set(fault, RC_TEMP, "4.3.0", "file grew");
	text = mem_array(mem, char, (size_t)size + 1);
	if (pread(fd, text, (size_t)size, 0) != size)
		return fault_set(fault, RC_TEMP, "4.3.0", "read: %m");
	*ret_text = (struct span){text, (size_t)size};
	return RC_OK;
}

enum rc user_file_read(TALLOC_CTX *mem, const char *path,
		       const struct privilege_user *user, struct span *ret_text,
		       uid_t *ret_owner, struct fault *fault)
{
	struct user_file file = {.path = path, .user = user};
	struct stat st;
	enum rc rc;

	/* Most users have none, and whether there is one is no secret where
	 * home directories can be searched; a home that cannot be (NFS with
	 * root squashed) is asked as the user. */
	if (stat(path, &st) != 0 && (errno == ENOENT || errno == ENOTDIR))
		return fault_set(fault, RC_NONE, "4.3.0", "%s", "");
	file.into_fd = memfd_create("file", MFD_CLOEXEC);
	if (file.into_fd < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "memfd: %m");
	rc = user != NULL ? user_work(user, file_fetch, &file, fault)
			  : file_fetch(&file, fault);
	if (rc == RC_OK)
		rc = memory_read(mem, file.into_fd, ret_text, fault);
	if (rc == RC_OK && ret_owner != NULL)
		*ret_owner = file.owner;
	close(file.into_fd);
	return rc;
}
