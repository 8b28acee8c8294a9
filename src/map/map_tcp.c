/* SPDX-License-Identifier: Apache-2.0 */
/* tcp: one line with the key, one line with the answer; see tcp_table(5). */
#include "map/map_client.h"
#include "map/map_priv.h"

enum { CONNECT_MS = 30 * 1000, IO_MS = 100 * 1000 };

struct question {
	struct span key;
	struct span *ret_value;
};

static enum rc tcp_ask(void *arg, struct wire *wire)
{
	const struct question *question = arg;
	enum rc rc = tcp_request_write(wire, question->key);

	return rc == RC_OK ? tcp_reply_read(wire, question->ret_value) : rc;
}

static enum rc tcp_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
			  struct span *ret_value, struct fault *fault)
{
	struct question question = { key, ret_value };

	return map_client_ask(map->state, mem, tcp_ask, &question, fault);
}

static enum rc tcp_open(struct map *map, struct fault *fault)
{
	static const struct map_client_options options = {
		.connect_ms = CONNECT_MS,
		.io_ms = IO_MS,
	};
	struct span text = span_from(map->name);

	if (span_starts(text, "unix:") || span_starts(text, "/"))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "open %s: need tcp:host:port", map->full_name);
	map->state = map_client_new(map, &options);
	if (map_client_add(map->state, text, 0, fault) != RC_OK)
		return fault_add(fault, "open %s", map->full_name);
	return RC_OK;
}

const struct map_driver map_driver_tcp = {
	.type = "tcp",
	.can = MAP_SHARED_BY_THREADS | MAP_PATTERN | MAP_NEEDS_NAME,
	.open = tcp_open,
	.lookup = tcp_lookup,
};
