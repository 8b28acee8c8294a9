/* SPDX-License-Identifier: Apache-2.0 */
#include "map/map_priv.h"

#include <pthread.h>

#include "base/clock.h"

enum { REOPEN_EVERY_MS = 1000 };

/* A table that could not be opened, and is tried again now and then. */
struct broken {
	pthread_mutex_t lock;
	const char *text; /* type:name */
	int flags;
	uint64_t next_try_ms;
	struct fault fault;
	struct map *map; /* a tree without a parent; NULL: still broken */
};

static int broken_close(struct broken *broken)
{
	pthread_mutex_destroy(&broken->lock);
	talloc_free(broken->map);
	return 0;
}

static struct map *broken_try(struct map *map, struct fault *fault)
{
	struct broken *broken = map->state;
	uint64_t now_ms = clock_mono_ms();
	struct map *answer;

	pthread_mutex_lock(&broken->lock);
	if (broken->map == NULL && now_ms >= broken->next_try_ms) {
		broken->next_try_ms = now_ms + REOPEN_EVERY_MS;
		if (map_open(NULL, map->conf, span_from(broken->text),
			     broken->flags, &broken->map,
			     &broken->fault) != RC_OK)
			broken->map = NULL;
	}
	answer = broken->map;
	if (answer == NULL)
		fault_set(fault, RC_TEMP, "4.3.0", "%s", broken->fault.text);
	pthread_mutex_unlock(&broken->lock);
	return answer;
}

static enum rc broken_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
			     struct span *ret_value, struct fault *fault)
{
	struct map *opened = broken_try(map, fault);

	if (opened == NULL)
		return RC_TEMP;
	return map_lookup(opened, mem, key, ret_value, fault);
}

static const struct map_driver map_driver_broken = {
	.type = "broken",
	.can = MAP_SHARED_BY_THREADS,
	.lookup = broken_lookup,
};

/* Which kind it would be decides how callers ask. */
static bool is_pattern_type(struct span text)
{
	const struct map_driver *driver;
	struct span type, name;

	if (!map_name_split(text, &type, &name))
		return false;
	driver = map_driver_find(type);
	return driver != NULL && (driver->can & MAP_PATTERN);
}

static struct map *broken_new(TALLOC_CTX *mem, const struct conf *conf,
			      struct span text, int flags,
			      const struct fault *why)
{
	struct map *map = mem_new(mem, struct map);
	struct broken *broken = mem_new(map, struct broken);

	map->driver = &map_driver_broken;
	map->conf = conf;
	map->full_name = mem_span_dup(map, text);
	map->name = "";
	map->pattern = is_pattern_type(text);
	map->state = broken;
	pthread_mutex_init(&broken->lock, NULL);
	broken->text = map->full_name;
	broken->flags = flags;
	broken->fault = *why;
	broken->next_try_ms = clock_mono_ms() + REOPEN_EVERY_MS;
	talloc_set_destructor(broken, broken_close);
	return map;
}

struct map *map_open_or_broken(TALLOC_CTX *mem, const struct conf *conf,
			       struct span type_and_name, int flags,
			       struct fault *fault)
{
	struct fault why = { 0 };
	struct map *map;

	if (map_open(mem, conf, type_and_name, flags, &map, &why) != RC_OK)
		map = broken_new(mem, conf, map_text_unbrace(type_and_name),
				 flags, &why);
	if (fault != NULL && fault->text[0] == '\0')
		*fault = why; /* a warning, when the map is open */
	return map;
}

struct maps {
	const char *parameter;
	size_t count;
	struct map **list;
};

static enum rc maps_add(struct maps *maps, const struct conf *conf,
			struct span element, int flags, struct fault *fault)
{
	struct span type, name;

	element = map_text_unbrace(element);
	if (!map_name_split(element, &type, &name))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "parameter %s: expecting \"type:name\" form "
				 "instead of \"%.*s\"",
				 maps->parameter,
				 (int)MIN_OF(element.len, (size_t)200),
				 element.ptr);
	maps->list =
		mem_resize(maps, maps->list, struct map *, maps->count + 1);
	maps->list[maps->count++] =
		map_open_or_broken(maps, conf, element, flags, fault);
	return RC_OK;
}

enum rc maps_open(TALLOC_CTX *mem, const struct conf *conf,
		  const char *parameter, const char *text, int flags,
		  struct maps **ret_maps, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct maps *maps = mem_new(tmp, struct maps);
	struct span rest, element;
	struct fault unused;
	enum rc rc;

	if (fault == NULL)
		fault = &unused;
	*fault = (struct fault){ 0 };
	maps->parameter = mem_strdup(maps, parameter);
	rest = span_from(mem_strdup(maps, text == NULL ? "" : text));
	while ((rc = map_text_next(&rest, &element, fault)) == RC_OK) {
		rc = maps_add(maps, conf, element, flags, fault);
		if (rc != RC_OK)
			return rc;
	}
	if (rc != RC_NONE)
		return fault_add(fault, "parameter %s", parameter);
	*ret_maps = talloc_steal(mem, maps);
	return RC_OK;
}

bool maps_is_empty(const struct maps *maps)
{
	return maps == NULL || maps->count == 0;
}

size_t maps_count(const struct maps *maps)
{
	return maps == NULL ? 0 : maps->count;
}

struct map *maps_at(const struct maps *maps, size_t i)
{
	return maps->list[i];
}

enum rc maps_lookup(struct maps *maps, TALLOC_CTX *mem, struct span key,
		    struct span *ret_value, struct fault *fault)
{
	for (size_t i = 0; i < maps_count(maps); i++) {
		enum rc rc =
			map_lookup(maps->list[i], mem, key, ret_value, fault);

		if (rc != RC_NONE)
			return rc;
	}
	return RC_NONE;
}

bool maps_needs_restart(const struct maps *maps)
{
	for (size_t i = 0; i < maps_count(maps); i++)
		if (map_needs_restart(maps->list[i]))
			return true;
	return false;
}
