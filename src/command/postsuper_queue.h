/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postsuper_queue - the operations of postsuper, through qmgr when one runs and
 * on the files when none does.
 *
 * Errors   RC_NONE no such message in these queues, or nothing to change
 */
#pragma once

#include "conf/conf.h"
#include "queue/wire.h"

struct super_queue;

/* RC_TEMP: the queue is managed by a process that does not answer. */
MUST_CHECK enum rc super_queue_open(TALLOC_CTX *mem, const struct conf *conf,
				    struct super_queue **ret_queue,
				    struct fault *fault);
/* `queues`: a list of names that ends in NULL; empty: all. id "ALL" or one.
 * *ret_count: messages changed. */
MUST_CHECK enum rc super_queue_apply(struct super_queue *queue,
				     enum admin_action action, const char *id,
				     char *const *queues, uint32_t *ret_count,
				     struct fault *fault);
/* -s and -p; with a running qmgr there is nothing to do. */
MUST_CHECK enum rc super_queue_repair(struct super_queue *queue,
				      struct fault *fault);
