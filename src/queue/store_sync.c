/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "queue/store_priv.h"
#include "sys/log.h"

enum {
	SYNC_INTERVAL_S = 1,
	SYNC_EACH_MAX = 32, /* more files than this: the file system at once */
};

static void jobs_free(struct sync_job *job)
{
	while (job != NULL) {
		struct sync_job *next = job->next;

		if (job->fd >= 0)
			close(job->fd);
		talloc_free(job);
		job = next;
	}
}

static bool dir_sync(struct store_sync *sync, const char *path)
{
	char name[3] = { path[0], path[1], '\0' };
	int fd = openat(sync->dirs->queue, name,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool good = fd >= 0 && sync->io->fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return good;
}

static bool dir_was_synced(const struct sync_job *jobs,
			   const struct sync_job *until, const char *path)
{
	for (const struct sync_job *job = jobs; job != until; job = job->next)
		if (job->kind == SYNC_MOVE && !job->failed &&
		    memcmp(job->path, path, 2) == 0)
			return true;
	return false;
}

static void files_sync_each(struct store_sync *sync, struct sync_job *jobs)
{
	for (struct sync_job *job = jobs; job != NULL; job = job->next)
		if (job->kind != SYNC_ROTATE)
			(void)sync_file_range(job->fd, 0, 0,
					      SYNC_FILE_RANGE_WRITE);
	for (struct sync_job *job = jobs; job != NULL; job = job->next)
		if (job->kind != SYNC_ROTATE)
			job->failed = sync->io->fsync(job->fd) < 0;
	for (struct sync_job *job = jobs; job != NULL; job = job->next)
		if (job->kind == SYNC_MOVE && !job->failed &&
		    !dir_was_synced(jobs, job, job->path))
			job->failed = !dir_sync(sync, job->path);
}

static void files_sync(struct store_sync *sync, struct sync_job *jobs)
{
	size_t count = 0;

	for (struct sync_job *job = jobs; job != NULL; job = job->next)
		count += job->kind != SYNC_ROTATE;
	if (count <= SYNC_EACH_MAX) {
		files_sync_each(sync, jobs);
	} else if (syncfs(sync->dirs->queue) < 0) {
		for (struct sync_job *job = jobs; job != NULL; job = job->next)
			job->failed = true;
	}
}

/* The new outcome file is durable; so are the removals the old ones told of. */
static void rotate_finish(struct store_sync *sync, const struct sync_job *job)
{
	int fd;
	DIR *stream;
	struct dirent *entry;

	if (syncfs(sync->dirs->journal) < 0) {
		log_warning("sync queue directory journal: %m");
		return; /* the next checkpoint removes them */
	}
	fd = openat(sync->dirs->journal, ".", O_RDONLY | O_CLOEXEC);
	stream = fd < 0 ? NULL : fdopendir(fd);
	while (stream != NULL && (entry = readdir(stream)) != NULL) {
		struct span name = span_from(entry->d_name);
		uint64_t number;

		if (span_starts(name, "outcome.") &&
		    span_to_u64(span_skip(name, strlen("outcome.")),
				job->number, &number))
			(void)unlinkat(sync->dirs->journal, entry->d_name, 0);
	}
	if (stream != NULL)
		closedir(stream);
}

static void outcome_sync(struct store_sync *sync, int fd)
{
	if (sync->io->fdatasync(fd) == 0)
		return;
	log_warning("sync of the outcome journal: %m; beginning a new one");
	pthread_mutex_lock(&sync->lock);
	sync->outcome_failed = true;
	pthread_mutex_unlock(&sync->lock);
}

/* Moves go back to the owner, everything else is over. */
static void jobs_hand_back(struct store_sync *sync, struct sync_job *jobs)
{
	struct sync_job *over = NULL, *next;

	pthread_mutex_lock(&sync->lock);
	for (; jobs != NULL; jobs = next) {
		struct sync_job **list =
			jobs->kind == SYNC_MOVE ? &sync->through : &over;

		next = jobs->next;
		jobs->next = *list;
		*list = jobs;
	}
	pthread_mutex_unlock(&sync->lock);
	jobs_free(over);
}

static void sync_once(struct store_sync *sync)
{
	struct sync_job *jobs = sync->jobs;
	int outcome_fd = sync->dirty ? dup(sync->outcome_fd) : -1;

	sync->jobs = NULL;
	sync->jobs_tail = &sync->jobs;
	sync->dirty = false;
	pthread_mutex_unlock(&sync->lock);
	if (outcome_fd >= 0) {
		outcome_sync(sync, outcome_fd);
		close(outcome_fd);
	}
	files_sync(sync, jobs);
	for (struct sync_job *job = jobs; job != NULL; job = job->next)
		if (job->kind == SYNC_ROTATE)
			rotate_finish(sync, job);
	jobs_hand_back(sync, jobs);
	pthread_mutex_lock(&sync->lock);
}

static bool has_moves(const struct store_sync *sync)
{
	for (struct sync_job *job = sync->jobs; job != NULL; job = job->next)
		if (job->kind == SYNC_MOVE)
			return true;
	return false;
}

static void *sync_run(void *arg)
{
	struct store_sync *sync = arg;

	pthread_mutex_lock(&sync->lock);
	while (!sync->stopping) {
		struct timespec at;

		if (has_moves(sync)) { /* they hold up recycling: at once */
			sync_once(sync);
			continue;
		}
		if (!sync->dirty && sync->jobs == NULL) {
			pthread_cond_wait(&sync->wanted, &sync->lock);
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &at);
		at.tv_sec += SYNC_INTERVAL_S;
		while (!sync->stopping && !has_moves(sync) &&
		       pthread_cond_clockwait(&sync->wanted, &sync->lock,
					      CLOCK_MONOTONIC, &at) == 0)
			;
		sync_once(sync);
	}
	if (sync->dirty || sync->jobs != NULL)
		sync_once(sync);
	pthread_mutex_unlock(&sync->lock);
	return NULL;
}

enum rc store_sync_start(struct store *store, struct fault *fault)
{
	struct store_sync *sync = &store->sync;
	int error;

	pthread_mutex_init(&sync->lock, NULL);
	pthread_cond_init(&sync->wanted, NULL);
	sync->jobs_tail = &sync->jobs;
	sync->dirs = store->dirs;
	sync->io = store->io;
	sync->outcome_fd = -1;
	error = pthread_create(&sync->thread, NULL, sync_run, sync);
	if (error != 0) {
		errno = error;
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "start a thread of the store: %m");
	}
	sync->runs = true;
	return RC_OK;
}

void store_sync_stop(struct store *store)
{
	struct store_sync *sync = &store->sync;

	if (!sync->runs)
		return;
	store_moves_settle(store);
	if (store->batch != NULL)
		store_sync_push(store, store->batch);
	store->batch = NULL;
	pthread_mutex_lock(&sync->lock);
	sync->stopping = true;
	pthread_cond_signal(&sync->wanted);
	pthread_mutex_unlock(&sync->lock);
	pthread_join(sync->thread, NULL);
	store_moves_settle(store);
	if (store->outcome_fd >= 0)
		(void)fdatasync(store->outcome_fd);
	jobs_free(store->batch); /* moves that failed: the records are there */
	store->batch = NULL;
	pthread_cond_destroy(&sync->wanted);
	pthread_mutex_destroy(&sync->lock);
	sync->runs = false;
}

void store_sync_push(struct store *store, struct sync_job *jobs)
{
	struct store_sync *sync = &store->sync;

	pthread_mutex_lock(&sync->lock);
	*sync->jobs_tail = jobs;
	while (*sync->jobs_tail != NULL)
		sync->jobs_tail = &(*sync->jobs_tail)->next;
	pthread_cond_signal(&sync->wanted);
	pthread_mutex_unlock(&sync->lock);
}

void store_sync_outcome(struct store *store)
{
	struct store_sync *sync = &store->sync;

	pthread_mutex_lock(&sync->lock);
	sync->outcome_fd = store->outcome_fd;
	if (!sync->dirty) {
		sync->dirty = true;
		pthread_cond_signal(&sync->wanted);
	}
	pthread_mutex_unlock(&sync->lock);
}
