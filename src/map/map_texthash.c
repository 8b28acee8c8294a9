/* SPDX-License-Identifier: Apache-2.0 */
/* A source text, read into memory as it is. */
#include "map/map_watch.h"
#include "map/mem_table.h"
#include "map/table_source.h"

/* A table being read. */
struct reading {
	struct map *map;
	struct mem_table *table;
	struct table_warn warn;
};

static enum rc texthash_add(struct reading *r, struct span line,
			    unsigned int number, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *name = r->map->name;
	struct span key, value;

	if (!table_line_split(&r->warn, name, number, line, &key, &value))
		return RC_OK;
	if (r->map->flags & MAP_FOLD)
		key = map_fold(tmp, key, NULL, 0);
	switch (mem_table_add(r->table, key, value)) {
	case MEM_ADDED:
		return RC_OK;
	case MEM_DUPLICATE: /* the first of equal keys counts */
		table_warn(&r->warn, "%s, line %u: duplicate entry: \"%s\"",
			   name, number, table_text_shown(tmp, key));
		return RC_OK;
	default:
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "%s, line %u: table too large", name, number);
	}
}

static enum rc texthash_load(struct map *map, const char *path, int fd,
			     void **ret_table, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct table_source *source = table_source_new(tmp, path, fd);
	struct reading r = { map, mem_table_new(tmp), table_warn_to_log() };
	struct span line;
	unsigned int number;
	enum rc rc;

	while ((rc = table_source_next(source, &line, &number, fault)) ==
	       RC_OK) {
		rc = texthash_add(&r, line, number, fault);
		if (rc != RC_OK)
			return rc;
	}
	if (rc != RC_NONE)
		return rc;
	*ret_table = talloc_steal(NULL, r.table);
	return RC_OK;
}

static enum rc texthash_open(struct map *map, struct fault *fault)
{
	struct map_watch *watch;
	enum rc rc =
		map_watch_open(map, map->name, 0, texthash_load, &watch, fault);

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
