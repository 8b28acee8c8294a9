/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h>

#include "deliver/local/local.h"
#include "mail/address.h"
#include "mail/header.h"
#include "mail/received.h"
#include "sys/log.h"

enum {
	INTAKE_BUDGET_BYTES = 16 * 1024 * 1024,
	COMMIT_TIMEOUT_MS = 5000,
	CHUNK_BYTES = 64 * 1024,
};

void forward_add(struct job *job, const struct target *parent,
		 const char *address)
{
	const char *original_sender = job->d->image->env->sender;
	const int limit = job->local->conf->v.duplicate_filter_limit;
	struct forward *f = job->forwards;

	while (f != NULL && strcmp(f->sender, parent->sender) != 0)
		f = f->next;
	if (f == NULL) {
		f = mem_new(job->mem, struct forward);
		f->sender = parent->sender;
		f->keep_original = strcmp(f->sender, original_sender) == 0;
		f->next = job->forwards;
		job->forwards = f;
	}
	/* Not all with all: a user's list may be very long. */
	for (size_t i = 0; i < f->count && (limit <= 0 || i < (size_t)limit);
	     i++)
		if (span_is_nocase(span_from(address), f->recipients[i]))
			return;
	if (f->count == f->room) {
		f->room = f->room * 2 + 8;
		f->recipients =
		    mem_resize(f, f->recipients, const char *, f->room);
	}
	f->recipients[f->count++] = address;
}

/* The intake is opened by the first message that leaves again: most machines
 * never forward. */
static enum rc service_get(struct local *local,
			   struct cleanup_service **ret_service,
			   struct fault *fault)
{
	const struct conf_values *v = &local->conf->v;
	enum rc rc = RC_OK;

	pthread_mutex_lock(&local->lock);
	if (local->intake == NULL) {
		const struct intake_config config = {
		    .queue_directory = v->queue_directory,
		    .writer =
			mem_printf(local, "local-%s", local->service_name),
		    .qmgr_socket = "public/qmgr",
		    .memory_budget_bytes = INTAKE_BUDGET_BYTES,
		    .min_free_bytes = (uint64_t)v->queue_minfree,
		    .long_queue_ids = v->enable_long_queue_ids,
		    .commit_timeout_ms = COMMIT_TIMEOUT_MS,
		};

		rc = intake_open(local, &config, &local->intake, fault);
	}
	if (rc == RC_OK && local->cleanup == NULL)
		rc = cleanup_service_open(local, local->conf, local->intake,
					  &local->cleanup, fault);
	*ret_service = local->cleanup;
	pthread_mutex_unlock(&local->lock);
	return rc;
}

static const char *received_make(TALLOC_CTX *mem, const struct conf *conf)
{
	const struct received received = {
	    .from = RECEIVED_INTERNAL,
	    .hostname = conf->v.myhostname,
	    .mail_name = conf->v.mail_name,
	    .queue_id = "%QID%",
	    .when = time(NULL),
	};
	struct buf out;

	buf_init(&out, mem, 4096);
	received_format(&received, &out);
	return buf_text(&out);
}

static void header_feed(struct cleanup *cleanup, struct span header)
{
	struct span line;

	while (header.len > 0) {
		ssize_t lf = span_find(header, '\n');
		size_t len = lf < 0 ? header.len : (size_t)lf;

		line = span_take(header, len);
		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		cleanup_line(cleanup, line, false);
		header = span_skip(header, len + 1);
	}
	cleanup_line(cleanup, SPAN_OF(""), false);
}

static enum rc body_feed(struct job *job, struct cleanup *cleanup,
			 struct fault *fault)
{
	const struct image *image = job->d->image;
	/* The body begins with the empty line, which is fed already. */
	uint64_t at = image->header_length + MIN_OF(image->body_length, 2U);
	char *chunk = mem_resize(job->mem, NULL, char, CHUNK_BYTES);
	size_t size;

	for (;; at += size) {
		if (image_content_read(image, at, chunk, CHUNK_BYTES, &size,
				       fault) != RC_OK)
			return fault->rc;
		if (size == 0)
			break;
		cleanup_body(cleanup, (struct span){chunk, size});
	}
	talloc_free(chunk);
	return RC_OK;
}

static enum rc envelope_feed(struct job *job, const struct forward *f,
			     struct cleanup *cleanup, struct fault *fault)
{
	if (cleanup_sender(cleanup, span_from(f->sender), fault) != RC_OK)
		return fault->rc;
	for (size_t i = 0; i < f->count; i++) {
		const char *original = f->keep_original && job->to->original
					   ? job->to->original
					   : f->recipients[i];

		if (cleanup_recipient(
			cleanup, span_from(f->recipients[i]),
			span_from(original),
			f->keep_original ? job->to->dsn_orcpt : NULL,
			job->to->notify & ~DSN_NOTIFY_SUCCESS, fault) != RC_OK)
			return fault->rc;
	}
	return RC_OK;
}

static bool delivered_header(const struct job *job)
{
	struct span rest =
	    span_from(job->local->conf->v.prepend_delivered_header);

	for (struct span word; span_token(&rest, ", \t\r\n", &word);)
		if (span_is_nocase(word, "forward"))
			return true;
	return false;
}

static enum rc message_make(struct job *job, const struct forward *f,
			    struct cleanup *cleanup, struct fault *fault)
{
	struct span header;
	bool discarded;

	if (image_header(job->mem, job->d->image, &header, fault) != RC_OK ||
	    envelope_feed(job, f, cleanup, fault) != RC_OK)
		return fault->rc;
	if (delivered_header(job))
		cleanup_line(
		    cleanup,
		    span_from(mem_printf(
			job->mem, "Delivered-To: %s",
			address_quote(job->mem, span_from(job->to->address)))),
		    false);
	header_feed(cleanup, header);
	if (body_feed(job, cleanup, fault) != RC_OK)
		return fault->rc;
	return cleanup_finish(cleanup, &discarded, fault);
}

static void forward_send(struct job *job, const struct forward *f,
			 const struct target *top)
{
	const struct envelope *env = job->d->image->env;
	const struct cleanup_origin origin = {
	    .flags = CLEANUP_MAP |
		     (env->flags & ENVELOPE_SMTPUTF8 ? CLEANUP_SMTPUTF8 : 0),
	    .received = received_make(job->mem, job->local->conf),
	    .client_name = env->client_name,
	    .client_address = env->client_address,
	    .client_port = env->client_port,
	    .client_proto = env->client_proto,
	    .client_helo = env->client_helo,
	    .sasl_method = env->sasl_method,
	    .sasl_username = env->sasl_username,
	    .sasl_sender = env->sasl_sender,
	    .dsn_envid = env->dsn_envid,
	    .dsn_ret = env->dsn_ret,
	    .envelope_flags = env->flags & ENVELOPE_BODY_8BITMIME,
	};
	struct cleanup_service *service;
	struct cleanup *cleanup = NULL;
	struct fault fault;
	enum rc rc;

	rc = service_get(job->local, &service, &fault);
	if (rc == RC_OK)
		rc =
		    cleanup_begin(job->mem, service, &origin, &cleanup, &fault);
	if (rc == RC_OK)
		rc = message_make(job, f, cleanup, &fault);
	if (rc == RC_OK) {
		struct outcome out = {
		    .action = DELIVERY_SENT,
		    .dsn = "2.0.0",
		    .text = mem_printf(job->mem, "forwarded as %s",
				       cleanup_queue_id(cleanup)),
		    .dsn_action = "expanded",
		};

		job_settle(job, top, &out);
	} else {
		if (rc != RC_PERM)
			fault.rc = RC_TEMP;
		job_fault(job, top, &fault);
	}
	talloc_free(cleanup);
}

static void forward_tell(struct job *job, const struct forward *f,
			 const struct target *top)
{
	for (size_t i = 0; i < f->count; i++)
		job_sent(job, top, "2.0.0",
			 mem_printf(job->mem, "forwards to %s",
				    f->recipients[i]));
}

void forward_finish(struct job *job, const struct target *top)
{
	if (delivery_is_probe(job->d)) {
		for (const struct forward *f = job->forwards; f != NULL;
		     f = f->next)
			forward_tell(job, f, top);
		return;
	}
	for (const struct forward *f = job->forwards; f != NULL; f = f->next)
		forward_send(job, f, top);
}
