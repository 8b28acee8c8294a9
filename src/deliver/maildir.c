/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "deliver/mailbox.h"
#include "sys/files.h"

enum { MAILDIR_MODE = 0700, FILE_MODE = 0600, MAILDIR_PATH_MAX = 4000 };

struct maildir {
	const char *path; /* with a slash at the end */
	char *tmp, *new;  /* of the file being delivered */
	int fd;
};

static int maildir_done(struct maildir *dir)
{
	if (dir->fd >= 0)
		close(dir->fd);
	if (dir->tmp != NULL)
		unlink(dir->tmp);
	return 0;
}

static const char *own_name(TALLOC_CTX *mem)
{
	char name[256];

	if (gethostname(name, sizeof(name)) != 0)
		return "localhost";
	name[sizeof(name) - 1] = '\0';
	for (char *p = name; *p != '\0'; p++)
		if (*p == '/' || *p == ':')
			*p = '_';
	return mem_strdup(mem, name);
}

static enum rc make_directory(const char *path, bool *ret_made,
			      struct fault *fault)
{
	if (mkdir(path, MAILDIR_MODE) == 0) {
		*ret_made = true;
		return RC_OK;
	}
	if (errno == EEXIST)
		return RC_OK;
	return mailbox_errno_fault(fault, errno, path);
}

/* Missing directories from the top: each one's name is on disk before
 * something lies in it. */
static enum rc make_parents(TALLOC_CTX *mem, const char *path,
			    struct fault *fault)
{
	for (const char *slash = strchr(path + 1, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		char *parent = mem_span_dup(
		    mem, (struct span){path, (size_t)(slash - path)});
		struct stat st;
		bool made = false;

		if (stat(parent, &st) == 0)
			continue;
		if (make_directory(parent, &made, fault) != RC_OK)
			return fault_add(fault, "create maildir");
		if (made &&
		    file_sync_parent(AT_FDCWD, parent, fault) != RC_OK) {
			/* The next attempt must not take it for safe. */
			rmdir(parent);
			return fault_add(fault, "create maildir");
		}
	}
	return RC_OK;
}

static enum rc maildir_make(struct maildir *dir, struct fault *fault)
{
	static const char *const parts[] = {"tmp", "cur", "new"};
	bool made[ARRAY_LEN(parts)] = {false};
	enum rc rc = make_parents(dir, dir->path, fault);

	for (size_t i = 0; i < ARRAY_LEN(parts) && rc == RC_OK; i++)
		rc =
		    make_directory(mem_printf(dir, "%s%s", dir->path, parts[i]),
				   &made[i], fault);
	if (rc == RC_OK)
		rc = file_sync_parent(
		    AT_FDCWD, mem_printf(dir, "%snew", dir->path), fault);
	if (rc == RC_OK)
		return RC_OK;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (made[i])
			rmdir(mem_printf(dir, "%s%s", dir->path, parts[i]));
	return fault_add(fault, "create maildir");
}

static enum rc tmp_open(struct maildir *dir, const char *host,
			struct fault *fault)
{
	const uint64_t now = clock_wall_us();
	char *path = mem_printf(dir, "%stmp/%llu.P%d.%s", dir->path,
				(unsigned long long)(now / 1000000),
				(int)getpid(), host);
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;

	dir->fd = open(path, flags, FILE_MODE);
	if (dir->fd < 0 && errno == ENOENT) {
		if (maildir_make(dir, fault) != RC_OK)
			return fault->rc;
		dir->fd = open(path, flags, FILE_MODE);
	}
	if (dir->fd < 0 && errno == EEXIST) {
		path = mem_printf(dir, "%stmp/%llu.M%lluP%d.%s", dir->path,
				  (unsigned long long)(now / 1000000),
				  (unsigned long long)(now % 1000000),
				  (int)getpid(), host);
		dir->fd = open(path, flags, FILE_MODE);
	}
	if (dir->fd < 0)
		return mailbox_errno_fault(
		    fault, errno,
		    mem_printf(dir, "create maildir file %s", path));
	dir->tmp = path;
	return RC_OK;
}

/* link, not rename: a name that is taken is never overwritten. */
static enum rc file_publish(struct maildir *dir, const char *host,
			    struct fault *fault)
{
	const uint64_t now = clock_wall_us();
	struct stat st;

	if (fstat(dir->fd, &st) != 0)
		return mailbox_errno_fault(fault, errno, "stat maildir file");
	dir->new =
	    mem_printf(dir, "%snew/%llu.V%lxI%lxM%llu.%s", dir->path,
		       (unsigned long long)(now / 1000000),
		       (unsigned long)st.st_dev, (unsigned long)st.st_ino,
		       (unsigned long long)(now % 1000000), host);
	if (renameat2(AT_FDCWD, dir->tmp, AT_FDCWD, dir->new,
		      RENAME_NOREPLACE) == 0) {
		dir->tmp = NULL;
		return RC_OK;
	}
	if (errno == EINVAL && link(dir->tmp, dir->new) == 0)
		return RC_OK;
	if (errno == ENOENT && maildir_make(dir, fault) == RC_OK &&
	    link(dir->tmp, dir->new) == 0)
		return RC_OK;
	return mailbox_errno_fault(fault, errno,
				   mem_printf(dir, "link to %s", dir->new));
}

enum rc maildir_deliver(TALLOC_CTX *mem, const char *path,
			const struct mail_text *text, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct maildir *dir = mem_new(tmp, struct maildir);
	const char *host = own_name(dir);
	int error;

	dir->fd = -1;
	dir->path = path;
	talloc_set_destructor(dir, maildir_done);
	if (strlen(path) > MAILDIR_PATH_MAX)
		return fault_set(fault, RC_PERM, "5.2.0",
				 "maildir path is too long");
	if (tmp_open(dir, host, fault) != RC_OK)
		return fault->rc;
	if (mail_text_write(text, dir->fd, &error, fault) != RC_OK)
		return error == 0 ? fault->rc
				  : mailbox_errno_fault(
					fault, error, "error writing message");
	if (fsync(dir->fd) != 0)
		return mailbox_errno_fault(fault, errno, "fsync maildir file");
	if (file_publish(dir, host, fault) != RC_OK)
		return fault->rc;
	if (file_sync_parent(AT_FDCWD, dir->new, fault) != RC_OK) {
		/* Not known to be there after a power cut: take it back, so
		 * that the next attempt does not make a second one. */
		unlink(dir->new);
		return fault->rc;
	}
	return RC_OK;
}
