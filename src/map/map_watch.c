/* SPDX-License-Identifier: Apache-2.0 */
#include "map/map_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

enum { CHECK_EVERY_MS = 1000, YOUNG_NS = 20 * 1000 * 1000 };

struct map_watch {
	struct map *map;
	const char *path;
	int flags;
	map_load_fn *load;
	pthread_rwlock_t lock; /* table, stamp, fault */
	pthread_mutex_t check; /* one checks, the others go on */
	_Atomic uint64_t next_check_ms;
	_Atomic bool needs_restart;
	bool forbidden; /* the last load may not open the file; under check */
	struct stat root; /* of the file system as it was at the beginning */
	void *table;	/* NULL: the fault says why */
	struct file_stamp stamp;
	struct fault fault;
};

static void stamp_fill(const struct stat *st, struct file_stamp *stamp)
{
	struct timespec now;
	int64_t age_ns;

	clock_gettime(CLOCK_REALTIME, &now);
	age_ns = (int64_t)(now.tv_sec - st->st_ctim.tv_sec) * 1000000000 +
		 (now.tv_nsec - st->st_ctim.tv_nsec);
	*stamp = (struct file_stamp){ st->st_dev,  st->st_ino,
				      st->st_size, st->st_ctim,
				      st->st_mtim, age_ns < YOUNG_NS };
}

bool file_stamp_of_fd(int fd, struct file_stamp *ret_stamp)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	stamp_fill(&st, ret_stamp);
	return true;
}

bool file_stamp_of_path(const char *path, struct file_stamp *ret_stamp)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return false;
	stamp_fill(&st, ret_stamp);
	return true;
}

static bool time_eq(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool file_stamp_eq(const struct file_stamp *a, const struct file_stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       time_eq(a->changed, b->changed) &&
	       time_eq(a->modified, b->modified);
}

/* flock, as the reference's programs do here; such a lock belongs to the open
 * file, not to the process, so threads do not take it from each other. */
enum rc map_file_lock(int fd, enum map_file_lock how, const char *path,
		      struct fault *fault)
{
	uint64_t give_up_ms = clock_mono_ms() + FILE_LOCK_WAIT_MS;
	int operation = LOCK_UN;

	if (how == FILE_LOCK_SHARED)
		operation = LOCK_SH;
	else if (how == FILE_LOCK_EXCLUSIVE)
		operation = LOCK_EX;
	while (flock(fd, operation | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return fault_set(fault, RC_TEMP, "4.3.0", "lock %s: %m",
					 path);
		if (clock_mono_ms() >= give_up_ms)
			return fault_set(fault, RC_TEMP, "4.3.0",
					 "lock %s: another program has held "
					 "it for %d seconds",
					 path, FILE_LOCK_WAIT_MS / 1000);
		nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
	}
	return RC_OK;
}

static enum rc open_fault(struct map_watch *watch, struct fault *fault)
{
	watch->forbidden = errno == EACCES || errno == EPERM;
	return fault_set(fault,
			 errno == ENFILE || errno == EMFILE ? RC_TEMP : RC_CONF,
			 "4.3.0", "open %s: %m", watch->path);
}

/* Load from the file as it is now. */
static enum rc watch_load(struct map_watch *watch, void **ret_table,
			  struct file_stamp *ret_stamp, struct fault *fault)
{
	int fd = open(watch->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	enum rc rc = RC_OK;

	if (fd < 0)
		return open_fault(watch, fault);
	if (watch->flags & MAP_WATCH_LOCK)
		rc = map_file_lock(fd, FILE_LOCK_SHARED, watch->path, fault);
	if (rc == RC_OK && !file_stamp_of_fd(fd, ret_stamp))
		rc = fault_set(fault, RC_TEMP, "4.3.0", "stat %s: %m",
			       watch->path);
	if (rc == RC_OK)
		rc = watch->load(watch->map, watch->path, fd, ret_table, fault);
	/* The table may have kept a copy of fd, and with it the lock. */
	if ((watch->flags & MAP_WATCH_LOCK) &&
	    map_file_lock(fd, FILE_UNLOCK, watch->path, NULL) != RC_OK)
		rc = fault_set(fault, RC_TEMP, "4.3.0", "unlock %s: %m",
			       watch->path);
	close(fd);
	return rc;
}

static int watch_close(struct map_watch *watch)
{
	pthread_rwlock_destroy(&watch->lock);
	pthread_mutex_destroy(&watch->check);
	talloc_free(watch->table);
	return 0;
}

enum rc map_watch_open(struct map *map, const char *path, int flags,
		       map_load_fn *load, struct map_watch **ret_watch,
		       struct fault *fault)
{
	struct map_watch *watch = mem_new(map, struct map_watch);
	pthread_rwlockattr_t attr;
	enum rc rc;

	watch->map = map;
	watch->path = mem_strdup(watch, path);
	watch->flags = flags;
	watch->load = load;
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(
		&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&watch->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	pthread_mutex_init(&watch->check, NULL);
	talloc_set_destructor(watch, watch_close);
	atomic_store(&watch->next_check_ms, clock_mono_ms() + CHECK_EVERY_MS);
	if (stat("/", &watch->root) < 0)
		memset(&watch->root, 0, sizeof(watch->root));
	rc = watch_load(watch, &watch->table, &watch->stamp, fault);
	if (rc != RC_OK) {
		talloc_free(watch);
		return rc;
	}
	*ret_watch = watch;
	return RC_OK;
}

/* After a chroot the path means another file, or none: what was opened before
 * is kept as it is. */
static bool is_out_of_sight(const struct map_watch *watch)
{
	struct stat root;

	return stat("/", &root) == 0 && (root.st_ino != watch->root.st_ino ||
					 root.st_dev != watch->root.st_dev);
}

static bool watch_is_changed(const struct map_watch *watch)
{
	struct file_stamp now;

	if (is_out_of_sight(watch))
		return false;
	if (watch->table == NULL || watch->stamp.young)
		return true;
	return !file_stamp_of_path(watch->path, &now) ||
	       !file_stamp_eq(&now, &watch->stamp);
}

/* Under `check`: nobody else writes to table, stamp and fault. */
static void watch_renew_locked(struct map_watch *watch)
{
	struct file_stamp stamp = { 0 };
	struct fault fault = { 0 };
	void *table = NULL, *old;
	enum rc rc;

	watch->forbidden = false;
	rc = watch_load(watch, &table, &stamp, &fault);
	if (rc != RC_OK && watch->table != NULL && watch->forbidden) {
		atomic_store(&watch->needs_restart, true);
		return;
	}
	pthread_rwlock_wrlock(&watch->lock);
	old = watch->table;
	watch->table = rc == RC_OK ? table : NULL;
	watch->stamp = stamp;
	watch->fault = fault;
	pthread_rwlock_unlock(&watch->lock);
	talloc_free(old);
}

static void watch_check(struct map_watch *watch, bool now)
{
	uint64_t now_ms = clock_mono_ms();

	if (!now && now_ms < atomic_load_explicit(&watch->next_check_ms,
						  memory_order_relaxed))
		return;
	if (now)
		pthread_mutex_lock(&watch->check);
	else if (pthread_mutex_trylock(&watch->check) != 0)
		return; /* somebody is at it: the old table will do */
	atomic_store(&watch->next_check_ms, now_ms + CHECK_EVERY_MS);
	if (watch_is_changed(watch))
		watch_renew_locked(watch);
	pthread_mutex_unlock(&watch->check);
}

void map_watch_renew(struct map_watch *watch)
{
	watch_check(watch, true);
}

void *map_watch_hold(struct map_watch *watch, struct fault *fault)
{
	watch_check(watch, false);
	pthread_rwlock_rdlock(&watch->lock);
	if (watch->table != NULL)
		return watch->table;
	fault_set(fault, RC_TEMP, "4.3.0", "%s", watch->fault.text);
	pthread_rwlock_unlock(&watch->lock);
	return NULL;
}

void map_watch_release(struct map_watch *watch)
{
	pthread_rwlock_unlock(&watch->lock);
}

bool map_watch_needs_restart(struct map_watch *watch)
{
	return atomic_load(&watch->needs_restart);
}
