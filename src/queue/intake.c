/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/intake_priv.h"

#include <errno.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/crc32c.h"

enum {
	DEFAULT_MIN_FREE_BYTES = 15360000,
	DEFAULT_TIMEOUT_MS = 4000,
	DEFAULT_BUDGET_BYTES = 64 * 1024 * 1024,
	FIRST_BODY_BYTES = 6 * 1024,
	ENVELOPE_FIRST_BYTES = 1024,
	NEWS_MAX_BYTES = PACKET_MAX_BYTES / 2, /* more: qmgr reads the image */
};

static int intake_close(struct intake *intake)
{
	journal_close(&intake->journal);
	notify_done(&intake->notify);
	if (intake->slot_fd >= 0)
		close(intake->slot_fd);
	if (intake->writer_lock_fd >= 0)
		close(intake->writer_lock_fd);
	return 0;
}

static enum rc lock_writer(struct intake *intake, struct fault *fault)
{
	char name[SEGMENT_NAME_MAX_BYTES];

	snprintf(name, sizeof(name), "lock.%s", intake->config.writer);
	intake->writer_lock_fd = queue_lock_take(intake->dirs->journal, name);
	if (intake->writer_lock_fd >= 0)
		return RC_OK;
	if (errno == EWOULDBLOCK)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "another process writes the journal of %s",
				 intake->config.writer);
	return fault_set(fault, RC_TEMP, "4.3.0", "open journal/%s: %m", name);
}

static enum rc take_slot(struct intake *intake, struct fault *fault)
{
	for (unsigned int i = 0; i <= QUEUE_ID_SLOT_MAX; i++) {
		char name[16];

		snprintf(name, sizeof(name), "slot.%02x", i);
		intake->slot_fd = queue_lock_take(intake->dirs->journal, name);
		if (intake->slot_fd >= 0) {
			queue_id_init(&intake->ids, (uint8_t)i,
				      intake->config.long_queue_ids);
			return RC_OK;
		}
		if (errno != EWOULDBLOCK)
			return fault_set(fault, RC_TEMP, "4.3.0",
					 "open journal/%s: %m", name);
	}
	return fault_set(fault, RC_TEMP, "4.3.0",
			 "more than %d processes write into the queue",
			 QUEUE_ID_SLOT_MAX);
}

static void config_copy(struct intake *intake,
			const struct intake_config *config)
{
	struct intake_config *own = &intake->config;

	*own = *config;
	own->queue_directory = mem_strdup(intake, config->queue_directory);
	own->writer = mem_strdup(intake, config->writer);
	own->qmgr_socket = mem_strdup(intake, config->qmgr_socket);
	if (own->min_free_bytes == 0)
		own->min_free_bytes = DEFAULT_MIN_FREE_BYTES;
	if (own->commit_timeout_ms <= 0)
		own->commit_timeout_ms = DEFAULT_TIMEOUT_MS;
	if (own->memory_budget_bytes == 0)
		own->memory_budget_bytes = DEFAULT_BUDGET_BYTES;
}

enum rc intake_open(TALLOC_CTX *mem, const struct intake_config *config,
		    struct intake **ret_intake, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct intake *intake = mem_new(tmp, struct intake);
	enum rc rc;

	if (!segment_writer_is_valid(config->writer))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "\"%s\" cannot name a journal",
				 config->writer);
	config_copy(intake, config);
	rc = queue_dirs_open(intake, config->queue_directory, true,
			     &intake->dirs, fault);
	if (rc != RC_OK)
		return rc;
	intake->slot_fd = intake->writer_lock_fd = -1;
	notify_init(&intake->notify, &intake->config, intake->dirs->root);
	talloc_set_destructor(intake, intake_close);
	intake->journal.dirs = intake->dirs;
	intake->journal.io = &queue_io_system;
	intake->journal.writer = intake->config.writer;
	intake->journal.notify = &intake->notify;
	intake->journal.timeout_ms = intake->config.commit_timeout_ms;
	rc = lock_writer(intake, fault);
	if (rc == RC_OK)
		rc = take_slot(intake, fault);
	if (rc == RC_OK)
		rc = journal_open(&intake->journal, fault);
	if (rc != RC_OK)
		return fault_add(fault, "queue directory %s",
				 config->queue_directory);
	notify_check(&intake->notify);
	*ret_intake = talloc_steal(mem, intake);
	return RC_OK;
}

int intake_qmgr_fd(const struct intake *intake)
{
	return atomic_load(&intake->notify.fd);
}

void intake_qmgr_check(struct intake *intake)
{
	notify_check(&intake->notify);
}

void intake_set_io(struct intake *intake, const struct queue_io *io)
{
	pthread_mutex_lock(&intake->journal.lock);
	intake->journal.io = io;
	pthread_mutex_unlock(&intake->journal.lock);
}

uint64_t intake_flush_count(const struct intake *intake)
{
	return atomic_load(&intake->journal.flushes);
}

/* One call of statvfs a second, by whichever thread comes first. */
static bool space_is_low(struct intake *intake)
{
	uint64_t now_ms = clock_mono_ms();
	uint64_t last_ms = atomic_load_explicit(&intake->space_checked_ms,
						memory_order_relaxed);
	struct statvfs fs;

	if (now_ms - last_ms >= SPACE_CHECK_MS &&
	    atomic_compare_exchange_strong(&intake->space_checked_ms, &last_ms,
					   now_ms) &&
	    fstatvfs(intake->dirs->root, &fs) == 0)
		atomic_store(&intake->space_low,
			     (uint64_t)fs.f_bavail * fs.f_frsize <
				     intake->config.min_free_bytes);
	return atomic_load_explicit(&intake->space_low, memory_order_relaxed);
}

static int message_close(struct intake_priv *priv)
{
	message_file_drop(priv);
	atomic_fetch_sub_explicit(&priv->intake->memory_used,
				  priv->memory_counted, memory_order_relaxed);
	return 0;
}

enum rc intake_begin(TALLOC_CTX *mem, struct intake *intake,
		     struct intake_message **ret_message, struct fault *fault)
{
	struct intake_priv *priv;

	if (space_is_low(intake))
		return fault_set(fault, RC_TEMP, "4.3.1",
				 "Insufficient system storage");
	priv = mem_new(mem, struct intake_priv);
	priv->intake = intake;
	priv->fd = -1;
	buf_init(&priv->header, priv, HEADER_MAX_BYTES);
	buf_init(&priv->body, priv, MESSAGE_MEMORY_MAX_BYTES + 1);
	queue_id_next(&intake->ids, clock_wall_us(), priv->id);
	priv->message.queue_id = priv->id;
	priv->message.priv = priv;
	talloc_set_destructor(priv, message_close);
	*ret_message = &priv->message;
	return RC_OK;
}

/* What this message holds in memory counts against the budget of all. */
static bool memory_take(struct intake_priv *priv)
{
	size_t holds = priv->header.cap + priv->body.cap;
	size_t more, used;

	if (holds <= priv->memory_counted)
		return true;
	more = holds - priv->memory_counted;
	used = atomic_fetch_add_explicit(&priv->intake->memory_used, more,
					 memory_order_relaxed);
	priv->memory_counted = holds;
	return used + more <= priv->intake->config.memory_budget_bytes;
}

static enum rc message_failed(struct intake_priv *priv, enum rc rc)
{
	if (rc != RC_OK)
		priv->failed = true;
	return rc;
}

static enum rc message_is_dead(struct fault *fault)
{
	return fault_set(fault, RC_TEMP, "4.3.0",
			 "queue file write error: the message failed before");
}

static enum rc header_add(struct intake_priv *priv, struct span lines,
			  struct fault *fault)
{
	size_t before = priv->header.len;

	if (!buf_add(&priv->header, lines)) {
		priv->failed = true;
		return fault_set(fault, RC_PERM, "5.3.4",
				 "message header too large");
	}
	priv->message.content_bytes += priv->header.len - before;
	return RC_OK;
}

enum rc intake_header(struct intake_message *message, struct span lines,
		      struct fault *fault)
{
	struct intake_priv *priv = message->priv;
	enum rc rc;

	if (priv->failed)
		return message_is_dead(fault);
	rc = header_add(priv, lines, fault);
	if (rc == RC_OK && !memory_take(priv) && priv->fd < 0)
		rc = message_failed(priv, message_file_begin(priv, fault));
	return rc;
}

enum rc intake_replace_header(struct intake_message *message, struct span lines,
			      struct fault *fault)
{
	struct intake_priv *priv = message->priv;

	if (priv->failed)
		return message_is_dead(fault);
	priv->message.content_bytes -= priv->header.len;
	buf_clear(&priv->header);
	return header_add(priv, lines, fault);
}

enum rc intake_body(struct intake_message *message, struct span bytes,
		    struct fault *fault)
{
	struct intake_priv *priv = message->priv;
	enum rc rc = RC_OK;

	if (priv->failed)
		return message_is_dead(fault);
	content_scan_add(&priv->scan, bytes);
	priv->body_crc = crc32c(priv->body_crc, bytes);
	priv->body_bytes += bytes.len;
	message->content_bytes += bytes.len;
	if (priv->fd < 0 &&
	    priv->header.len + priv->body.len + bytes.len >
		    MESSAGE_MEMORY_MAX_BYTES)
		rc = message_file_begin(priv, fault);
	if (rc == RC_OK && priv->fd >= 0)
		return message_failed(priv,
				      message_file_write(priv, bytes, fault));
	if (rc != RC_OK)
		return message_failed(priv, rc);
	if (priv->body.cap == 0 && !buf_reserve(&priv->body, FIRST_BODY_BYTES))
		return message_is_dead(fault);
	buf_add(&priv->body, bytes);
	if (!memory_take(priv))
		rc = message_failed(priv, message_file_begin(priv, fault));
	return rc;
}

static void envelope_complete(struct intake_priv *priv, struct envelope *env)
{
	struct content_scan header = { 0 };

	content_scan_add(&header, buf_span(&priv->header));
	content_scan_end(&header);
	content_scan_end(&priv->scan);
	/* 8BIT is about the body only: it asks for 8BITMIME. */
	env->flags |= priv->scan.flags |
		      (header.flags & ~(uint32_t)ENVELOPE_8BIT);
	env->longest_line = MAX_OF(header.longest_line,
				   priv->scan.longest_line);
	env->size_bytes = priv->message.content_bytes;
	envelope_set_text(env, &env->queue_id, span_from(priv->id));
	if (env->arrival_us == 0)
		env->arrival_us = clock_wall_us();
}

static void head_fill(struct intake_priv *priv, struct image_head *head,
		      struct span envelope)
{
	*head = (struct image_head){ 0 };
	head->envelope_offset = sizeof(*head);
	head->envelope_length = (uint32_t)envelope.len;
	head->header_offset = head->envelope_offset + envelope.len;
	head->header_length = priv->header.len;
	head->header_crc = crc32c(0, buf_span(&priv->header));
	head->body_offset = head->header_offset + head->header_length;
	head->body_length = priv->body_bytes;
	head->body_crc = priv->body_crc;
	memcpy(head->queue_id, priv->id, sizeof(head->queue_id));
}

static enum rc commit_memory(struct intake_priv *priv,
			     const struct envelope *env, struct span envelope,
			     struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = NULL;
	struct image_head head;
	struct record record = { .head = &head,
				 .envelope = envelope,
				 .header = buf_span(&priv->header),
				 .body = buf_span(&priv->body),
				 .news_env = envelope,
				 .news_has_recipients = true };
	struct buf small;

	if (envelope.len > NEWS_MAX_BYTES) {
		tmp = talloc_new(priv);
		buf_init(&small, tmp, RECORD_MAX_BYTES);
		envelope_encode(env, false, &small);
		record.news_env = buf_span(&small);
		record.news_has_recipients = false;
	}
	head_fill(priv, &head, envelope);
	return journal_commit(&priv->intake->journal, &record, fault);
}

/* The file, then a record that refers to it, so that qmgr finds it even when
 * nobody can tell it. */
static enum rc commit_file(struct intake_priv *priv, const struct envelope *env,
			   struct span envelope, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(priv);
	struct image_head head, reference = { 0 };
	struct record record = { .head = &reference };
	struct buf small;
	enum rc rc;

	head_fill(priv, &head, envelope);
	rc = message_file_finish(priv, &head, envelope, fault);
	if (rc != RC_OK)
		return rc;
	buf_init(&small, tmp, RECORD_MAX_BYTES);
	envelope_encode(env, false, &small);
	record.envelope = record.news_env = buf_span(&small);
	record.news_has_recipients = false;
	record.place = (struct place){ .in_file = true,
				       .generation = head.generation,
				       .length = head.length };
	reference.flags = IMAGE_REFERENCE;
	reference.origin_generation = head.generation;
	reference.envelope_offset = sizeof(reference);
	reference.envelope_length = (uint32_t)small.len;
	memcpy(reference.queue_id, priv->id, sizeof(reference.queue_id));
	return journal_commit(&priv->intake->journal, &record, fault);
}

enum rc intake_commit(struct intake_message *message, struct envelope *env,
		      struct fault *fault)
{
	struct intake_priv *priv = message->priv;
	SCRATCH TALLOC_CTX *tmp = talloc_new(priv);
	struct buf encoded;
	enum rc rc = RC_OK;

	if (priv->failed)
		return message_is_dead(fault);
	envelope_complete(priv, env);
	buf_init(&encoded, tmp, IMAGE_ENVELOPE_MAX_BYTES);
	if (buf_reserve(&encoded, ENVELOPE_FIRST_BYTES))
		envelope_encode(env, true, &encoded);
	if (encoded.full)
		return message_failed(
			priv, fault_set(fault, RC_PERM, "5.5.3",
					"the envelope is too large"));
	if (priv->fd < 0 && sizeof(struct image_head) + encoded.len +
					    priv->header.len + priv->body.len >
				    RECORD_MAX_BYTES)
		rc = message_file_begin(priv, fault);
	if (rc == RC_OK)
		rc = priv->fd < 0 ?
			     commit_memory(priv, env, buf_span(&encoded),
					   fault) :
			     commit_file(priv, env, buf_span(&encoded), fault);
	priv->failed = true; /* committed or dead: nothing more may come */
	if (rc == RC_OK && priv->fd >= 0) {
		close(priv->fd);
		priv->fd = -1;
	}
	return rc;
}
