/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sql - what tables of SQL databases have in common: the query, given or put
 * together from select_field, table, where_field and additional_conditions.
 *
 * Threads  immutable after open; any thread may use it
 */
#pragma once

#include "map/map_hosts.h"
#include "map/query.h"

struct sql_settings {
	const char *query;	     /* NULL, "": make it of the others */
	const char *select_function; /* NULL, "": make it of the others */
	const char *select_field, *table, *where_field;
	const char *additional_conditions;
	struct query_settings common;
};

/* The members of the same name of a struct table_conf_... */
#define SQL_SETTINGS(c, function)                                       \
	{                                                               \
		.query = (c)->query, .select_function = (function),     \
		.select_field = (c)->select_field, .table = (c)->table, \
		.where_field = (c)->where_field,                        \
		.additional_conditions = (c)->additional_conditions,    \
		.common = { .domain = (c)->domain,                      \
			    .result_format = (c)->result_format,        \
			    .expansion_limit = (c)->expansion_limit },  \
	}

struct sql {
	struct query_template *query;
	struct query_rules *rules;
};

/* Fill *ret_sql, whose members become children of map. */
MUST_CHECK enum rc sql_open(struct map *map,
			    const struct sql_settings *settings,
			    struct sql *ret_sql, struct fault *fault);

enum { SQL_QUERY_MAX_BYTES = 1024 * 1024 };

/* The query for a key, ended by a NUL; RC_NONE: there is nothing to ask. */
MUST_CHECK enum rc sql_query(const struct sql *sql, TALLOC_CTX *mem,
			     struct span key, const struct query_quote *quote,
			     struct span *ret_query, struct fault *fault);

/* The answer that the rows are added to. */
struct sql_answer {
	const struct sql *sql;
	TALLOC_CTX *mem;
	struct span key;
	struct query_answer answer;
};

/* One column; data NULL: SQL's NULL, skipped as empty ones are. */
MUST_CHECK enum rc sql_answer_add(struct sql_answer *answer, const void *data,
				  size_t len, struct fault *fault);

/* Forget what was added; before each attempt to ask. */
void sql_answer_begin(struct sql_answer *answer);
/* A lookup at servers; ask gets the struct sql_answer. */
MUST_CHECK enum rc sql_lookup(const struct sql *sql, struct map_hosts *hosts,
			      map_hosts_ask_fn *ask, TALLOC_CTX *mem,
			      struct span key, struct span *ret_value,
			      struct fault *fault);
