/* SPDX-License-Identifier: Apache-2.0 */
#include "command/postsuper_queue.h"

#include <unistd.h>

#include "base/clock.h"
#include "command/qmgr_client.h"
#include "plan/requeue.h"
#include "queue/store.h"


/* A message on disk, while no qmgr runs. */
struct held {
	struct place place;
	char *id;
	uint64_t next_attempt_us;
	bool on_hold, force_expire, gone;
};

struct super_queue {
	int sock; /* to qmgr, or -1 */
	const char *directory;
	struct store *store;
	bool scanned;
	struct held *held;
	size_t count;
};

static int super_queue_close(struct super_queue *queue)
{
	if (queue->sock >= 0)
		close(queue->sock);
	return 0;
}

enum rc super_queue_open(TALLOC_CTX *mem, const struct conf *conf,
			 struct super_queue **ret_queue, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct super_queue *queue = mem_new(tmp, struct super_queue);
	enum rc rc;

	queue->directory = conf->v.queue_directory;
	queue->sock = -1;
	talloc_set_destructor(queue, super_queue_close);
	rc = qmgr_client_connect(conf, &queue->sock, fault);
	if (rc == RC_NONE)
		rc = store_open(queue, queue->directory, STORE_OWNER,
				&queue->store, fault);
	if (rc != RC_OK)
		return rc;
	*ret_queue = talloc_steal(mem, queue);
	return RC_OK;
}

static void held_add(void *arg, TALLOC_CTX *mem,
		     const struct store_entry *entry)
{
	struct super_queue *queue = arg;
	size_t cap = talloc_array_length(queue->held);
	struct held *held;

	if (queue->count == cap)
		queue->held = mem_resize(queue, queue->held, struct held,
					 MAX_OF(cap * 2, (size_t)64));
	held = &queue->held[queue->count++];
	*held = (struct held){
		.place = entry->place,
		.id = mem_strdup(queue, entry->env->queue_id),
		.next_attempt_us = entry->next_attempt_us,
		.on_hold = entry->on_hold,
		.force_expire = entry->force_expire,
	};
}

static enum rc queue_scan(struct super_queue *queue, struct fault *fault)
{
	if (queue->scanned)
		return RC_OK;
	queue->scanned = true;
	return store_scan(queue->store, held_add, queue, fault);
}

static const char *queue_of(const struct held *held)
{
	if (held->on_hold)
		return "hold";
	return held->place.in_file ? "deferred" : "incoming";
}

/* Flags live in files: a journal record moves first. */
static enum rc held_move(struct super_queue *queue, struct held *held,
			 bool on_hold, bool force_expire, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(queue);
	struct store_entry *entry;
	enum rc rc = store_read(tmp, queue->store, &held->place, held->id,
				&entry, fault);

	if (rc != RC_OK)
		return rc;
	entry->on_hold = on_hold;
	entry->force_expire = force_expire;
	entry->next_attempt_us = clock_wall_us();
	return store_move(queue->store, &held->place, entry, fault);
}

static enum rc held_delete(struct super_queue *queue, struct held *held,
			   struct fault *fault)
{
	held->gone = true;
	return store_finish(queue->store, &held->place, held->id, fault);
}

static enum rc held_set_hold(struct super_queue *queue, struct held *held,
			     bool on_hold, struct fault *fault)
{
	if (held->on_hold == on_hold)
		return RC_NONE;
	held->on_hold = on_hold;
	if (!held->place.in_file)
		return held_move(queue, held, on_hold, held->force_expire,
				 fault);
	return store_set_hold(queue->store, held->id, on_hold, fault);
}

static enum rc held_expire(struct super_queue *queue, struct held *held,
			   struct fault *fault)
{
	if (held->force_expire)
		return RC_NONE;
	held->force_expire = true;
	if (!held->place.in_file)
		return held_move(queue, held, held->on_hold, true, fault);
	return store_set_force_expire(queue->store, held->id, fault);
}

/* Into the maildrop; then it is finished here. */
static enum rc held_requeue(struct super_queue *queue, struct held *held,
			    struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(queue);
	struct store_entry *entry;
	struct requeue *requeue;
	enum rc rc;
	int fd;

	if (chdir(queue->directory) < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "chdir %s: %m",
				 queue->directory);
	rc = store_read(tmp, queue->store, &held->place, held->id, &entry,
			fault);
	if (rc == RC_OK)
		rc = store_descriptor(queue->store, &held->place, held->id, &fd,
				      fault);
	if (rc == RC_OK)
		rc = requeue_new(tmp, fd, held->place.offset, held->id, entry,
				 &requeue, fault);
	if (rc == RC_OK)
		rc = requeue_write(requeue, fault);
	return rc == RC_OK ? held_delete(queue, held, fault) : rc;
}

static enum rc held_apply(struct super_queue *queue, struct held *held,
			  enum admin_action action, struct fault *fault)
{
	switch (action) {
	case ADMIN_DELETE:
		return held_delete(queue, held, fault);
	case ADMIN_HOLD:
		return held_set_hold(queue, held, true, fault);
	case ADMIN_RELEASE:
		return held_set_hold(queue, held, false, fault);
	case ADMIN_REQUEUE:
		return held_requeue(queue, held, fault);
	case ADMIN_EXPIRE:
		return held_expire(queue, held, fault);
	}
	return RC_NONE;
}

static enum rc apply_to_files(struct super_queue *queue,
			      enum admin_action action, const char *id,
			      const char *name, uint32_t *ret_count,
			      struct fault *fault)
{
	bool all = strcmp(id, "ALL") == 0;
	enum rc rc = queue_scan(queue, fault);

	for (size_t i = 0; rc == RC_OK && i < queue->count; i++) {
		struct held *held = &queue->held[i];

		if (held->gone || (!all && strcmp(held->id, id) != 0) ||
		    (name[0] != '\0' && strcmp(queue_of(held), name) != 0))
			continue;
		rc = held_apply(queue, held, action, fault);
		*ret_count += rc == RC_OK;
		if (rc == RC_NONE)
			rc = RC_OK;
	}
	if (rc == RC_OK)
		rc = store_move_flush(queue->store, fault);
	return rc;
}

static enum rc apply_by_qmgr(struct super_queue *queue,
			     enum admin_action action, const char *id,
			     const char *name, uint32_t *ret_count,
			     struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(queue);
	struct packet_out out;
	uint32_t count = 0;
	enum rc rc;

	packet_begin(&out, tmp, WIRE_ADMIN);
	packet_put_u32(&out, action);
	packet_put_text(&out, id);
	packet_put_text(&out, name);
	rc = qmgr_client_ask(queue->sock, &out, &count, fault);
	*ret_count += count;
	return rc == RC_NONE ? RC_OK : rc;
}

static enum rc apply_to(struct super_queue *queue, enum admin_action action,
			const char *id, const char *name, uint32_t *ret_count,
			struct fault *fault)
{
	if (queue->sock >= 0)
		return apply_by_qmgr(queue, action, id, name, ret_count, fault);
	return apply_to_files(queue, action, id, name, ret_count, fault);
}

enum rc super_queue_apply(struct super_queue *queue, enum admin_action action,
			  const char *id, char *const *queues,
			  uint32_t *ret_count, struct fault *fault)
{
	enum rc rc = RC_OK;

	*ret_count = 0;
	if (queues[0] == NULL)
		return apply_to(queue, action, id, "", ret_count, fault);
	for (; rc == RC_OK && *queues != NULL; queues++)
		rc = apply_to(queue, action, id, *queues, ret_count, fault);
	return rc;
}

enum rc super_queue_repair(struct super_queue *queue, struct fault *fault)
{
	uint32_t moved;
	enum rc rc;

	if (queue->sock >= 0)
		return RC_OK;
	rc = store_repair(queue->store, &moved, fault);
	return rc == RC_OK ? queue_scan(queue, fault) : rc;
}
