/* SPDX-License-Identifier: Apache-2.0 */
/*
 * requeue - a message goes back to the maildrop, so that it is rewritten and
 * filtered anew. pickup takes it up from there under a new id.
 *
 * Holds    on RC_OK the file is on stable storage, whole, under its final name
 * Errors   RC_TEMP I/O; RC_PERM it cannot be written as a maildrop file
 * Owner    a child of mem, with a descriptor of its own
 * Threads  requeue_write on any one thread
 */
#pragma once

#include "queue/store.h"

struct requeue {
	const char *queue_id;
	struct envelope *env; /* without recipients that are done */
	int fd;
	uint64_t offset;
};

/* `fd` is duplicated; entry->env is stolen. */
MUST_CHECK enum rc requeue_new(TALLOC_CTX *mem, int fd, uint64_t offset,
			       const char *queue_id, struct store_entry *entry,
			       struct requeue **ret_requeue,
			       struct fault *fault);
/* Blocks. The working directory is the queue directory. */
MUST_CHECK enum rc requeue_write(struct requeue *requeue, struct fault *fault);
