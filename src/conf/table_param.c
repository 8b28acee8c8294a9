/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/table_param.h"

#include "conf/show.h"

#define TABLE_PARAM(type, name, preset, min, max, meaning)        \
	{ #name,   TABLE_PARAM_##type,		preset, min, max, \
	  meaning, offsetof(struct TABLE, name) },

#define TABLE table_conf_ldap
static const struct table_param ldap[] = {
#include "conf/table_param/ldap.def"
};
#undef TABLE

#define TABLE table_conf_memcache
static const struct table_param memcache[] = {
#include "conf/table_param/memcache.def"
};
#undef TABLE

#define TABLE table_conf_mysql
static const struct table_param mysql[] = {
#include "conf/table_param/mysql.def"
};
#undef TABLE

#define TABLE table_conf_pgsql
static const struct table_param pgsql[] = {
#include "conf/table_param/pgsql.def"
};
#undef TABLE

#define TABLE table_conf_redis
static const struct table_param redis[] = {
#include "conf/table_param/redis.def"
};
#undef TABLE

#define TABLE table_conf_sqlite
static const struct table_param sqlite[] = {
#include "conf/table_param/sqlite.def"
};
#undef TABLE

#define TYPE(name)                                                             \
	{                                                                      \
#name, name, ARRAY_LEN(name), sizeof(struct table_conf_##name) \
	}

static const struct table_params types[] = {
	TYPE(ldap),
	TYPE(memcache),
	TYPE(mysql),
	TYPE(pgsql),
	TYPE(redis),
	TYPE(sqlite),
};

size_t table_params_count(void)
{
	return ARRAY_LEN(types);
}

const struct table_params *table_params_at(size_t i)
{
	return &types[i];
}

const struct table_params *table_params_find(struct span type)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (span_is(type, types[i].type))
			return &types[i];
	return NULL;
}

const struct table_param *table_param_find(const struct table_params *params,
					   struct span name)
{
	for (size_t i = 0; i < params->count; i++)
		if (span_is(name, params->list[i].name))
			return &params->list[i];
	return NULL;
}

const char *table_param_nearest(const struct table_params *params,
				struct span name)
{
	int limit = conf_name_distance_limit(name);
	const char *nearest = NULL;

	for (size_t i = 0; i < params->count; i++) {
		const char *other = params->list[i].name;
		int found = conf_name_distance(name, other, limit);

		if (found <= limit) {
			nearest = other;
			limit = found - 1;
		}
	}
	return nearest;
}
