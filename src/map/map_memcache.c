/* SPDX-License-Identifier: Apache-2.0 */
/* memcache: the text protocol of memcached, in front of a table that lasts;
 * see memcache_table(5). */
#include <time.h>

#include "map/map_client.h"
#include "map/map_priv.h"
#include "map/query.h"
#include "map/table_conf.h"
#include "sys/log.h"

enum { PORT = 11211, KEY_MAX_BYTES = 4096 };

struct memcache {
	struct table_conf_memcache conf;
	struct memcache_limits limits;
	struct query_template *key_format;
	struct query_rules *rules;
	struct map_client *client;
	struct map *backup; /* or NULL */
};

struct question {
	const struct memcache *memcache;
	struct span line;  /* the command */
	struct span key;   /* get */
	struct span value; /* set, add: sent after the line */
	bool has_value;
	const char *done, *not_done; /* NULL: get */
	struct span *ret_value;
	bool was_lost; /* sent, and then no answer */
};

static enum rc command_send(const struct question *question, struct wire *wire)
{
	enum rc rc =
		net_stream_write(wire->stream, question->line, wire->fault);

	if (rc == RC_OK && question->has_value)
		rc = net_stream_write(wire->stream, question->value,
				      wire->fault);
	if (rc == RC_OK && question->has_value)
		rc = net_stream_write(wire->stream, SPAN_OF("\r\n"),
				      wire->fault);
	return rc;
}

static enum rc memcache_ask(void *arg, struct wire *wire)
{
	struct question *question = arg;
	const struct memcache_limits *limits = &question->memcache->limits;
	enum rc rc = command_send(question, wire);

	if (rc == RC_OK && question->done != NULL)
		rc = memcache_status_read(wire, limits, question->done,
					  question->not_done);
	else if (rc == RC_OK)
		rc = memcache_value_read(wire, question->key, limits,
					 question->ret_value);
	question->was_lost = net_stream_trouble(wire->stream) != NET_FINE;
	return rc;
}

static void pause_s(int seconds)
{
	nanosleep(&(struct timespec){ .tv_sec = seconds }, NULL);
}

/* A command that was sent and got no answer is sent again; one that nobody took
 * is not. */
static enum rc run(const struct memcache *memcache, TALLOC_CTX *mem,
		   struct question *question, struct fault *fault)
{
	enum rc rc = RC_TEMP;

	question->memcache = memcache;
	for (int try = 0; try < memcache->conf.max_try; try++) {
		if (try > 0)
			pause_s(memcache->conf.retry_pause);
		question->was_lost = false;
		rc = map_client_ask(memcache->client, mem, memcache_ask,
				    question, fault);
		if (!question->was_lost)
			break;
	}
	return rc;
}

/* The server's name for the key; RC_NONE: it can have none. */
static enum rc key_make(const struct memcache *memcache, TALLOC_CTX *mem,
			struct span key, struct span *ret_key,
			struct fault *fault)
{
	struct buf out;
	enum rc rc = query_rules_allow(memcache->rules, key, fault);

	if (rc != RC_OK)
		return rc;
	buf_init(&out, mem, KEY_MAX_BYTES);
	rc = query_template_expand(memcache->key_format, key, key, NULL, &out);
	if (rc != RC_OK)
		return rc;
	*ret_key = buf_span(&out);
	return !out.full && memcache_key_is_possible(*ret_key) ? RC_OK
							       : RC_NONE;
}

static enum rc cache_get(const struct memcache *memcache, TALLOC_CTX *mem,
			 struct span name, struct span *ret_value,
			 struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct question question = { .key = name, .ret_value = ret_value };

	question.line =
		span_from(mem_printf(tmp, "get %.*s\r\n", SPAN_FMT(name)));
	return run(memcache, mem, &question, fault);
}

static enum rc cache_put(const struct memcache *memcache, struct span name,
			 struct span value, bool replace, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct question question = { .value = value,
				     .has_value = true,
				     .done = "STORED",
				     .not_done = "NOT_STORED" };

	question.line = span_from(mem_printf(
		tmp, "%s %.*s %d %d %zu\r\n", replace ? "set" : "add",
		SPAN_FMT(name), memcache->conf.flags, memcache->conf.ttl,
		value.len));
	return run(memcache, tmp, &question, fault);
}

static enum rc memcache_lookup(struct map *map, TALLOC_CTX *mem,
			       struct span key, struct span *ret_value,
			       struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct memcache *memcache = map->state;
	struct span name = SPAN("");
	struct fault why = { 0 };
	enum rc rc = key_make(memcache, tmp, key, &name, fault), cached;

	/* What is not of `domain` is not asked for anywhere. */
	if (rc != RC_OK && (rc != RC_NONE || name.len == 0))
		return rc;
	cached = rc == RC_OK ? cache_get(memcache, mem, name, ret_value, &why)
			     : RC_NONE;
	if (cached == RC_OK || memcache->backup == NULL) {
		if (cached != RC_OK && cached != RC_NONE && fault != NULL)
			*fault = why;
		return cached;
	}
	rc = map_lookup(memcache->backup, mem, key, ret_value, fault);
	/* The next one may find it there; if not, the backup has it. */
	if (rc == RC_OK && cached == RC_NONE && name.len > 0 &&
	    memcache_key_is_possible(name) &&
	    cache_put(memcache, name, *ret_value, true, &why) == RC_TEMP)
		log_debug("%s: %s", map->full_name, why.text);
	return rc;
}

static enum rc cannot_be_key(const struct map *map, struct span key,
			     struct fault *fault)
{
	return fault_set(fault, RC_CONF, "4.3.5",
			 "%s: \"%.*s\" cannot be a key: at most 250 bytes "
			 "without blanks, as key_format and domain have it",
			 map->full_name, (int)MIN_OF(key.len, (size_t)100),
			 key.ptr);
}

/* Change the table behind. */
static enum rc backup_writer(const struct memcache *memcache, TALLOC_CTX *mem,
			     int flags, struct map_writer **ret_writer,
			     struct fault *fault)
{
	const struct map_build_options options = {
		.flags = flags | MAP_BUILD_INCREMENTAL | MAP_BUILD_NO_FOLD
	};

	return map_writer_open(mem, memcache->backup->conf,
			       span_from(memcache->backup->full_name), NULL,
			       &options, ret_writer, fault);
}

static enum rc backup_put(const struct memcache *memcache, struct span key,
			  struct span value, bool replace, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct map_writer *writer;
	enum rc rc = backup_writer(
		memcache, tmp, replace ? MAP_BUILD_REPLACE : 0, &writer, fault);

	if (rc == RC_OK)
		rc = map_writer_put_as_is(writer, key, value, fault);
	return rc == RC_OK ? map_writer_commit(writer, fault) : rc;
}

static enum rc backup_erase(const struct memcache *memcache, struct span key,
			    struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct map_writer *writer;
	enum rc rc = backup_writer(memcache, tmp, 0, &writer, fault);

	if (rc == RC_OK)
		rc = map_writer_delete(writer, key, fault);
	return rc == RC_OK ? map_writer_commit(writer, fault) : rc;
}

static enum rc memcache_put(struct map *map, struct span key, struct span value,
			    bool replace, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct memcache *memcache = map->state;
	struct span name;
	enum rc rc = key_make(memcache, tmp, key, &name, fault);

	if (rc == RC_NONE)
		return cannot_be_key(map, key, fault);
	/* The lasting one decides; a cache that has no more than a part is
	 * never right where it says that there is none. */
	if (rc == RC_OK && memcache->backup != NULL)
		rc = backup_put(memcache, key, value, replace, fault);
	if (rc == RC_OK)
		rc = cache_put(memcache, name, value,
			       replace || memcache->backup != NULL, fault);
	if (rc != RC_OK && rc != RC_NONE)
		return fault_add(fault, "table %s", map->full_name);
	return rc;
}

static enum rc memcache_erase(struct map *map, struct span key,
			      struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct memcache *memcache = map->state;
	struct question question = { .done = "DELETED",
				     .not_done = "NOT_FOUND" };
	struct span name;
	enum rc rc = key_make(memcache, tmp, key, &name, fault);
	enum rc behind;

	if (rc == RC_OK) {
		question.line = span_from(
			mem_printf(tmp, "delete %.*s\r\n", SPAN_FMT(name)));
		rc = run(memcache, tmp, &question, fault);
	}
	if (rc != RC_OK && rc != RC_NONE)
		return fault_add(fault, "table %s", map->full_name);
	if (memcache->backup == NULL)
		return rc;
	behind = backup_erase(memcache, key, fault);
	return behind == RC_NONE ? rc : behind;
}

static enum rc memcache_each(struct map *map, map_each_fn *each, void *arg,
			     struct fault *fault)
{
	struct memcache *memcache = map->state;

	if (memcache->backup == NULL)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "%s: to list it, it needs a backup",
				 map->full_name);
	return map_each(memcache->backup, each, arg, fault);
}

static enum rc client_open(struct memcache *memcache, struct fault *fault)
{
	const struct table_conf_memcache *conf = &memcache->conf;
	int pause_ms = conf->retry_pause > 0 ? conf->retry_pause * 1000 : 1;
	const struct map_client_options options = {
		.connect_ms = conf->timeout * 1000,
		.io_ms = conf->timeout * 1000,
		.back_off_ms = pause_ms,
		.back_off_max_ms = pause_ms,
	};
	struct span server = span_from(conf->memcache);

	if (!span_starts(server, "inet:") && !span_starts(server, "unix:"))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "memcache = %s: expecting inet:host:port or "
				 "unix:path",
				 conf->memcache);
	memcache->client = map_client_new(memcache, &options);
	return map_client_add(memcache->client, server, PORT, fault);
}

static enum rc memcache_setup(struct map *map, struct memcache *memcache,
			      struct fault *fault)
{
	const struct table_conf_memcache *conf = &memcache->conf;
	const struct query_settings settings = { .domain = conf->domain };
	enum rc rc = query_template_parse(memcache, conf->key_format,
					  &memcache->key_format, fault);

	if (rc != RC_OK)
		return fault_add(fault, "key_format");
	memcache->limits.line_bytes = (size_t)conf->line_size_limit;
	memcache->limits.data_bytes = (size_t)conf->data_size_limit;
	rc = query_rules_open(memcache, map, &settings, &memcache->rules,
			      fault);
	if (rc == RC_OK)
		rc = client_open(memcache, fault);
	if (rc == RC_OK && conf->backup[0] != '\0') {
		rc = map_open(memcache, map->conf, span_from(conf->backup),
			      map->flags, &memcache->backup, fault);
		if (rc != RC_OK)
			fault_add(fault, "backup");
	}
	return rc;
}

static enum rc memcache_open(struct map *map, struct fault *fault)
{
	struct memcache *memcache = mem_new(map, struct memcache);
	struct fault why = { 0 };
	enum rc rc = table_conf_load(memcache, map, &memcache->conf, fault);

	if (rc != RC_OK)
		return rc;
	/* A warning of the line above is kept. */
	rc = memcache_setup(map, memcache, &why);
	if (rc != RC_OK) {
		if (fault != NULL)
			*fault = why;
		return fault_add(fault, "%s", map->full_name);
	}
	map->pattern = !query_template_has_key(memcache->key_format);
	map->state = memcache;
	return RC_OK;
}

static bool memcache_needs_restart(const struct map *map)
{
	const struct memcache *memcache = map->state;

	return memcache->backup != NULL && map_needs_restart(memcache->backup);
}

const struct map_driver map_driver_memcache = {
	.type = "memcache",
	.can = MAP_SHARED_BY_THREADS | MAP_NEEDS_NAME,
	.open = memcache_open,
	.lookup = memcache_lookup,
	.put = memcache_put,
	.erase = memcache_erase,
	.each = memcache_each,
	.needs_restart = memcache_needs_restart,
};
