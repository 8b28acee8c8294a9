/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs: what may take long and so runs on a thread of its own: table lookups,
 * and writing a message back to the maildrop. A job owns all it touches; when
 * it is done its address goes back through a pipe.
 */
#include "plan/qmgr_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "plan/requeue.h"
#include "sys/log.h"

enum { JOB_THREADS_MAX = 4, JOBS_MAX = 30000, JOBS_A_ROUND = 256 };

struct jobs {
	struct qmgr *qmgr;
	struct workers *workers;
	struct poller_watch *watch;
	int done_fds[2];
	uint32_t busy;
};

struct plan_job {
	struct workers_session session;
	struct jobs *jobs;
	int done_fd;
	struct plan_conf *conf;
	/* One of the two. */
	struct attempt *attempt;
	struct requeue *requeue;
	struct envelope *env; /* sender and the recipients to be routed */
	struct routing *routings;
	uint32_t *recipients; /* their indices in the message */
	size_t count;
	struct fault fault;
};

static enum workers_next job_run(struct workers_session *session,
				 struct worker *me, unsigned woke)
{
	struct plan_job *job = HOLDER_OF(session, struct plan_job, session);
	int fd = job->done_fd;
	ssize_t size;

	if (job->attempt != NULL)
		routing_resolve(job, job->conf, job->env, job->routings,
				job->count);
	else if (requeue_write(job->requeue, &job->fault) == RC_OK)
		job->fault.rc = RC_OK;
	do
		size = write(fd, &job, sizeof(job));
	while (size < 0 && errno == EINTR);
	/* A write of a pointer to a pipe is all or nothing. */
	assert(size == sizeof(job));
	return WORKERS_END;
}

static void route_done(struct plan_job *job)
{
	for (size_t i = 0; i < job->count; i++)
		job->routings[i].recipient = job->recipients[i];
	attempt_routed(job->attempt, job->routings, job->count);
}

static void requeue_done(struct qmgr *qmgr, struct plan_job *job)
{
	struct message *message =
		message_find(qmgr->index, job->requeue->queue_id);
	struct place file;
	struct fault fault;

	if (message == NULL)
		return;
	message->requeue = false;
	if (job->fault.rc != RC_OK) {
		log_warning("%s: requeue: %s", message->id, job->fault.text);
		message_set_state(qmgr->index, message, MESSAGE_DEFERRED,
				  qmgr->now_us);
		return;
	}
	if (store_finish(qmgr->store, message_place(message, &file),
			 message->id, &fault) == RC_OK) {
		message_free(qmgr->index, message);
		return;
	}
	log_warning("%s: remove: %s", message->id, fault.text);
	message->doomed = true;
	message_set_state(qmgr->index, message, MESSAGE_DEFERRED, qmgr->now_us);
}

static void jobs_ready(void *arg, int fd, uint32_t events)
{
	struct jobs *jobs = arg;
	struct plan_job *job;

	for (int i = 0; i < JOBS_A_ROUND; i++) {
		if (read(fd, &job, sizeof(job)) != (ssize_t)sizeof(job))
			return;
		jobs->busy--;
		if (job->attempt != NULL)
			route_done(job);
		else
			requeue_done(jobs->qmgr, job);
		plan_conf_unref(job->conf);
		talloc_free(job);
	}
}

static int jobs_done(struct jobs *jobs)
{
	TALLOC_FREE(jobs->workers);
	TALLOC_FREE(jobs->watch);
	close(jobs->done_fds[0]);
	close(jobs->done_fds[1]);
	return 0;
}

static struct jobs *jobs_open(struct qmgr *qmgr, struct fault *fault)
{
	static const struct workers_config config = {
		.max_threads = JOB_THREADS_MAX,
		.max_sessions = JOBS_MAX,
	};
	struct jobs *jobs;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) != 0) {
		fault_set(fault, RC_TEMP, "4.3.0", "pipe: %m");
		return NULL;
	}
	jobs = mem_new(qmgr, struct jobs);
	jobs->qmgr = qmgr;
	jobs->done_fds[0] = fds[0];
	jobs->done_fds[1] = fds[1];
	talloc_set_destructor(jobs, jobs_done);
	/* Only our end: a thread may wait for room. */
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0 ||
	    workers_open(jobs, &config, &jobs->workers, fault) != RC_OK ||
	    poller_watch(jobs, qmgr->poller, fds[0], EPOLLIN, jobs_ready, jobs,
			 &jobs->watch, fault) != RC_OK) {
		talloc_free(jobs);
		return NULL;
	}
	return jobs;
}

static bool job_start(struct qmgr *qmgr, struct plan_job *job)
{
	struct fault fault;

	if (qmgr->jobs == NULL)
		qmgr->jobs = jobs_open(qmgr, &fault);
	if (qmgr->jobs != NULL) {
		job->session.run = job_run;
		job->session.fd = -1;
		job->done_fd = qmgr->jobs->done_fds[1];
		job->conf = plan_conf_ref(qmgr->conf);
		qmgr->jobs->busy++;
		if (workers_add(qmgr->jobs->workers, &job->session, &fault) ==
		    RC_OK)
			return true;
		qmgr->jobs->busy--;
		plan_conf_unref(job->conf);
	}
	log_warning("start a job: %s", fault.text);
	talloc_free(job);
	return false;
}

bool jobs_route(struct attempt *attempt, struct routing *routings, size_t count)
{
	struct plan_job *job = mem_new(NULL, struct plan_job);
	const struct envelope *from = attempt->env;

	job->attempt = attempt;
	job->count = count;
	job->env = envelope_new(job);
	job->env->sender = mem_strdup(job, from->sender);
	job->env->flags = from->flags;
	if (from->filter != NULL)
		job->env->filter = mem_strdup(job, from->filter);
	job->routings = mem_array(job, struct routing, count);
	job->recipients = mem_array(job, uint32_t, count);
	for (size_t i = 0; i < count; i++) {
		uint32_t at = routings[i].recipient;

		job->recipients[i] = at;
		job->routings[i].recipient = (uint32_t)i;
		envelope_add_recipient(job->env,
				       span_from(from->recipients[at].address));
	}
	return job_start(attempt->qmgr, job);
}

void jobs_requeue(struct qmgr *qmgr, struct message *message)
{
	struct plan_job *job = mem_new(NULL, struct plan_job);
	struct store_entry *entry = NULL;
	struct place file;
	const struct place *place = message_place(message, &file);
	struct fault fault;
	int fd;

	if (store_read(job, qmgr->store, place, message->id, &entry, &fault) !=
		    RC_OK ||
	    store_descriptor(qmgr->store, place, message->id, &fd, &fault) !=
		    RC_OK ||
	    requeue_new(job, fd, place->offset, message->id, entry,
			&job->requeue, &fault) != RC_OK) {
		log_warning("%s: requeue: %s", message->id, fault.text);
		message->requeue = false;
		talloc_free(job);
		return;
	}
	/* Nothing else happens to it meanwhile. */
	message_set_state(qmgr->index, message, MESSAGE_HOLD, 0);
	if (job_start(qmgr, job))
		return;
	message->requeue = false;
	message_set_state(qmgr->index, message, MESSAGE_DEFERRED, qmgr->now_us);
}

bool jobs_are_idle(const struct qmgr *qmgr)
{
	return qmgr->jobs == NULL || qmgr->jobs->busy == 0;
}
