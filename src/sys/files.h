/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files - small files read whole, replaced whole, locked, and made durable.
 *
 * Errors   RC_NONE it does not exist (or, for locks, somebody has it);
 *          RC_TEMP otherwise. The text names the path.
 * Shape    dir_fd as in openat(2)
 */
#pragma once

#include <sys/types.h>

#include "base/fault.h"
#include "base/mem.h"

/* All of it, followed by a NUL that is not counted; larger than max is RC_PERM.
 */
MUST_CHECK enum rc file_read(TALLOC_CTX *mem, int dir_fd, const char *path,
			     size_t max, struct span *ret_bytes,
			     struct fault *fault);
/* The new content or the old, never a part: temporary file beside it, fsync,
 * rename, fsync of the directory. Rights and owner of an existing file stay;
 * a new one gets mode. */
MUST_CHECK enum rc file_replace(int dir_fd, const char *path, struct span bytes,
				mode_t mode, struct fault *fault);
/* Write all of it, however many calls that takes. */
MUST_CHECK enum rc file_write(int fd, struct span bytes, struct fault *fault);
/* fsync the directory that holds the path. */
MUST_CHECK enum rc file_sync_parent(int dir_fd, const char *path,
				    struct fault *fault);

enum file_lock_kind { FILE_LOCK_SHARED, FILE_LOCK_EXCLUSIVE };
enum file_lock_style { FILE_LOCK_FLOCK, FILE_LOCK_FCNTL };

/* Held until the fd is closed. Waits at most wait_ms (0: RC_NONE at once). */
MUST_CHECK enum rc file_lock(int fd, enum file_lock_style style,
			     enum file_lock_kind kind, int wait_ms,
			     struct fault *fault);
