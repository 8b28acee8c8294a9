/* SPDX-License-Identifier: Apache-2.0 */
#include "report/verify_work.h"

#include <pthread.h>
#include <utlist.h>

#include "base/clock.h"
#include "mail/address.h"
#include "mail/received.h"
#include "map/map_build.h"
#include "rule/cleanup.h"
#include "rule/verify_sender.h"
#include "sys/log.h"
#include "sys/workers.h"

enum {
	THREADS_MAX = 10, /* one flush of the disk serves many probes */
	JOBS_MAX = 50000,
	RECEIVED_MAX_BYTES = 4096,
	END_WAIT_MS = 15000,
};

/* A change of the table. */
struct change {
	struct change *next;
	const char *address, *text; /* NULL: forget */
};

struct job {
	struct workers_session session;
	struct verify_work *work;
	struct job *next;
	enum { JOB_PROBE, JOB_FIND, JOB_WRITE } kind;
	const char *address;
	struct span text;
	bool failed;
	struct change *changes;
};

struct verify_work {
	struct verify_work_setup set;
	struct cleanup_service *cleanup;
	struct workers *workers;
	struct map *map; /* for lookups one by one */
	struct job *batch; /* changes since the last write */
	bool is_writing;
	struct job *shown; /* what verify_work_done returned last */
	pthread_mutex_t lock; /* finished */
	struct job *finished;
};

static struct span table_name(const struct verify_work *work)
{
	return span_trim(span_from(work->set.conf->v.address_verify_map));
}

/* ---- on threads ---- */

static const char *received_make(TALLOC_CTX *mem, const struct conf *conf)
{
	const struct received received = {
		.from = RECEIVED_INTERNAL,
		.hostname = conf->v.myhostname,
		.mail_name = conf->v.mail_name,
		.queue_id = "%QID%",
		.when = (time_t)(clock_wall_us() / 1000000),
	};
	struct buf out;

	buf_init(&out, mem, RECEIVED_MAX_BYTES);
	return received_format(&received, &out) ? buf_text(&out) : NULL;
}

static void probe_lines(TALLOC_CTX *mem, struct cleanup *cleanup,
			const char *sender, const char *address)
{
	const char *const lines[] = {
		mem_printf(mem, "From: %s",
			   sender[0] == '\0'
				   ? "MAILER-DAEMON"
				   : address_quote(mem, span_from(sender))),
		mem_printf(mem, "To: %s",
			   address_quote(mem, span_from(address))),
		"Subject: probe",
		"",
	};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		cleanup_line(cleanup, span_from(lines[i]), false);
}

static enum rc probe_post(const struct verify_work *work, const char *address,
			  struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const struct conf *conf = work->set.conf;
	const char *sender = verify_sender_make(
		tmp, conf, (int64_t)(clock_wall_us() / 1000000));
	struct span to = span_from(address);
	struct cleanup_origin origin = {
		.flags = CLEANUP_INTERNAL | CLEANUP_LOCAL | CLEANUP_MAP,
		.received = received_make(tmp, conf),
		.envelope_flags =
			ENVELOPE_INTERNAL | ENVELOPE_PROBE | ENVELOPE_VERIFY,
	};
	struct cleanup *cleanup;
	bool discarded;

	if (conf->v.smtputf8_enable && !text_is_ascii(to)) {
		origin.flags |= CLEANUP_SMTPUTF8;
		origin.envelope_flags |= ENVELOPE_SMTPUTF8;
	}
	if (cleanup_begin(tmp, work->cleanup, &origin, &cleanup, fault) !=
		    RC_OK ||
	    cleanup_sender(cleanup, span_from(sender), fault) != RC_OK ||
	    cleanup_recipient(cleanup, to, to, NULL, DSN_NOTIFY_NEVER, fault) !=
		    RC_OK)
		return fault->rc;
	probe_lines(tmp, cleanup, sender, address);
	return cleanup_finish(cleanup, &discarded, fault);
}

static enum rc change_write(struct map_writer *writer,
			    const struct change *change, struct fault *fault)
{
	struct span key = span_from(change->address);
	enum rc rc;

	if (change->text == NULL)
		rc = map_writer_delete(writer, key, fault);
	else
		rc = map_writer_put_as_is(writer, key, span_from(change->text),
					  fault);
	return rc == RC_NONE ? RC_OK : rc;
}

static enum rc changes_write(const struct verify_work *work,
			     const struct change *changes, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const struct map_build_options options = {
		.flags = MAP_BUILD_INCREMENTAL | MAP_BUILD_REPLACE |
			 MAP_BUILD_NO_FOLD,
	};
	struct map_writer *writer;
	enum rc rc = map_writer_open(tmp, work->set.conf, table_name(work),
				     NULL, &options, &writer, fault);

	if (rc != RC_OK)
		return rc;
	for (; changes != NULL && rc == RC_OK; changes = changes->next)
		rc = change_write(writer, changes, fault);
	return rc == RC_OK ? map_writer_commit(writer, fault) : rc;
}

static void job_do(struct job *job)
{
	struct verify_work *work = job->work;
	struct fault fault = { 0 };
	enum rc rc = RC_OK;

	switch (job->kind) {
	case JOB_PROBE:
		rc = probe_post(work, job->address, &fault);
		break;
	case JOB_FIND:
		rc = map_lookup(work->map, job, span_from(job->address),
				&job->text, &fault);
		if (rc == RC_NONE)
			rc = RC_OK;
		break;
	case JOB_WRITE:
		rc = changes_write(work, job->changes, &fault);
		break;
	}
	job->failed = rc != RC_OK;
	if (!job->failed)
		return;
	if (job->kind == JOB_PROBE)
		log_warning("probe of <%s>: %s", job->address, fault.text);
	else
		log_warning("cache %.*s: %s", SPAN_FMT(table_name(work)),
			    fault.text);
}

static enum workers_next job_run(struct workers_session *session,
				 struct worker *me, unsigned woke)
{
	struct job *job = HOLDER_OF(session, struct job, session);
	struct verify_work *work = job->work;

	job_do(job);
	pthread_mutex_lock(&work->lock);
	LL_PREPEND(work->finished, job);
	pthread_mutex_unlock(&work->lock);
	work->set.wake(work->set.arg);
	return WORKERS_END;
}

/* ---- on the main thread ---- */

static struct job *job_new(struct verify_work *work, int kind,
			   const char *address)
{
	struct job *job = mem_new(NULL, struct job);

	job->work = work;
	job->kind = (typeof(job->kind))kind;
	job->session.run = job_run;
	job->session.fd = -1;
	if (address != NULL)
		job->address = mem_strdup(job, address);
	return job;
}

static void job_start(struct verify_work *work, struct job *job)
{
	struct fault fault;

	if (workers_add(work->workers, &job->session, &fault) == RC_OK)
		return;
	job->failed = true;
	pthread_mutex_lock(&work->lock);
	LL_PREPEND(work->finished, job);
	pthread_mutex_unlock(&work->lock);
	work->set.wake(work->set.arg);
}

void verify_work_probe(struct verify_work *work, const char *address)
{
	job_start(work, job_new(work, JOB_PROBE, address));
}

void verify_work_find(struct verify_work *work, const char *address)
{
	job_start(work, job_new(work, JOB_FIND, address));
}

void verify_work_save(struct verify_work *work, const char *address,
		      const char *text)
{
	struct change *change;

	if (table_name(work).len == 0)
		return;
	if (work->batch == NULL)
		work->batch = job_new(work, JOB_WRITE, NULL);
	change = mem_new(work->batch, struct change);
	change->address = mem_strdup(change, address);
	if (text != NULL)
		change->text = mem_strdup(change, text);
	/* The batch is written in the order of the list: the last one wins. */
	LL_PREPEND(work->batch->changes, change);
}

static void changes_turn(struct job *batch)
{
	struct change *change, *turned = NULL;

	while ((change = batch->changes) != NULL) {
		LL_DELETE(batch->changes, change);
		LL_PREPEND(turned, change);
	}
	batch->changes = turned;
}

void verify_work_flush(struct verify_work *work)
{
	struct job *batch = work->batch;

	if (batch == NULL || work->is_writing)
		return;
	changes_turn(batch);
	work->batch = NULL;
	work->is_writing = true;
	job_start(work, batch);
}

bool verify_work_done(struct verify_work *work, struct verify_done *ret_done)
{
	struct job *job;

	TALLOC_FREE(work->shown);
	pthread_mutex_lock(&work->lock);
	while ((job = work->finished) != NULL) {
		LL_DELETE(work->finished, job);
		if (job->kind != JOB_WRITE)
			break;
		work->is_writing = false;
		talloc_free(job);
	}
	pthread_mutex_unlock(&work->lock);
	if (job == NULL)
		return false;
	*ret_done = (struct verify_done){
		.what = job->kind == JOB_PROBE ? VERIFY_DONE_PROBE
					       : VERIFY_DONE_FIND,
		.address = job->address,
		.text = job->text,
		.failed = job->failed,
	};
	work->shown = job;
	return true;
}

void verify_work_end(struct verify_work *work)
{
	struct verify_done ignored;
	struct fault fault;

	workers_drain(work->workers, false);
	(void)workers_wait_drained(work->workers, END_WAIT_MS);
	while (verify_work_done(work, &ignored))
		continue;
	if (work->batch == NULL)
		return;
	changes_turn(work->batch);
	if (changes_write(work, work->batch->changes, &fault) != RC_OK)
		log_warning("cache %.*s: %s", SPAN_FMT(table_name(work)),
			    fault.text);
	TALLOC_FREE(work->batch);
}

struct loading {
	verify_work_each_fn *each;
	void *arg;
};

static enum rc load_one(void *arg, struct span key, struct span value,
			struct fault *fault)
{
	struct loading *loading = arg;

	loading->each(loading->arg, key, value);
	return RC_OK;
}

enum rc verify_work_load(struct verify_work *work, verify_work_each_fn *each,
			 void *arg, bool *ret_has_table, struct fault *fault)
{
	struct loading loading = { each, arg };

	*ret_has_table = table_name(work).len > 0;
	if (!*ret_has_table)
		return RC_NONE;
	/* It is made when it is not there. */
	if (changes_write(work, NULL, fault) != RC_OK ||
	    map_open(work, work->set.conf, table_name(work), 0, &work->map,
		     fault) != RC_OK)
		return fault->rc;
	if (map_each(work->map, load_one, &loading, fault) == RC_OK)
		return RC_OK;
	return fault->rc == RC_CONF ? RC_NONE : fault->rc;
}

static int work_done(struct verify_work *work)
{
	TALLOC_FREE(work->workers);
	TALLOC_FREE(work->shown);
	TALLOC_FREE(work->batch);
	pthread_mutex_destroy(&work->lock);
	return 0;
}

enum rc verify_work_open(TALLOC_CTX *mem, const struct verify_work_setup *setup,
			 struct verify_work **ret_work, struct fault *fault)
{
	static const struct workers_config config = {
		.max_threads = THREADS_MAX,
		.max_sessions = JOBS_MAX,
	};
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct verify_work *work = mem_new(tmp, struct verify_work);

	work->set = *setup;
	pthread_mutex_init(&work->lock, NULL);
	talloc_set_destructor(work, work_done);
	if (workers_open(work, &config, &work->workers, fault) != RC_OK ||
	    cleanup_service_open(work, setup->conf, setup->intake,
				 &work->cleanup, fault) != RC_OK)
		return fault->rc;
	*ret_work = talloc_steal(mem, work);
	return RC_OK;
}
