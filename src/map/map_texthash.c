/* SPDX-License-Identifier: Apache-2.0 */
/* A source text, read into memory as it is. */
#include "map/map_watch.h"
#include "map/mem_table.h"
#include "map/table_source.h"

static enum rc texthash_add(struct map *map, struct mem_table *table,
			    struct span line, unsigned int number,
			    struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	static const struct table_warn quiet = { NULL, NULL };
	struct span key, value;

	if (!table_line_split(&quiet, map->name, number, line, &key, &value))
		return RC_OK;
	if (map->flags & MAP_FOLD)
		key = map_fold(tmp, key, NULL, 0);
	if (mem_table_add(table, key, value) != MEM_FULL)
		return RC_OK; /* the first of equal keys counts */
	return fault_set(fault, RC_TEMP, "4.3.0", "%s, line %u: table too large",
			 map->name, number);
}

static enum rc texthash_load(struct map *map, const char *path, int fd,
			     void **ret_table, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct table_source *source = table_source_new(tmp, path, fd);
	struct mem_table *table = mem_table_new(tmp);
	struct span line;
	unsigned int number;
	enum rc rc;

	while ((rc = table_source_next(source, &line, &number, fault)) ==
	       RC_OK) {
		rc = texthash_add(map, table, line, number, fault);
		if (rc != RC_OK)
			return rc;
	}
	if (rc != RC_NONE)
		return rc;
	*ret_table = talloc_steal(NULL, table);
	return RC_OK;
}

static enum rc texthash_open(struct map *map, struct fault *fault)
{
	struct map_watch *watch;
	enum rc rc = map_watch_open(map, map->name, 0, texthash_load, &watch,
				    fault);

	if (rc == RC_OK)
		map->state = watch;
	return rc;
}

static enum rc texthash_lookup(struct map *map, TALLOC_CTX *mem,
			       struct span key, struct span *ret_value,
			       struct fault *fault)
{
	struct mem_table *table = map_watch_hold(map->state, fault);
	struct span value;
	bool found;

	if (table == NULL)
		return RC_TEMP;
	found = mem_table_find(table, key, &value);
	if (found)
		*ret_value = mem_span_copy(mem, value);
	map_watch_release(map->state);
	return found ? RC_OK : RC_NONE;
}

static enum rc texthash_each(struct map *map, map_each_fn *each, void *arg,
			     struct fault *fault)
{
	struct mem_table *table = map_watch_hold(map->state, fault);
	struct span key, value;
	enum rc rc = RC_OK;

	if (table == NULL)
		return RC_TEMP;
	for (size_t i = 0; rc == RC_OK && i < mem_table_count(table); i++) {
		mem_table_at(table, i, &key, &value);
		rc = each(arg, key, value, fault);
	}
	map_watch_release(map->state);
	return rc;
}

static bool texthash_needs_restart(const struct map *map)
{
	return map_watch_needs_restart(map->state);
}

const struct map_driver map_driver_texthash = {
	.type = "texthash",
	.can = MAP_SHARED_BY_THREADS | MAP_NEEDS_NAME,
	.open = texthash_open,
	.lookup = texthash_lookup,
	.each = texthash_each,
	.needs_restart = texthash_needs_restart,
};
