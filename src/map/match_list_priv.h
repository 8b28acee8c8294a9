/* SPDX-License-Identifier: Apache-2.0 */
/*
 * match_list_priv - a list of patterns as it is kept; for match_list*.c only.
 *
 * Files    "/file" in a list is watched. When one has changed the list is read
 *          again from its text and the files, beside the old one; tables stay
 *          open. A change that cannot be read leaves the old list in use.
 * Threads  items are immutable once read, and counted by who uses them; what
 *          else changes is behind the locks of the state
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "map/map_watch.h"
#include "map/match_list.h"
#include "map/mem_table.h"
#include "map/net_pattern.h"

enum item_type { ITEM_NAME, ITEM_NET, ITEM_TABLE };

struct match_item {
	enum item_type type;
	bool negated;
	struct span shown; /* as written */
	struct span name;  /* folded */
	struct net_pattern net;
	struct map *table;
};

/* How names are compared. */
enum match_style {
	MATCH_STRING, /* the whole of it only */
	MATCH_DOT,    /* .domain matches what is below */
	MATCH_PARENT, /* domain matches what is below too */
};

/* A list as it was read. */
struct match_items {
	const char *parameter;
	enum match_style style;
	struct match_item *items;
	size_t count, room;
	bool ordered; /* something is negated: items are asked in order */
	struct mem_table *names; /* else: all names at once */
	uint64_t *file_ages;	 /* what state->files was when it was read */
	size_t file_ages_count;
	int uses; /* under state->lock */
};

/* A "/file" that was met. */
struct match_file {
	const char *path;
	struct map_watch *watch;
};

struct match_state {
	const struct conf *conf;
	const char *parameter, *text;
	enum match_style style;
	struct map *owner; /* of the watches: they want one */
	/* Under check: they only grow. */
	pthread_mutex_t check;
	struct match_file *files;
	size_t file_count;
	struct map **tables;
	size_t table_count;
	/* Under lock: */
	pthread_mutex_t lock;
	struct match_items *items;
	_Atomic uint64_t next_check_ms;
	_Atomic bool has_files;
};

/* Read the text and its files; a tree without a parent. Under check. */
MUST_CHECK enum rc match_items_read(struct match_state *state,
				    struct match_items **ret_items,
				    struct fault *fault);
/* Has a file another content than these were read from? Says so once for each
 * change. Under check. */
MUST_CHECK bool match_items_are_old(const struct match_state *state,
				    struct match_items *items);
