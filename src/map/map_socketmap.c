/* SPDX-License-Identifier: Apache-2.0 */
/* socketmap: netstrings with "name key" and "OK value"; see
 * socketmap_table(5). */
#include "map/map_client.h"
#include "map/map_priv.h"

enum { CONNECT_MS = 30 * 1000, IO_MS = 100 * 1000, IDLE_MS = 10 * 1000 };

struct socketmap {
	const char *name; /* of the table at the server */
	size_t query_max, reply_max;
	struct map_client *client;
};

struct question {
	const struct socketmap *map;
	struct span key;
	struct span *ret_value;
};

static enum rc socketmap_ask(void *arg, struct wire *wire)
{
	const struct question *question = arg;
	const struct socketmap *map = question->map;
	enum rc rc = socketmap_request_write(wire, map->name, question->key);

	if (rc != RC_OK)
		return rc;
	return socketmap_reply_read(wire, map->reply_max, question->ret_value);
}

static enum rc socketmap_lookup(struct map *map, TALLOC_CTX *mem,
				struct span key, struct span *ret_value,
				struct fault *fault)
{
	const struct socketmap *socketmap = map->state;
	struct question question = { socketmap, key, ret_value };

	if (strlen(socketmap->name) + 1 + key.len > socketmap->query_max)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "query of more than %zu bytes "
				 "(socketmap_max_query_size)",
				 socketmap->query_max);
	return map_client_ask(socketmap->client, mem, socketmap_ask, &question,
			      fault);
}

static enum rc socketmap_open(struct map *map, struct fault *fault)
{
	static const struct map_client_options options = {
		.connect_ms = CONNECT_MS,
		.io_ms = IO_MS,
		.idle_ms = IDLE_MS,
	};
	struct socketmap *socketmap = mem_new(map, struct socketmap);
	struct span text = span_from(map->name);
	ssize_t colon = span_rfind(text, ':');
	struct span server = span_take(text, colon < 0 ? 0 : (size_t)colon);

	if (!span_starts(server, "inet:") && !span_starts(server, "unix:"))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "open %s: need socketmap:inet:host:port:name "
				 "or socketmap:unix:path:name",
				 map->full_name);
	socketmap->name = map->name + colon + 1;
	socketmap->query_max = (size_t)map->conf->v.socketmap_max_query_size;
	socketmap->reply_max = (size_t)map->conf->v.socketmap_max_reply_size;
	socketmap->client = map_client_new(socketmap, &options);
	map->state = socketmap;
	if (map_client_add(socketmap->client, server, 0, fault) != RC_OK)
		return fault_add(fault, "open %s", map->full_name);
	return RC_OK;
}

const struct map_driver map_driver_socketmap = {
	.type = "socketmap",
	.can = MAP_SHARED_BY_THREADS | MAP_PATTERN | MAP_NEEDS_NAME,
	.open = socketmap_open,
	.lookup = socketmap_lookup,
};
