/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "queue/segment_priv.h"

static int dirs_close(struct queue_dirs *dirs)
{
	int fds[] = { dirs->root, dirs->journal, dirs->free, dirs->queue,
		      dirs->corrupt };

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return 0;
}

void queue_file_adopt(int dir, int fd)
{
	struct stat st;

	if (geteuid() != 0 || fstat(dir, &st) < 0 || st.st_uid == 0)
		return;
	if (fchown(fd, st.st_uid, st.st_gid) < 0)
		return; /* whoever needs the file will say what is wrong */
}

static enum rc dir_open(int parent, int owner_dir, const char *name,
			bool may_make, int *ret_fd, struct fault *fault)
{
	bool made = may_make && mkdirat(parent, name, JOURNAL_DIR_MODE) == 0;
	/* What was just made and will be given away is no link. */
	int fd = openat(parent, name,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC |
				(made ? O_NOFOLLOW : 0));

	if (fd < 0)
		return fault_set(fault,
				 errno == EMFILE || errno == ENFILE ? RC_TEMP :
								      RC_CONF,
				 "4.3.5", "open queue directory %s: %m", name);
	if (made)
		queue_file_adopt(owner_dir, fd);
	if (made && fsync(parent) < 0) {
		close(fd);
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "sync queue directory of %s: %m", name);
	}
	*ret_fd = fd;
	return RC_OK;
}

enum rc queue_dirs_open(TALLOC_CTX *mem, const char *directory, bool may_make,
			struct queue_dirs **ret_dirs, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct queue_dirs *dirs = mem_new(tmp, struct queue_dirs);
	enum rc rc;

	*dirs = (struct queue_dirs){ -1, -1, -1, -1, -1 };
	talloc_set_destructor(dirs, dirs_close);
	rc = dir_open(AT_FDCWD, -1, directory, false, &dirs->root, fault);
	if (rc == RC_OK)
		rc = dir_open(dirs->root, dirs->root, "journal", may_make,
			      &dirs->journal, fault);
	if (rc == RC_OK)
		rc = dir_open(dirs->journal, dirs->journal, "free", may_make,
			      &dirs->free, fault);
	if (rc == RC_OK)
		rc = dir_open(dirs->root, dirs->journal, "queue", may_make,
			      &dirs->queue, fault);
	if (rc == RC_OK)
		rc = dir_open(dirs->root, dirs->journal, "corrupt", may_make,
			      &dirs->corrupt, fault);
	if (rc != RC_OK)
		return fault_add(fault, "%s", directory);
	*ret_dirs = talloc_steal(mem, dirs);
	return RC_OK;
}

int queue_hash_dir_make(const struct queue_dirs *dirs, const char *path)
{
	char name[3] = { path[0], path[1], '\0' };
	int fd;

	if (mkdirat(dirs->queue, name, JOURNAL_DIR_MODE) < 0 &&
	    errno != EEXIST)
		return -1;
	fd = openat(dirs->queue, name,
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -1;
	queue_file_adopt(dirs->journal, fd);
	close(fd);
	return fsync(dirs->queue);
}

int queue_lock_take(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
			JOURNAL_FILE_MODE);

	if (fd < 0)
		return -1;
	queue_file_adopt(dir, fd);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}
