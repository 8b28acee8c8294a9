/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map_duplicates - lines of a source whose key was there before, said in the
 * order of their numbers.
 *
 * Shape    /etc/postfix/access, line 5: duplicate entry: "key" (line 2 counts)
 * Limits   DUPLICATES_MAX are kept; what is more is said at once
 * Owner    a child of mem
 */
#pragma once

#include "map/map_build.h"

enum { DUPLICATES_MAX = 10000 };

struct map_duplicates;

/* With MAP_BUILD_IGNORE_DUP nothing is said. */
struct map_duplicates *
map_duplicates_new(TALLOC_CTX *mem, const struct map_build_options *options);
/* winner_line 0: not known. */
void map_duplicates_add(struct map_duplicates *duplicates, const char *source,
			unsigned int line, unsigned int winner_line,
			struct span key);
void map_duplicates_say(struct map_duplicates *duplicates);
