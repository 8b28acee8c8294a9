/* SPDX-License-Identifier: Apache-2.0 */
/* Tables made of tables: unionmap, pipemap, randmap. */
#include "map/map_priv.h"

#include <sys/random.h>

struct compose {
	size_t count;
	struct map **maps;
	struct span *texts; /* randmap */
};

/* The elements of "{a, b}", at least one. */
static enum rc compose_each(struct map *map,
			    enum rc (*add)(struct map *map, struct compose *c,
					   struct span element,
					   struct fault *fault),
			    struct fault *fault)
{
	struct compose *c = mem_new(map, struct compose);
	struct span rest = span_trim(span_from(map->name)), element;
	enum rc rc;

	map->state = c;
	if (!span_starts(rest, "{") || !span_ends(rest, "}"))
		rest = SPAN_OF("");
	rest = map_text_unbrace(rest);
	while ((rc = map_text_next(&rest, &element, fault)) == RC_OK) {
		rc = add(map, c, element, fault);
		if (rc != RC_OK)
			return rc;
	}
	if (rc == RC_NONE && c->count > 0)
		return RC_OK;
	return fault_set(fault, RC_CONF, "4.3.5",
			 "bad syntax: \"%s\"; need \"%s:{...}\"",
			 map->full_name, map->driver->type);
}

static enum rc add_map(struct map *map, struct compose *c, struct span element,
		       struct fault *fault)
{
	struct map *inner;
	enum rc rc;

	rc = map_open(c, map->conf, element, map->flags, &inner, fault);
	if (rc != RC_OK)
		return rc;
	c->maps = mem_resize(c, c->maps, struct map *, c->count + 1);
	c->maps[c->count++] = inner;
	/* One member that wants the whole string makes all of it want it. */
	map->pattern |= inner->pattern;
	return RC_OK;
}

static enum rc maps_only_open(struct map *map, struct fault *fault)
{
	return compose_each(map, add_map, fault);
}

static enum rc union_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
			    struct span *ret_value, struct fault *fault)
{
	struct compose *c = map->state;
	struct span value;
	struct buf out;

	buf_init(&out, mem, 1024 * 1024);
	for (size_t i = 0; i < c->count; i++) {
		enum rc rc = map_lookup(c->maps[i], mem, key, &value, fault);

		if (rc == RC_NONE)
			continue;
		if (rc != RC_OK)
			return rc;
		if (out.data != NULL)
			buf_add_char(&out, ',');
		buf_add(&out, value);
	}
	if (out.full)
		return fault_set(fault, RC_TEMP, "4.3.0", "result too large");
	if (out.data == NULL)
		return RC_NONE;
	*ret_value = buf_span(&out);
	return RC_OK;
}

static enum rc pipe_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
			   struct span *ret_value, struct fault *fault)
{
	struct compose *c = map->state;

	for (size_t i = 0; i < c->count; i++) {
		enum rc rc = map_lookup(c->maps[i], mem, key, &key, fault);

		if (rc != RC_OK)
			return rc;
	}
	*ret_value = key;
	return RC_OK;
}

static enum rc add_text(struct map *map, struct compose *c, struct span element,
			struct fault *fault)
{
	c->texts = mem_resize(c, c->texts, struct span, c->count + 1);
	c->texts[c->count++] = map_text_unbrace(element);
	return RC_OK;
}

static enum rc rand_open(struct map *map, struct fault *fault)
{
	return compose_each(map, add_text, fault);
}

static enum rc rand_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
			   struct span *ret_value, struct fault *fault)
{
	struct compose *c = map->state;
	uint64_t dice;

	if (getrandom(&dice, sizeof(dice), 0) != sizeof(dice))
		return fault_set(fault, RC_TEMP, "4.3.0", "random number: %m");
	*ret_value = mem_span_copy(mem, c->texts[dice % c->count]);
	return RC_OK;
}

static bool any_needs_restart(const struct map *map)
{
	const struct compose *c = map->state;

	for (size_t i = 0; i < c->count; i++)
		if (map_needs_restart(c->maps[i]))
			return true;
	return false;
}

const struct map_driver map_driver_unionmap = {
	.type = "unionmap",
	.can = MAP_SHARED_BY_THREADS | MAP_NEEDS_NAME,
	.open = maps_only_open,
	.lookup = union_lookup,
	.needs_restart = any_needs_restart,
};

const struct map_driver map_driver_pipemap = {
	.type = "pipemap",
	.can = MAP_SHARED_BY_THREADS | MAP_NEEDS_NAME,
	.open = maps_only_open,
	.lookup = pipe_lookup,
	.needs_restart = any_needs_restart,
};

const struct map_driver map_driver_randmap = {
	.type = "randmap",
	.can = MAP_SHARED_BY_THREADS | MAP_PATTERN | MAP_NEEDS_NAME,
	.open = rand_open,
	.lookup = rand_lookup,
};
