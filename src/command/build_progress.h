/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_progress - the line that says how far the build of a table is; on a
 * terminal only.
 *
 * Shape    hash:access: 4,210,688 lines read, 42 %, 1,310,000/s, 5 s left
 */
#pragma once

#include "command/terminal.h"
#include "map/map_build.h"

struct build_progress {
	struct terminal terminal;
	struct span table;
	uint64_t start_ms; /* of the phase */
	int phase;	   /* -1: none yet */
};

void build_progress_init(struct build_progress *progress, struct span table);
/* As map_build_progress_fn. */
void build_progress_show(void *progress, const struct map_build_progress *now);
void build_progress_end(struct build_progress *progress);
