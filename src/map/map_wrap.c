/* SPDX-License-Identifier: Apache-2.0 */
/* Another table with something around it: proxy and debug. */
#include "map/map_priv.h"

#include "sys/log.h"

/* Is "proxy:NAME" one of the words of the list? */
static bool is_listed(struct span list, struct span name)
{
	struct span word;

	while (span_token(&list, ", \t\r\n{}", &word)) {
		if (!span_starts(word, "proxy:"))
			continue;
		while (span_starts(word, "proxy:"))
			word = span_skip(word, strlen("proxy:"));
		if (span_eq(word, name))
			return true;
	}
	return false;
}

/* There is no proxy process here, and one would not make anything safer; but a
 * table that is refused elsewhere is refused here. */
enum rc map_proxy_approve(const struct conf *conf, struct span name,
			  bool to_change, struct fault *fault)
{
	const char *list =
		to_change ? conf->v.proxy_write_maps : conf->v.proxy_read_maps;

	while (span_starts(name, "proxy:"))
		name = span_skip(name, strlen("proxy:"));
	if (is_listed(span_from(list), name))
		return RC_OK;
	return fault_set(fault, RC_CONF, "4.3.5",
			 "proxymap service is not configured for table "
			 "\"%.*s\"; to approve this table for %s access, list "
			 "proxy:%.*s in main.cf:%s",
			 (int)MIN_OF(name.len, (size_t)150), name.ptr,
			 to_change ? "read-write" : "read-only",
			 (int)MIN_OF(name.len, (size_t)150), name.ptr,
			 to_change ? "proxy_write_maps" : "proxy_read_maps");
}

static enum rc inner_open(struct map *map, struct fault *fault)
{
	struct map *inner;
	enum rc rc;

	rc = map_open(map, map->conf, span_from(map->name), map->flags, &inner,
		      fault);
	if (rc != RC_OK)
		return rc;
	map->pattern = inner->pattern;
	map->state = inner;
	return RC_OK;
}

static enum rc proxy_open(struct map *map, struct fault *fault)
{
	enum rc rc = map_proxy_approve(map->conf, span_from(map->name), false,
				       fault);

	return rc == RC_OK ? inner_open(map, fault) : rc;
}

static enum rc proxy_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
			    struct span *ret_value, struct fault *fault)
{
	struct map *inner = map->state;

	return inner->driver->lookup(inner, mem, key, ret_value, fault);
}

static enum rc inner_each(struct map *map, map_each_fn *each, void *arg,
			  struct fault *fault)
{
	return map_each(map->state, each, arg, fault);
}

static bool inner_needs_restart(const struct map *map)
{
	return map_needs_restart(map->state);
}

static enum rc debug_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
			    struct span *ret_value, struct fault *fault)
{
	struct fault why = { 0 };
	enum rc rc = map_lookup(map->state, mem, key, ret_value, &why);

	if (rc == RC_OK)
		log_info("%s lookup: \"%.*s\" = \"%.*s\"", map->name,
			 SPAN_FMT(key), SPAN_FMT(*ret_value));
	else if (rc == RC_NONE)
		log_info("%s lookup: \"%.*s\" = not_found", map->name,
			 SPAN_FMT(key));
	else
		log_info("%s lookup: \"%.*s\" = error: %s", map->name,
			 SPAN_FMT(key), why.text);
	if (fault != NULL && rc != RC_OK && rc != RC_NONE)
		*fault = why;
	return rc;
}

const struct map_driver map_driver_proxy = {
	.type = "proxy",
	.can = MAP_SHARED_BY_THREADS | MAP_NEEDS_NAME,
	.open = proxy_open,
	.lookup = proxy_lookup,
	.each = inner_each,
	.needs_restart = inner_needs_restart,
};

const struct map_driver map_driver_debug = {
	.type = "debug",
	.can = MAP_SHARED_BY_THREADS | MAP_NEEDS_NAME,
	.open = inner_open,
	.lookup = debug_lookup,
	.each = inner_each,
	.needs_restart = inner_needs_restart,
};
