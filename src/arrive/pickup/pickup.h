/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pickup - takes mail that local users left in the maildrop into the queue.
 *
 * Holds    a file goes away only when its message is on stable storage. What
 *          cannot be taken now is tried again; what is no mail file is moved to
 *          corrupt/ and logged; what is refused for good is queued to bounce.
 * Threads  one
 */
#pragma once

#include "conf/conf.h"
#include "rule/cleanup.h"

struct pickup {
	struct conf *conf;
	struct cleanup_service *cleanup;
	int maildrop_fd, corrupt_fd; /* directories */
	/* Taken, but still there: never to be taken again. */
	const char **stuck;
	size_t stuck_count;
};

enum pickup_outcome {
	PICKUP_TAKEN,
	PICKUP_SKIPPED, /* not complete yet, gone, or put away */
	PICKUP_LATER,	/* try again */
};

/* One file of the maildrop. */
enum pickup_outcome pickup_file(struct pickup *pickup, const char *name);
