/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table_param - the settings of tables that have a file of settings
 * (pgsql:/etc/postfix/aliases.cf), or names in main.cf that begin with that of
 * the table (pgsql:aliases and aliases_hosts). One declaration for the table,
 * the warnings and the manual.
 *
 * Shape    TABLE_PARAM(type, name, preset, min, max, meaning) in
 *          conf/table_param/TYPE.def; type is STRING, BOOL, INT or TIME; preset
 *          is the default as text, NULL when not to set it is different from
 *          all texts (STRING NULL, INT -1); min and max of a number, of a time
 *          in seconds, of the length of a text; 0: none
 */
#pragma once

#include "base/span.h"

typedef const char *TABLE_PARAM_CTYPE_STRING;
typedef bool TABLE_PARAM_CTYPE_BOOL;
typedef int TABLE_PARAM_CTYPE_INT;
typedef int TABLE_PARAM_CTYPE_TIME; /* seconds */

#define TABLE_PARAM(type, name, preset, min, max, meaning) \
	TABLE_PARAM_CTYPE_##type name;

struct table_conf_ldap {
#include "conf/table_param/ldap.def"
};

struct table_conf_memcache {
#include "conf/table_param/memcache.def"
};

struct table_conf_mysql {
#include "conf/table_param/mysql.def"
};

struct table_conf_pgsql {
#include "conf/table_param/pgsql.def"
};

struct table_conf_redis {
#include "conf/table_param/redis.def"
};

struct table_conf_sqlite {
#include "conf/table_param/sqlite.def"
};

#undef TABLE_PARAM

enum table_param_type {
	TABLE_PARAM_STRING,
	TABLE_PARAM_BOOL,
	TABLE_PARAM_INT,
	TABLE_PARAM_TIME,
};

struct table_param {
	const char *name;
	enum table_param_type type;
	const char *preset;
	long min, max;
	const char *meaning;
	size_t offset; /* in the struct above */
};

struct table_params {
	const char *type; /* "pgsql" */
	const struct table_param *list;
	size_t count;
	size_t size; /* of the struct above */
};

size_t table_params_count(void);
const struct table_params *table_params_at(size_t i);
/* NULL when tables of this type have no settings. */
const struct table_params *table_params_find(struct span type);
/* NULL when there is none of that name. */
const struct table_param *table_param_find(const struct table_params *params,
					   struct span name);
/* The name nearest to a misspelt one; NULL when none is near. */
const char *table_param_nearest(const struct table_params *params,
				struct span name);
