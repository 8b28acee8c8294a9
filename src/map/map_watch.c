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
#include "sys/renewal.h"

enum {
	CHECK_EVERY_MS = 500,
	YOUNG_NS = 20 * 1000 * 1000,
	/* A file that is written in place is read when it has been left alone
	 * for so long, or after SETTLE_CHECKS_MAX looks. */
	SETTLE_NS = 150 * 1000 * 1000,
	SETTLE_EVERY_MS = 50,
	SETTLE_CHECKS_MAX = 6,
};

struct map_watch {
	struct map *map;
	const char *path;
	/* The file as loaded, and the root of the file system as it was then:
	 * a chroot may hide the path. */
	int file_fd;
	struct stat root;
	int flags;
	map_load_fn *load;
	pthread_rwlock_t lock; /* table, stamp, fault */
	pthread_mutex_t check; /* one checks, the others go on */
	_Atomic uint64_t next_check_ms;
	_Atomic bool needs_restart;
	/* Under check: */
	bool forbidden; /* the last load may not open the file */
	int settling;	/* looks at a file that is being written */
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

/* How long ago it changed; a clock that was set back makes it old. */
static bool changed_within(const struct file_stamp *stamp, int64_t limit_ns)
{
	struct timespec now;
	int64_t age_ns;

	clock_gettime(CLOCK_REALTIME, &now);
	age_ns = (int64_t)(now.tv_sec - stamp->changed.tv_sec) * 1000000000 +
		 (now.tv_nsec - stamp->changed.tv_nsec);
	return age_ns >= 0 && age_ns < limit_ns;
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

bool file_stamp_content_eq(const struct file_stamp *a,
			   const struct file_stamp *b)
{
	return a->size == b->size && time_eq(a->modified, b->modified);
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

/* After a chroot the path means another file, or none. */
static bool is_hidden(const struct map_watch *watch)
{
	struct stat root;

	return stat("/", &root) == 0 && (root.st_ino != watch->root.st_ino ||
					 root.st_dev != watch->root.st_dev);
}

/* Has a hidden file been replaced or changed? */
static bool hidden_has_changed(const struct map_watch *watch)
{
	struct stat st;
	struct file_stamp now;

	if (fstat(watch->file_fd, &st) < 0)
		return false;
	stamp_fill(&st, &now);
	return st.st_nlink == 0 || !file_stamp_eq(&now, &watch->stamp);
}

static void file_keep(struct map_watch *watch, int fd)
{
	if (watch->file_fd >= 0)
		close(watch->file_fd);
	watch->file_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/* Load from the file as it is now. *ret_torn: it changed meanwhile. */
static enum rc watch_load(struct map_watch *watch, void **ret_table,
			  struct file_stamp *ret_stamp, bool *ret_torn,
			  struct fault *fault)
{
	int fd = open(watch->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct file_stamp after;
	enum rc rc = RC_OK;

	*ret_torn = false;
	if (fd < 0)
		return open_fault(watch, fault);
	if (watch->flags & MAP_WATCH_LOCK)
		rc = map_file_lock(fd, FILE_LOCK_SHARED, watch->path, fault);
	if (rc == RC_OK && !file_stamp_of_fd(fd, ret_stamp))
		rc = fault_set(fault, RC_TEMP, "4.3.0", "stat %s: %m",
			       watch->path);
	if (rc == RC_OK)
		rc = watch->load(watch->map, watch->path, fd, ret_table, fault);
	*ret_torn = !file_stamp_of_fd(fd, &after) ||
		    !file_stamp_content_eq(&after, ret_stamp);
	/* The table may have kept a copy of fd, and with it the lock. */
	if ((watch->flags & MAP_WATCH_LOCK) &&
	    map_file_lock(fd, FILE_UNLOCK, watch->path, NULL) != RC_OK)
		rc = fault_set(fault, RC_TEMP, "4.3.0", "unlock %s: %m",
			       watch->path);
	if (rc == RC_OK)
		file_keep(watch, fd);
	close(fd);
	return rc;
}

static int watch_close(struct map_watch *watch)
{
	pthread_rwlock_destroy(&watch->lock);
	pthread_mutex_destroy(&watch->check);
	talloc_free(watch->table);
	if (watch->file_fd >= 0)
		close(watch->file_fd);
	return 0;
}

enum rc map_watch_open(struct map *map, const char *path, int flags,
		       map_load_fn *load, struct map_watch **ret_watch,
		       struct fault *fault)
{
	struct map_watch *watch = mem_new(map, struct map_watch);
	pthread_rwlockattr_t attr;
	bool torn;
	enum rc rc;

	watch->map = map;
	watch->path = mem_strdup(watch, path);
	watch->file_fd = -1;
	if (stat("/", &watch->root) < 0)
		memset(&watch->root, 0, sizeof(watch->root));
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
	rc = watch_load(watch, &watch->table, &watch->stamp, &torn, fault);
	watch->stamp.young |= torn; /* look again */
	if (rc != RC_OK) {
		talloc_free(watch);
		return rc;
	}
	*ret_watch = watch;
	return RC_OK;
}

enum change { SAME, CHANGED, UNSETTLED };

static enum change watch_look(const struct map_watch *watch)
{
	struct file_stamp now;
	bool in_place;

	if (is_hidden(watch))
		return hidden_has_changed(watch) ? CHANGED : SAME;
	if (watch->table == NULL || !file_stamp_of_path(watch->path, &now))
		return CHANGED;
	in_place = now.dev == watch->stamp.dev && now.ino == watch->stamp.ino;
	if (file_stamp_eq(&now, &watch->stamp) && !watch->stamp.young)
		return SAME;
	/* Writers of databases take the lock; a text may be half there. */
	if (in_place && !(watch->flags & MAP_WATCH_LOCK) &&
	    watch->settling < SETTLE_CHECKS_MAX &&
	    changed_within(&now, SETTLE_NS))
		return UNSETTLED;
	return CHANGED;
}

/* The old table is better than none, and a successor will do better still. */
static bool keep_old(struct map_watch *watch)
{
	if (watch->table == NULL || !(watch->forbidden || is_hidden(watch)))
		return false;
	atomic_store(&watch->needs_restart, true);
	renewal_want();
	return true;
}

/* Under `check`: nobody else writes to table, stamp and fault. false: it is
 * being written, look again soon. */
static bool watch_renew_locked(struct map_watch *watch)
{
	struct file_stamp stamp = { 0 };
	struct fault fault = { 0 };
	void *table = NULL, *old;
	bool torn;
	enum rc rc;

	watch->forbidden = false;
	if (is_hidden(watch) && keep_old(watch))
		return true;
	rc = watch_load(watch, &table, &stamp, &torn, &fault);
	if (rc != RC_OK && keep_old(watch))
		return true;
	if (torn && watch->table != NULL &&
	    watch->settling < SETTLE_CHECKS_MAX) {
		talloc_free(table);
		return false;
	}
	stamp.young |= torn;
	pthread_rwlock_wrlock(&watch->lock);
	old = watch->table;
	watch->table = rc == RC_OK ? table : NULL;
	watch->stamp = stamp;
	watch->fault = fault;
	pthread_rwlock_unlock(&watch->lock);
	talloc_free(old);
	return true;
}

static void watch_check(struct map_watch *watch, bool now)
{
	uint64_t now_ms = clock_mono_ms();
	enum change change;
	bool settled;

	if (!now && now_ms < atomic_load_explicit(&watch->next_check_ms,
						  memory_order_relaxed))
		return;
	if (now)
		pthread_mutex_lock(&watch->check);
	else if (pthread_mutex_trylock(&watch->check) != 0)
		return; /* somebody is at it: the old table will do */
	atomic_store(&watch->next_check_ms, now_ms + CHECK_EVERY_MS);
	change = watch_look(watch);
	settled = change == SAME ||
		  (change == CHANGED && watch_renew_locked(watch));
	watch->settling = settled ? 0 : watch->settling + 1;
	if (!settled)
		atomic_store(&watch->next_check_ms, now_ms + SETTLE_EVERY_MS);
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
