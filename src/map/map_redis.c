/* SPDX-License-Identifier: Apache-2.0 */
/* redis: GET for lookups; SET and DEL where the table is changed, with an
 * expiry when the settings have a ttl. */
#include "map/map_client.h"
#include "map/map_priv.h"
#include "map/query.h"
#include "map/table_conf.h"
#include "net/tls.h"

enum { PORT = 6379, KEY_MAX_BYTES = 128 * 1024, WORDS_MAX = 6 };

struct redis {
	struct table_conf_redis conf;
	struct query_template *key_format;
	struct query_rules *rules;
	struct map_client *client;
	struct tls_client *tls; /* NULL: in clear */
};

/* The server's certificate is demanded and checked before anything is said. */
static enum rc redis_tls(const struct redis *redis, TALLOC_CTX *mem,
			 const struct net_endpoint *endpoint,
			 struct net_stream *stream, struct fault *fault)
{
	char report[TLS_REPORT_BYTES] = "";
	const char *name = redis->conf.tls_server_name[0] != '\0'
				   ? redis->conf.tls_server_name
				   : endpoint->host;
	struct tls_policy policy = {
		.level = TLS_SECURE,
		.strength = { .protocols = ">=TLSv1.2" },
		.servername = name,
		.match = &name,
		.match_count = 1,
		.ret_report = report,
	};
	struct span rest, why;
	struct tls *tls;
	enum rc rc = tls_connect(mem, redis->tls, &policy, stream,
				 endpoint->text, &tls, fault);

	rest = span_from(report);
	if (rc != RC_OK && rest.len > 0 && span_cut(&rest, '\n', &why))
		return fault_set(fault, RC_TEMP, "4.7.5", "%.*s",
				 SPAN_FMT(why));
	return rc;
}

/* "+OK", or why not. */
static enum rc ok_read(struct wire *wire, const char *what)
{
	struct redis_reply reply;
	enum rc rc = redis_reply_read(wire, 0, &reply);

	if (rc == RC_OK &&
	    (reply.type != REDIS_STATUS || !span_is(reply.text, "OK")))
		rc = fault_set(wire->fault, RC_TEMP, "4.3.0", "odd reply");
	return rc == RC_OK ? RC_OK : fault_add(wire->fault, "%s", what);
}

static enum rc log_in(const struct redis *redis, struct wire *wire)
{
	struct span words[3] = { SPAN("AUTH") };
	size_t count = 1;
	enum rc rc;

	if (redis->conf.password[0] == '\0')
		return RC_OK;
	if (redis->conf.user[0] != '\0')
		words[count++] = span_from(redis->conf.user);
	words[count++] = span_from(redis->conf.password);
	rc = redis_command_write(wire, words, count);
	return rc == RC_OK ? ok_read(wire, "log in") : rc;
}

static enum rc database_choose(const struct redis *redis, struct wire *wire)
{
	struct span words[2] = { SPAN("SELECT") };
	char number[16];
	enum rc rc;

	if (redis->conf.database == 0)
		return RC_OK;
	snprintf(number, sizeof(number), "%d", redis->conf.database);
	words[1] = span_from(number);
	rc = redis_command_write(wire, words, 2);
	return rc == RC_OK ? ok_read(wire, "choose the database") : rc;
}

static enum rc redis_greet(void *arg, TALLOC_CTX *mem,
			   const struct net_endpoint *endpoint,
			   struct net_stream *stream, struct fault *fault)
{
	const struct redis *redis = arg;
	struct wire wire = { .mem = mem, .stream = stream, .fault = fault };
	enum rc rc = RC_OK;

	if (redis->tls != NULL)
		rc = redis_tls(redis, mem, endpoint, stream, fault);
	if (rc == RC_OK)
		rc = log_in(redis, &wire);
	return rc == RC_OK ? database_choose(redis, &wire) : rc;
}

struct question {
	struct span words[WORDS_MAX];
	size_t count, max;
	struct redis_reply reply;
};

static enum rc redis_ask(void *arg, struct wire *wire)
{
	struct question *question = arg;
	enum rc rc =
		redis_command_write(wire, question->words, question->count);

	if (rc != RC_OK)
		return rc;
	return redis_reply_read(wire, question->max, &question->reply);
}

static enum rc run(struct redis *redis, TALLOC_CTX *mem,
		   struct question *question, struct fault *fault)
{
	question->max = (size_t)redis->conf.data_size_limit;
	return map_client_ask(redis->client, mem, redis_ask, question, fault);
}

/* The server's name for the key; RC_NONE: it can have none. */
static enum rc key_make(const struct redis *redis, TALLOC_CTX *mem,
			struct span key, struct span *ret_key,
			struct fault *fault)
{
	struct buf out;
	enum rc rc = query_rules_allow(redis->rules, key, fault);

	if (rc != RC_OK)
		return rc;
	buf_init(&out, mem, KEY_MAX_BYTES);
	rc = query_template_expand(redis->key_format, key, key, NULL, &out);
	if (rc != RC_OK)
		return rc;
	if (out.full)
		return fault_set(fault, RC_TEMP, "4.3.0", "key too long");
	*ret_key = buf_span(&out);
	return RC_OK;
}

static enum rc odd_reply(struct fault *fault)
{
	return fault_set(fault, RC_TEMP, "4.3.0",
			 "the server answers with another type of reply");
}

static enum rc redis_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
			    struct span *ret_value, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct redis *redis = map->state;
	struct question question = { .words = { SPAN("GET") }, .count = 2 };
	struct query_answer answer;
	enum rc rc = key_make(redis, tmp, key, &question.words[1], fault);

	if (rc == RC_OK)
		rc = run(redis, tmp, &question, fault);
	if (rc != RC_OK)
		return rc;
	if (question.reply.type == REDIS_NIL)
		return RC_NONE;
	if (question.reply.type != REDIS_TEXT)
		return odd_reply(fault);
	query_answer_init(&answer, mem);
	rc = query_answer_add(redis->rules, key, question.reply.text, &answer,
			      fault);
	if (rc != RC_OK)
		return rc;
	return query_answer_end(redis->rules, &answer, ret_value, fault);
}

static enum rc no_such_key(const struct map *map, struct span key,
			   struct fault *fault)
{
	return fault_set(fault, RC_CONF, "4.3.5",
			 "%s: key_format and domain leave no name for the key "
			 "\"%.*s\"",
			 map->full_name, (int)MIN_OF(key.len, (size_t)100),
			 key.ptr);
}

static enum rc redis_put(struct map *map, struct span key, struct span value,
			 bool replace, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct redis *redis = map->state;
	struct question question = { .words = { SPAN("SET") }, .count = 3 };
	enum rc rc = key_make(redis, tmp, key, &question.words[1], fault);

	if (rc == RC_NONE)
		return no_such_key(map, key, fault);
	question.words[2] = value;
	if (redis->conf.ttl > 0) {
		question.words[question.count++] = SPAN_OF("EX");
		question.words[question.count++] =
			span_from(mem_printf(tmp, "%d", redis->conf.ttl));
	}
	if (!replace)
		question.words[question.count++] = SPAN_OF("NX");
	if (rc == RC_OK)
		rc = run(redis, tmp, &question, fault);
	if (rc != RC_OK)
		return fault_add(fault, "table %s", map->full_name);
	if (question.reply.type == REDIS_NIL)
		return RC_NONE; /* NX: it is there */
	return question.reply.type == REDIS_STATUS ? RC_OK : odd_reply(fault);
}

static enum rc redis_erase(struct map *map, struct span key,
			   struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct redis *redis = map->state;
	struct question question = { .words = { SPAN("DEL") }, .count = 2 };
	enum rc rc = key_make(redis, tmp, key, &question.words[1], fault);

	if (rc == RC_OK)
		rc = run(redis, tmp, &question, fault);
	if (rc == RC_NONE)
		return rc;
	if (rc != RC_OK)
		return fault_add(fault, "table %s", map->full_name);
	if (question.reply.type != REDIS_NUMBER)
		return odd_reply(fault);
	return question.reply.number > 0 ? RC_OK : RC_NONE;
}

static enum rc redis_tls_open(const struct map *map, struct redis *redis,
			      struct fault *fault)
{
	const struct table_conf_redis *conf = &redis->conf;
	struct tls_config config;

	if (!conf->tls)
		return RC_OK;
	tls_config_load(map->conf, "smtp", true, &config);
	config.prefix = "redis";
	config.chain_files = NULL;
	config.cert_file = conf->tls_cert_file;
	config.key_file = conf->tls_key_file[0] != '\0' ? conf->tls_key_file
							: conf->tls_cert_file;
	config.dcert_file = config.dkey_file = NULL;
	config.eccert_file = config.eckey_file = NULL;
	config.ca_file = conf->tls_ca_file;
	config.ca_path = conf->tls_ca_path;
	config.append_default_ca =
		conf->tls_ca_file[0] == '\0' && conf->tls_ca_path[0] == '\0';
	config.trust_anchor_files = NULL;
	config.sessions = false;
	return tls_client_open(redis, &config, &redis->tls, fault);
}

static enum rc hosts_add(struct redis *redis, struct fault *fault)
{
	const struct table_conf_redis *conf = &redis->conf;
	const struct map_client_options options = {
		.connect_ms = conf->timeout * 1000,
		.io_ms = conf->timeout * 1000,
		.idle_ms = conf->idle_interval * 1000,
		.back_off_max_ms = conf->retry_interval * 1000,
		.greet = redis_greet,
		.arg = redis,
	};
	struct span rest = span_from(conf->hosts), host;
	bool any = false;

	redis->client = map_client_new(redis, &options);
	while (span_token(&rest, ", \t\r\n", &host)) {
		enum rc rc = map_client_add(redis->client, host, PORT, fault);

		if (rc != RC_OK)
			return fault_add(fault, "hosts");
		any = true;
	}
	return any ? RC_OK
		   : fault_set(fault, RC_CONF, "4.3.5", "hosts is empty");
}

static enum rc redis_setup(struct map *map, struct redis *redis,
			   struct fault *fault)
{
	const struct query_settings settings = {
		.domain = redis->conf.domain,
		.result_format = redis->conf.result_format,
	};
	enum rc rc = query_template_parse(redis, redis->conf.key_format,
					  &redis->key_format, fault);

	if (rc != RC_OK)
		return fault_add(fault, "key_format");
	rc = query_rules_open(redis, map, &settings, &redis->rules, fault);
	if (rc == RC_OK)
		rc = hosts_add(redis, fault);
	return rc == RC_OK ? redis_tls_open(map, redis, fault) : rc;
}

static enum rc redis_open(struct map *map, struct fault *fault)
{
	struct redis *redis = mem_new(map, struct redis);
	struct fault why = { 0 };
	enum rc rc = table_conf_load(redis, map, &redis->conf, fault);

	if (rc != RC_OK)
		return rc;
	/* A warning of the line above is kept. */
	rc = redis_setup(map, redis, &why);
	if (rc != RC_OK) {
		if (fault != NULL)
			*fault = why;
		return fault_add(fault, "%s", map->full_name);
	}
	map->pattern = !query_template_has_key(redis->key_format);
	map->state = redis;
	return RC_OK;
}

const struct map_driver map_driver_redis = {
	.type = "redis",
	.can = MAP_SHARED_BY_THREADS | MAP_NEEDS_NAME,
	.open = redis_open,
	.lookup = redis_lookup,
	.put = redis_put,
	.erase = redis_erase,
};
