/* SPDX-License-Identifier: Apache-2.0 */
/*
 * show - a snapshot as a list of names and texts, for tools that print it.
 */
#pragma once

#include "conf/conf.h"
#include "conf/param.h"

struct conf_item {
	const char *name;
	const char *text; /* as written in main.cf or -o; NULL: not set */
	const struct param_def *def; /* NULL: a name of the user's */
	int line;		     /* of main.cf; 0: not from there */
	bool used; /* by a declared parameter, a line of master.cf, ... */
};

/* Every declared and every user's name, in the order of their names. */
void conf_items(TALLOC_CTX *mem, const struct conf *conf,
		const struct master_table *table, struct conf_item **ret_items,
		size_t *ret_count);
/* The declared name nearest to a misspelt one; NULL when none is near. */
const char *conf_nearest_name(struct span name);
/* Letters to insert, drop, change or swap to make b of a; more than `limit` is
 * limit + 1. */
int conf_name_distance(struct span a, const char *b, int limit);
/* How many of them still are a slip of the pen. */
int conf_name_distance_limit(struct span name);
/* "<service><suffix>" of a line of master.cf; of any service without table. */
bool conf_is_service_name(const char *name, const struct master_table *table);
