/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mailbox - puts a message into an mbox file or a Maildir, for good: RC_OK
 * means that the message and its directory entry are on stable storage.
 *
 * Holds    a failed delivery leaves the mailbox as it was: an mbox is cut back,
 *          a Maildir file is removed; symbolic links, hard links and files of
 *          other owners are not written to
 * Locks    mbox: as `locks` says, "fcntl", "dotlock", "flock" in any order
 * Errors   RC_TEMP 4.2.0 locked by others, 4.2.2 quota, 4.3.0 disk full or I/O;
 *          RC_PERM 5.2.0 cannot be opened, 5.2.2 larger than the limit.
 *          The text is what comes after "cannot update mailbox ... . "
 * Threads  any; runs in the process of the mailbox's user (user_work)
 */
#pragma once

#include "deliver/mail_text.h"

struct mailbox_rules {
	const char *locks;   /* mailbox_delivery_lock */
	int64_t limit_bytes; /* mailbox_size_limit, 0: none */
	int lock_attempts;
	int lock_delay_s;
	int stale_lock_s;
	bool strict_owner; /* strict_mailbox_ownership */
};

/* An mbox, opened and locked. The two halves run with different rights when
 * the directory is root's: opening with root's, writing with the user's. */
struct mbox {
	const char *path;
	int fd;
	bool created;
	char *lock_path; /* or NULL; removed by mbox_close */
	int64_t size_bytes;
};

/* owner: who the file must belong to, and who gets a new one. */
MUST_CHECK enum rc mbox_open(TALLOC_CTX *mem, const char *path, uid_t owner,
			     gid_t group, const struct mailbox_rules *rules,
			     struct mbox **ret_mbox, struct fault *fault);
MUST_CHECK enum rc mbox_append(struct mbox *mbox, const struct mail_text *text,
			       const struct mailbox_rules *rules,
			       struct fault *fault);
/* After mbox_append has succeeded: makes a new file's name durable. */
MUST_CHECK enum rc mbox_sync_name(const struct mbox *mbox, struct fault *fault);

/* `path` ends in a slash; directories that are missing are made. */
MUST_CHECK enum rc maildir_deliver(TALLOC_CTX *mem, const char *path,
				   const struct mail_text *text,
				   struct fault *fault);

/* What an error of open, write, fsync or link means for the message. */
enum rc mailbox_errno_fault(struct fault *fault, int error, const char *doing);
