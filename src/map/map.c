/* SPDX-License-Identifier: Apache-2.0 */
#include "map/map.h"

#include "map/map_priv.h"
#include "sys/trace.h"

enum { KEY_MAX_BYTES = 64 * 1024 };

/* clang-format off */
static const struct map_driver *const drivers[] = {
	&map_driver_btree,
#ifdef HAVE_CDB
	&map_driver_cdb,
#endif
	&map_driver_cidr,
	&map_driver_debug,
	&map_driver_environ,
	&map_driver_fail,
	&map_driver_hash,
	&map_driver_inline,
	&map_driver_internal,
#ifdef HAVE_LDAP
	&map_driver_ldap,
#endif
	&map_driver_lmdb,
	&map_driver_memcache,
#ifdef HAVE_MYSQL
	&map_driver_mysql,
#endif
	&map_driver_pcre,
#ifdef HAVE_PGSQL
	&map_driver_pgsql,
#endif
	&map_driver_pipemap,
	&map_driver_proxy,
	&map_driver_randmap,
	&map_driver_redis,
	&map_driver_regexp,
	&map_driver_socketmap,
#ifdef HAVE_SQLITE
	&map_driver_sqlite,
#endif
	&map_driver_static,
	&map_driver_tcp,
	&map_driver_texthash,
	&map_driver_unionmap,
	&map_driver_unix,
};

/* Types that this build was made without: the header of their library was not
 * there. */
static const char *const left_out[] = {
#ifndef HAVE_CDB
	"cdb",
#endif
#ifndef HAVE_LDAP
	"ldap",
#endif
#ifndef HAVE_MYSQL
	"mysql",
#endif
#ifndef HAVE_PGSQL
	"pgsql",
#endif
#ifndef HAVE_SQLITE
	"sqlite",
#endif
	NULL,
};
/* clang-format on */

const struct map_driver *map_driver_find(struct span type)
{
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
		if (span_is(type, drivers[i]->type))
			return drivers[i];
	return NULL;
}

char *map_driver_names(TALLOC_CTX *mem, bool can_be_made)
{
	struct buf out;

	buf_init(&out, mem, FAULT_TEXT_MAX_BYTES);
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
		if (can_be_made && drivers[i]->store == NULL)
			continue;
		buf_addf(&out, "%s%s", out.len > 0 ? ", " : "",
			 drivers[i]->type);
	}
	return out.data;
}

static enum rc unknown_type(struct span type, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	for (size_t i = 0; left_out[i] != NULL; i++)
		if (span_is(type, left_out[i]))
			return fault_set(fault, RC_CONF, "4.3.5",
					 "unsupported dictionary type: %s: "
					 "this build was made without the "
					 "headers of its client library",
					 left_out[i]);
	return fault_set(fault, RC_CONF, "4.3.5",
			 "unsupported dictionary type: %.*s (there are %s)",
			 (int)MIN_OF(type.len, (size_t)40), type.ptr,
			 map_driver_names(tmp, false));
}

enum rc map_open(TALLOC_CTX *mem, const struct conf *conf,
		 struct span type_and_name, int flags, struct map **ret_map,
		 struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct span type, name;
	struct map *map;
	enum rc rc;

	if (fault != NULL)
		*fault = (struct fault){ 0 };
	type_and_name = map_text_unbrace(type_and_name);
	if (!map_name_split(type_and_name, &type, &name))
		return fault_set(
			fault, RC_CONF, "4.3.5",
			"open dictionary: expecting \"type:name\" form "
			"instead of \"%.*s\"",
			(int)MIN_OF(type_and_name.len, (size_t)200),
			type_and_name.ptr);
	map = mem_new(tmp, struct map);
	map->driver = map_driver_find(type);
	if (map->driver == NULL)
		return unknown_type(type, fault);
	if (name.len == 0 && (map->driver->can & MAP_NEEDS_NAME))
		return fault_set(
			fault, RC_CONF, "4.3.5",
			"open dictionary: expecting \"type:name\" form "
			"instead of \"%s:\"",
			map->driver->type);
	map->conf = conf;
	map->full_name = mem_span_dup(map, type_and_name);
	map->name = mem_span_dup(map, name);
	map->flags = flags;
	map->pattern = (map->driver->can & MAP_PATTERN) != 0;
	rc = map->driver->open(map, fault);
	if (rc != RC_OK)
		return rc;
	*ret_map = talloc_steal(mem, map);
	return RC_OK;
}

/* The same, while somebody listens. */
static enum rc lookup_traced(struct map *map, TALLOC_CTX *mem, struct span key,
			     struct span *ret_value, struct fault *fault)
{
	struct trace *trace = trace_current();
	struct fault own = { 0 };
	struct span value = { "", 0 };
	bool stood_in;
	enum rc rc;

	stood_in = trace_stand_in(mem, TRACE_TABLE, map->full_name, key, &value,
				  &rc);
	if (!stood_in) {
		trace->depth++;
		rc = map->driver->lookup(map, mem, key, &value, &own);
		trace->depth--;
	} else if (rc != RC_OK && rc != RC_NONE) {
		fault_set(&own, rc, "4.3.0", "%.*s", SPAN_FMT(value));
	}
	trace_answer(TRACE_TABLE, map->full_name, key, rc,
		     rc == RC_OK ? value : span_from(own.text), stood_in);
	if (rc == RC_OK)
		*ret_value = value;
	else if (rc != RC_NONE && fault != NULL)
		*fault = own;
	if (rc != RC_OK && rc != RC_NONE)
		fault_add(fault, "table %s", map->full_name);
	return rc;
}

enum rc map_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
		   struct span *ret_value, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = NULL;
	char small[256];
	enum rc rc;

	if (key.len > KEY_MAX_BYTES)
		return RC_NONE;
	if ((map->flags & MAP_FOLD) && !map->pattern) {
		if (2 * key.len > sizeof(small))
			tmp = talloc_new(mem);
		key = map_fold(tmp, key, small, sizeof(small));
	}
	if (trace_current() != NULL)
		return lookup_traced(map, mem, key, ret_value, fault);
	rc = map->driver->lookup(map, mem, key, ret_value, fault);
	if (rc != RC_OK && rc != RC_NONE)
		fault_add(fault, "table %s", map->full_name);
	return rc;
}

enum rc map_each(struct map *map, map_each_fn *each, void *arg,
		 struct fault *fault)
{
	if (map->driver->each == NULL)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "table %s cannot be listed", map->full_name);
	return map->driver->each(map, each, arg, fault);
}

bool map_is_pattern(const struct map *map)
{
	return map->pattern;
}

const char *map_name(const struct map *map)
{
	return map->full_name;
}

bool map_needs_restart(const struct map *map)
{
	return map->driver->needs_restart != NULL &&
	       map->driver->needs_restart(map);
}
