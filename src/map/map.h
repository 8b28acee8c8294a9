/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map - lookup tables: "type:name", and lists of them.
 *
 * Keys     fixed-key tables fold the key to lower case themselves (MAP_FOLD);
 *          pattern tables (map_is_pattern) get one query with the whole string
 * Errors   RC_NONE not found; RC_TEMP the table cannot answer now ("try later",
 *          never "no match"); RC_CONF it cannot be opened: text says which
 *          table, file and line. An open that fails at run time gives a map
 *          whose every lookup is RC_TEMP (map_open_or_broken).
 * Owner    a map is a child of mem; an answer belongs to the lookup's mem
 * Threads  a map may be used by many threads at once
 */
#pragma once

#include "conf/conf.h"

struct map;

enum map_flags {
	MAP_FOLD = 1,	/* fold keys to lower case (fixed-key tables) */
	MAP_SECURE = 2, /* no $1 in results (local delivery) */
};

/* Bad lines are skipped and logged. RC_OK with a text in *fault: open, but one of
 * its settings is odd. */
MUST_CHECK enum rc map_open(TALLOC_CTX *mem, const struct conf *conf,
			    struct span type_and_name, int flags,
			    struct map **ret_map, struct fault *fault);
/* Never fails: a table that cannot be opened answers RC_TEMP and is tried again
 * now and then. *fault (zeroed by the caller, may be NULL) says why, unless it
 * already has a text. */
struct map *map_open_or_broken(TALLOC_CTX *mem, const struct conf *conf,
			       struct span type_and_name, int flags,
			       struct fault *fault);
MUST_CHECK enum rc map_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
			      struct span *ret_value, struct fault *fault);
bool map_is_pattern(const struct map *map);
const char *map_name(const struct map *map); /* "hash:/etc/postfix/access" */
/* The file has changed and this process may not open it any more (it gave up
 * its rights since): the old content is in use. A process that can be started
 * again should end when it is idle. */
bool map_needs_restart(const struct map *map);

/* A list of tables, searched in order; the first hit wins. An empty list finds
 * nothing. A table that cannot be opened makes RC_TEMP of each lookup that gets
 * as far as it, and one warning in *fault at open: RC_OK with a text there
 * (RC_CONF is returned only when the list itself is malformed). */
struct maps;

MUST_CHECK enum rc maps_open(TALLOC_CTX *mem, const struct conf *conf,
			     const char *parameter, const char *text, int flags,
			     struct maps **ret_maps, struct fault *fault);
bool maps_is_empty(const struct maps *maps);
size_t maps_count(const struct maps *maps);
struct map *maps_at(const struct maps *maps, size_t i);
MUST_CHECK enum rc maps_lookup(struct maps *maps, TALLOC_CTX *mem,
			       struct span key, struct span *ret_value,
			       struct fault *fault);
bool maps_needs_restart(const struct maps *maps);

/* The types there are, "cidr, hash, ...": those that can be made only, or all. */
char *map_driver_names(TALLOC_CTX *mem, bool can_be_made);
