/* SPDX-License-Identifier: Apache-2.0 */
/* Tables without a file: static, fail, internal, environ, inline. */
#include "map/map_priv.h"

#include "map/mem_table.h"

static enum rc nothing_open(struct map *map, struct fault *fault)
{
	return RC_OK;
}

static enum rc static_open(struct map *map, struct fault *fault)
{
	struct span text = span_trim(span_from(map->name));

	if (!map_text_braces_are_whole(text))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "bad syntax: \"%s\"; need \"static:text\" or "
				 "\"static:{text with blanks}\"",
				 map->full_name);
	text = map_text_unbrace(text);
	map->state = mem_span_dup(map, text);
	return RC_OK;
}

static enum rc static_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
			     struct span *ret_value, struct fault *fault)
{
	*ret_value = span_from(mem_strdup(mem, map->state));
	return RC_OK;
}

const struct map_driver map_driver_static = {
	.type = "static",
	.can = MAP_SHARED_BY_THREADS | MAP_PATTERN | MAP_NEEDS_NAME,
	.open = static_open,
	.lookup = static_lookup,
};

static enum rc fail_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
			   struct span *ret_value, struct fault *fault)
{
	return fault_set(fault, RC_TEMP, "4.3.0", "made to fail");
}

const struct map_driver map_driver_fail = {
	.type = "fail",
	.can = MAP_SHARED_BY_THREADS | MAP_PATTERN | MAP_NEEDS_NAME,
	.open = nothing_open,
	.lookup = fail_lookup,
};

static enum rc internal_lookup(struct map *map, TALLOC_CTX *mem,
			       struct span key, struct span *ret_value,
			       struct fault *fault)
{
	return RC_NONE; /* nobody ever adds to it */
}

const struct map_driver map_driver_internal = {
	.type = "internal",
	.can = MAP_SHARED_BY_THREADS | MAP_NEEDS_NAME,
	.open = nothing_open,
	.lookup = internal_lookup,
};

static enum rc environ_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
			      struct span *ret_value, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	const char *value;

	if (span_find(key, '\0') >= 0)
		return RC_NONE;
	value = getenv(mem_span_dup(tmp, key));
	if (value == NULL)
		return RC_NONE;
	*ret_value = span_from(mem_strdup(mem, value));
	return RC_OK;
}

const struct map_driver map_driver_environ = {
	.type = "environ",
	.can = MAP_SHARED_BY_THREADS | MAP_NEEDS_NAME,
	.open = nothing_open,
	.lookup = environ_lookup,
};

/* "{ name = value }" or "name=value" into the table. */
static enum rc inline_add(struct map *map, struct mem_table *table,
			  struct span element, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(map);
	struct span key, value = map_text_unbrace(element);
	ssize_t equals = span_find(value, '=');

	if (!map_text_braces_are_whole(element))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "syntax error after '}' in \"%.*s\": \"%s\"; "
				 "need \"inline:{name=value...}\"",
				 (int)MIN_OF(element.len, (size_t)100),
				 element.ptr, map->full_name);
	key = equals < 0 ? SPAN_OF("")
			 : span_trim(span_take(value, (size_t)equals));
	if (key.len == 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "%s: expected name=value instead of \"%.*s\"",
				 map->full_name,
				 (int)MIN_OF(value.len, (size_t)100),
				 value.ptr);
	value = span_trim(span_skip(value, (size_t)equals + 1));
	if (map->flags & MAP_FOLD)
		key = map_fold(tmp, key, NULL, 0);
	if (mem_table_set(table, key, value) == MEM_FULL)
		return fault_set(fault, RC_CONF, "4.3.5", "%.100s: too large",
				 map->full_name);
	return RC_OK;
}

static enum rc inline_open(struct map *map, struct fault *fault)
{
	struct mem_table *table = mem_table_new(map);
	struct span rest = span_trim(span_from(map->name)), element;
	enum rc rc;

	if (!span_starts(rest, "{") || !span_ends(rest, "}"))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "bad syntax: \"%s\"; need "
				 "\"inline:{name=value...}\"",
				 map->full_name);
	rest = map_text_unbrace(rest);
	while ((rc = map_text_next(&rest, &element, fault)) == RC_OK) {
		rc = inline_add(map, table, element, fault);
		if (rc != RC_OK)
			return rc;
	}
	if (rc != RC_NONE)
		return fault_add(fault, "%s", map->full_name);
	if (mem_table_count(table) == 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "empty table: \"%s\"; need "
				 "\"inline:{name=value...}\"",
				 map->full_name);
	map->state = table;
	return RC_OK;
}

static enum rc inline_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
			     struct span *ret_value, struct fault *fault)
{
	struct span value;

	if (!mem_table_find(map->state, key, &value))
		return RC_NONE;
	*ret_value = mem_span_copy(mem, value);
	return RC_OK;
}

static enum rc inline_each(struct map *map, map_each_fn *each, void *arg,
			   struct fault *fault)
{
	struct span key, value;
	enum rc rc = RC_OK;

	for (size_t i = 0; rc == RC_OK && i < mem_table_count(map->state);
	     i++) {
		mem_table_at(map->state, i, &key, &value);
		rc = each(arg, key, value, fault);
	}
	return rc;
}

const struct map_driver map_driver_inline = {
	.type = "inline",
	.can = MAP_SHARED_BY_THREADS | MAP_NEEDS_NAME,
	.open = inline_open,
	.lookup = inline_lookup,
	.each = inline_each,
};
