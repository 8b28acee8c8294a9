/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map_watch - something made of a file, made again when the file has changed.
 *
 * Change   another file under the name, or another size or time; looked for at
 *          most twice a second, by whoever asks next. A text that is being
 *          written in place is read when it has come to rest, within half a
 *          second.
 * Errors   a file that is gone or bad makes the table unusable (RC_TEMP) until
 *          it is good again. One that this process may not open any more, or
 *          that a chroot hides, leaves the old table in use; when it has
 *          changed map_watch_needs_restart is true and the master is asked for
 *          a successor (sys/renewal.h).
 * Threads  any may hold the table; it is replaced when nobody does
 */
#pragma once

#include "map/map_priv.h"

struct map_watch;

/* Make the table (a talloc tree without a parent) from the open file, which is
 * locked against writers while this runs. */
typedef enum rc map_load_fn(struct map *map, const char *path, int fd,
			    void **ret_table, struct fault *fault);

enum map_watch_flags { MAP_WATCH_LOCK = 1 /* writers lock the file */ };

MUST_CHECK enum rc map_watch_open(struct map *map, const char *path, int flags,
				  map_load_fn *load,
				  struct map_watch **ret_watch,
				  struct fault *fault);
/* The table, until map_watch_release. NULL: RC_TEMP, with the fault set. */
void *map_watch_hold(struct map_watch *watch, struct fault *fault);
void map_watch_release(struct map_watch *watch);
/* The file is known to have changed: load it now. */
void map_watch_renew(struct map_watch *watch);
bool map_watch_needs_restart(struct map_watch *watch);

/* Lock a file against writers or all others, as other programs of this kind do.
 * Waits at most FILE_LOCK_WAIT_MS, then RC_TEMP. */
enum map_file_lock { FILE_LOCK_SHARED, FILE_LOCK_EXCLUSIVE, FILE_UNLOCK };
enum { FILE_LOCK_WAIT_MS = 10000 };
MUST_CHECK enum rc map_file_lock(int fd, enum map_file_lock how,
				 const char *path, struct fault *fault);

struct file_stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec changed, modified;
	bool young; /* so young that a change could leave it as it is */
};
MUST_CHECK bool file_stamp_of_fd(int fd, struct file_stamp *ret_stamp);
MUST_CHECK bool file_stamp_of_path(const char *path,
				   struct file_stamp *ret_stamp);
bool file_stamp_eq(const struct file_stamp *a, const struct file_stamp *b);
/* Of one open file: it may have been renamed or removed since. */
bool file_stamp_content_eq(const struct file_stamp *a,
			   const struct file_stamp *b);
