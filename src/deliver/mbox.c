/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "deliver/mailbox.h"
#include "sys/files.h"

enum { MBOX_MODE = 0600 };

enum rc mailbox_errno_fault(struct fault *fault, int error, const char *doing)
{
	static const struct {
		int error;
		enum rc rc;
		const char *dsn;
	} meanings[] = {
	    {ENOSPC, RC_TEMP, "4.3.0"}, {EDQUOT, RC_TEMP, "4.2.2"},
	    {EIO, RC_TEMP, "4.3.0"},	{EFBIG, RC_PERM, "5.2.2"},
	    {EAGAIN, RC_TEMP, "4.2.0"}, {ESTALE, RC_TEMP, "4.2.0"},
	    {EMFILE, RC_TEMP, "4.3.0"}, {ENFILE, RC_TEMP, "4.3.0"},
	    {ENOMEM, RC_TEMP, "4.3.0"}, {EROFS, RC_TEMP, "4.3.0"},
	    {EINTR, RC_TEMP, "4.3.0"},	{ETIMEDOUT, RC_TEMP, "4.3.0"},
	};

	errno = error;
	for (size_t i = 0; i < ARRAY_LEN(meanings); i++)
		if (meanings[i].error == error)
			return fault_set(fault, meanings[i].rc, meanings[i].dsn,
					 "%s: %m", doing);
	return fault_set(fault, RC_PERM, "5.2.0", "%s: %m", doing);
}

static int mbox_close(struct mbox *mbox)
{
	if (mbox->fd >= 0)
		close(mbox->fd);
	if (mbox->lock_path != NULL)
		unlink(mbox->lock_path);
	return 0;
}

static bool has_word(const char *list, const char *word)
{
	struct span rest = span_from(list), token;

	while (span_token(&rest, ", \t\r\n", &token))
		if (span_is_nocase(token, word))
			return true;
	return false;
}

static void wait_s(int seconds)
{
	struct timespec time = {.tv_sec = seconds};

	while (nanosleep(&time, &time) != 0 && errno == EINTR)
		;
}

/* A lock file that nobody removed for a long time. */
static void stale_lock_remove(const char *path, int stale_s)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	    time(NULL) > st.st_mtime + stale_s)
		unlink(path);
}

static enum rc dotlock_take(struct mbox *mbox,
			    const struct mailbox_rules *rules,
			    struct fault *fault)
{
	char *path = mem_printf(mbox, "%s.lock", mbox->path);

	for (int i = 0; i < MAX_OF(rules->lock_attempts, 1); i++) {
		int fd;

		if (i > 0)
			wait_s(rules->lock_delay_s);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
		if (fd >= 0) {
			close(fd);
			mbox->lock_path = path;
			return RC_OK;
		}
		/* A directory where users may not make files has no lock files
		 * of theirs; the lock on the file itself has to do. */
		if (errno == EACCES || errno == EPERM)
			return RC_OK;
		if (errno != EEXIST)
			return mailbox_errno_fault(
			    fault, errno,
			    mem_printf(mbox, "unable to create lock file %s",
				       path));
		stale_lock_remove(path, rules->stale_lock_s);
	}
	errno = EEXIST;
	return fault_set(fault, RC_TEMP, "4.2.0",
			 "unable to create lock file %s: %m", path);
}

/* Locks of the open file, which children share and threads do not. */
static bool file_try_lock(int fd, bool fcntl_lock, bool flock_lock)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return (!fcntl_lock || fcntl(fd, F_OFD_SETLK, &whole) == 0) &&
	       (!flock_lock || flock(fd, LOCK_EX | LOCK_NB) == 0);
}

static enum rc file_locks_take(struct mbox *mbox,
			       const struct mailbox_rules *rules,
			       struct fault *fault)
{
	const bool fcntl_lock = has_word(rules->locks, "fcntl");
	const bool flock_lock = has_word(rules->locks, "flock");

	for (int i = 0; i < MAX_OF(rules->lock_attempts, 1); i++) {
		if (i > 0)
			wait_s(rules->lock_delay_s);
		if (file_try_lock(mbox->fd, fcntl_lock, flock_lock))
			return RC_OK;
	}
	return fault_set(fault, RC_TEMP, "4.2.0",
			 "unable to lock for exclusive access: %m");
}

static enum rc file_open(struct mbox *mbox, uid_t owner, gid_t group,
			 struct fault *fault)
{
	const int flags =
	    O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;

	mbox->fd = open(mbox->path, flags);
	if (mbox->fd < 0 && errno == ENOENT) {
		mbox->fd =
		    open(mbox->path, flags | O_CREAT | O_EXCL, MBOX_MODE);
		mbox->created = mbox->fd >= 0;
	}
	if (mbox->fd < 0)
		return mailbox_errno_fault(fault, errno, "cannot open file");
	if (mbox->created && geteuid() == 0 && owner != 0 &&
	    fchown(mbox->fd, owner, group) != 0) {
		int error = errno;

		unlink(mbox->path);
		return mailbox_errno_fault(fault, error, "cannot chown file");
	}
	return RC_OK;
}

static enum rc file_check(struct mbox *mbox, uid_t owner,
			  const struct mailbox_rules *rules,
			  struct fault *fault)
{
	struct stat st;

	if (fstat(mbox->fd, &st) != 0)
		return mailbox_errno_fault(fault, errno, "cannot stat file");
	if (!S_ISREG(st.st_mode))
		return fault_set(fault, RC_PERM, "5.2.0",
				 "destination is not a regular file");
	if (st.st_nlink != 1)
		return fault_set(fault, RC_PERM, "5.2.0",
				 "file has %lu hard links",
				 (unsigned long)st.st_nlink);
	if (rules->strict_owner && st.st_uid != owner)
		return fault_set(fault, RC_TEMP, "4.2.0",
				 "destination %s is not owned by recipient",
				 mbox->path);
	mbox->size_bytes = st.st_size;
	return RC_OK;
}

enum rc mbox_open(TALLOC_CTX *mem, const char *path, uid_t owner, gid_t group,
		  const struct mailbox_rules *rules, struct mbox **ret_mbox,
		  struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct mbox *mbox = mem_new(tmp, struct mbox);

	mbox->path = mem_strdup(mbox, path);
	mbox->fd = -1;
	talloc_set_destructor(mbox, mbox_close);
	if (has_word(rules->locks, "dotlock") &&
	    dotlock_take(mbox, rules, fault) != RC_OK)
		return fault->rc;
	if (file_open(mbox, owner, group, fault) != RC_OK ||
	    file_check(mbox, owner, rules, fault) != RC_OK ||
	    file_locks_take(mbox, rules, fault) != RC_OK ||
	    /* Another delivery may have grown it before we had the lock. */
	    file_check(mbox, owner, rules, fault) != RC_OK)
		return fault->rc;
	*ret_mbox = talloc_steal(mem, mbox);
	return RC_OK;
}

static enum rc append(struct mbox *mbox, const struct mail_text *text,
		      const struct mailbox_rules *rules, struct fault *fault)
{
	const int64_t size =
	    (int64_t)(text->image->header_length + text->image->body_length);
	int error;

	if (rules->limit_bytes > 0 &&
	    mbox->size_bytes + size > rules->limit_bytes)
		return mailbox_errno_fault(fault, EFBIG,
					   "error writing message");
	if (mail_text_write(text, mbox->fd, &error, fault) != RC_OK)
		return error == 0 ? fault->rc
				  : mailbox_errno_fault(
					fault, error, "error writing message");
	if (fsync(mbox->fd) != 0)
		return mailbox_errno_fault(fault, errno,
					   "error writing message");
	return RC_OK;
}

enum rc mbox_append(struct mbox *mbox, const struct mail_text *text,
		    const struct mailbox_rules *rules, struct fault *fault)
{
	enum rc rc = append(mbox, text, rules, fault);

	if (rc != RC_OK && ftruncate(mbox->fd, mbox->size_bytes) != 0)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "cannot remove a partial message: %m");
	return rc;
}

enum rc mbox_sync_name(const struct mbox *mbox, struct fault *fault)
{
	if (!mbox->created)
		return RC_OK;
	if (file_sync_parent(AT_FDCWD, mbox->path, fault) == RC_OK)
		return RC_OK;
	/* The next attempt must not find the message, nor take the name for
	 * safe. */
	if (ftruncate(mbox->fd, 0) != 0)
		return fault->rc;
	unlink(mbox->path);
	return fault->rc;
}
