/* SPDX-License-Identifier: Apache-2.0 */
/* mysql: MariaDB and MySQL, through MariaDB's client library. */
#include <errmsg.h>
#include <mysql.h>
#include <mysqld_error.h>

#include "map/db_client.h"
#include "map/sql.h"
#include "map/table_conf.h"
#include "sys/library.h"

#define MYSQL_CALLS(CALL)                            \
	CALL(mysql_client, mysql_close)              \
	CALL(mysql_client, mysql_errno)              \
	CALL(mysql_client, mysql_error)              \
	CALL(mysql_client, mysql_fetch_lengths)      \
	CALL(mysql_client, mysql_fetch_row)          \
	CALL(mysql_client, mysql_field_count)        \
	CALL(mysql_client, mysql_free_result)        \
	CALL(mysql_client, mysql_get_socket)         \
	CALL(mysql_client, mysql_init)               \
	CALL(mysql_client, mysql_next_result)        \
	CALL(mysql_client, mysql_num_fields)         \
	CALL(mysql_client, mysql_options)            \
	CALL(mysql_client, mysql_real_connect)       \
	CALL(mysql_client, mysql_real_escape_string) \
	CALL(mysql_client, mysql_real_query)         \
	CALL(mysql_client, mysql_server_init)        \
	CALL(mysql_client, mysql_store_result)

struct mysql_client {
	MYSQL_CALLS(LIBRARY_MEMBER)
};

static const struct library_call calls[] = { MYSQL_CALLS(LIBRARY_ROW) };

/* Its own start is not safe in many threads. */
static void library_prepare(void *table)
{
	const struct mysql_client *client = table;

	client->mysql_server_init(0, NULL, NULL);
}

static const struct library library = { "libmariadb.so.3", "libmariadb3", calls,
					ARRAY_LEN(calls), library_prepare };

struct map_mysql {
	struct table_conf_mysql conf;
	struct mysql_client client;
	struct sql sql;
	struct map_hosts *hosts;
};

struct connection {
	const struct map_mysql *map;
	MYSQL *my;
	const char *host;
};

static int connection_close(struct connection *c)
{
	c->map->client.mysql_close(c->my);
	return 0;
}

static enum rc connection_fault(const struct connection *c, const char *what,
				struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const struct mysql_client *client = &c->map->client;

	return fault_set(fault, RC_TEMP, "4.3.0", "host %s: %s%s (%u)", c->host,
			 what, db_message(tmp, client->mysql_error(c->my)),
			 client->mysql_errno(c->my));
}

static void text_option(struct connection *c, enum mysql_option option,
			const char *text)
{
	if (text != NULL && text[0] != '\0')
		c->map->client.mysql_options(c->my, option, text);
}

/* Whoever sets something about TLS wants it, and nothing less. */
static void tls_options(struct connection *c)
{
	const struct table_conf_mysql *conf = &c->map->conf;
	const struct {
		enum mysql_option option;
		const char *text;
	} texts[] = {
		{ MYSQL_OPT_SSL_KEY, conf->tls_key_file },
		{ MYSQL_OPT_SSL_CERT, conf->tls_cert_file },
		{ MYSQL_OPT_SSL_CA, conf->tls_CAfile },
		{ MYSQL_OPT_SSL_CAPATH, conf->tls_CApath },
		{ MYSQL_OPT_SSL_CIPHER, conf->tls_ciphers },
	};
	my_bool verify = conf->tls_verify_cert, enforce = verify;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		text_option(c, texts[i].option, texts[i].text);
		enforce |= texts[i].text != NULL && texts[i].text[0] != '\0';
	}
	if (!enforce)
		return;
	c->map->client.mysql_options(c->my, MYSQL_OPT_SSL_ENFORCE, &enforce);
	c->map->client.mysql_options(c->my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT,
				     &verify);
}

static void options_set(struct connection *c)
{
	const struct mysql_client *client = &c->map->client;
	const struct table_conf_mysql *conf = &c->map->conf;
	unsigned int connect_s = DB_CONNECT_MS / 1000;
	unsigned int answer_s = DB_ANSWER_MS / 1000;

	client->mysql_options(c->my, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
	client->mysql_options(c->my, MYSQL_OPT_READ_TIMEOUT, &answer_s);
	client->mysql_options(c->my, MYSQL_OPT_WRITE_TIMEOUT, &answer_s);
	text_option(c, MYSQL_READ_DEFAULT_FILE, conf->option_file);
	text_option(c, MYSQL_READ_DEFAULT_GROUP, conf->option_group);
	text_option(c, MYSQL_SET_CHARSET_NAME, conf->charset);
	tls_options(c);
}

static const char *text_or_null(const char *text)
{
	return text[0] == '\0' ? NULL : text;
}

static enum rc mysql_connect_host(void *arg, const char *host,
				  void **ret_connection, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct map_mysql *m = arg;
	struct connection *c = mem_new(tmp, struct connection);
	struct db_address address;
	uint64_t port = 0;

	c->map = m;
	c->host = mem_strdup(c, host);
	db_address_parse(tmp, host, &address);
	if (address.port[0] != '\0' &&
	    !span_to_u64(span_from(address.port), 65535, &port))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "host %s: the port is no number up to 65535",
				 host);
	c->my = m->client.mysql_init(NULL);
	if (c->my == NULL)
		return fault_set(fault, RC_TEMP, "4.3.0", "out of memory");
	talloc_set_destructor(c, connection_close);
	options_set(c);
	if (m->client.mysql_real_connect(
		    c->my, address.path != NULL ? NULL : address.host,
		    text_or_null(m->conf.user), text_or_null(m->conf.password),
		    m->conf.dbname, (unsigned int)port, address.path,
		    CLIENT_MULTI_RESULTS) == NULL)
		return connection_fault(c, "connect: ", fault);
	*ret_connection = talloc_steal(NULL, c);
	return RC_OK;
}

static bool mysql_is_good(void *connection)
{
	struct connection *c = connection;

	return db_is_quiet((int)c->map->client.mysql_get_socket(c->my));
}

static bool quote(void *arg, struct span raw, struct buf *out)
{
	struct connection *c = arg;
	unsigned long len;

	if (!buf_reserve(out, 2 * raw.len + 1))
		return true; /* out->full tells */
	len = c->map->client.mysql_real_escape_string(
		c->my, out->data + out->len, raw.ptr, raw.len);
	if (len == (unsigned long)-1)
		return false;
	out->len += len;
	return true;
}

/* Another server may do better: the connection is lost, or the server is busy
 * or ends. Any other error is about this query. */
static bool is_host_error(unsigned int number)
{
	static const unsigned int numbers[] = {
		ER_CON_COUNT_ERROR,
		ER_OUT_OF_RESOURCES,
		ER_SERVER_SHUTDOWN,
		ER_NORMAL_SHUTDOWN,
		ER_ABORTING_CONNECTION,
		ER_NET_READ_ERROR,
		ER_NET_READ_INTERRUPTED,
		ER_NET_ERROR_ON_WRITE,
		ER_NET_WRITE_INTERRUPTED,
		ER_NEW_ABORTING_CONNECTION,
		ER_TOO_MANY_USER_CONNECTIONS,
		ER_CONNECTION_KILLED,
		ER_OUTOFMEMORY,
		ER_DISK_FULL,
	};

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (number == numbers[i])
			return true;
	return number >= CR_MIN_ERROR && number <= CR_MAX_ERROR;
}

static enum rc query_fault(struct connection *c, bool *ret_broken,
			   struct fault *fault)
{
	*ret_broken |= is_host_error(c->map->client.mysql_errno(c->my));
	return connection_fault(c, "query: ", fault);
}

static enum rc rows_add(struct connection *c, MYSQL_RES *rows,
			struct sql_answer *answer, struct fault *fault)
{
	const struct mysql_client *client = &c->map->client;
	unsigned int columns = client->mysql_num_fields(rows);
	enum rc rc = RC_OK;
	MYSQL_ROW row;

	while (rc == RC_OK && (row = client->mysql_fetch_row(rows)) != NULL) {
		unsigned long *lengths = client->mysql_fetch_lengths(rows);

		for (unsigned int i = 0; i < columns && rc == RC_OK; i++)
			rc = sql_answer_add(answer, row[i], lengths[i], fault);
	}
	return rc;
}

/* The current result. *ret_tables counts those that are tables of rows. */
static enum rc result_take(struct connection *c, struct sql_answer *answer,
			   int *ret_tables, bool *ret_broken,
			   struct fault *fault)
{
	const struct mysql_client *client = &c->map->client;
	MYSQL_RES *rows = client->mysql_store_result(c->my);
	enum rc rc = RC_OK;

	if (rows == NULL) {
		if (client->mysql_field_count(c->my) == 0)
			return RC_OK;
		*ret_broken = true;
		return connection_fault(c, "query: ", fault);
	}
	if (++*ret_tables == 1)
		rc = rows_add(c, rows, answer, fault);
	client->mysql_free_result(rows);
	return rc;
}

/* All results must be taken, or the connection cannot be used again. */
static enum rc results_take(struct connection *c, struct sql_answer *answer,
			    bool *ret_broken, struct fault *fault)
{
	int tables = 0, more = 0;
	enum rc rc = RC_OK;

	while (more == 0) {
		struct fault why = { 0 };
		enum rc taken =
			result_take(c, answer, &tables, ret_broken, &why);

		if (rc == RC_OK && taken != RC_OK) {
			rc = taken;
			*fault = why;
		}
		if (*ret_broken)
			return rc;
		more = c->map->client.mysql_next_result(c->my);
	}
	if (more > 0)
		return query_fault(c, ret_broken, fault);
	if (rc != RC_OK)
		return rc;
	if (tables > 1)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "host %s: the query gives more than one table "
				 "of results",
				 c->host);
	if (tables == 0 && c->map->conf.require_result_set)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "host %s: the query gives no table of results "
				 "(require_result_set = yes)",
				 c->host);
	return RC_OK;
}

static enum rc mysql_ask(void *question, void *connection, bool *ret_broken,
			 struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct sql_answer *answer = question;
	struct connection *c = connection;
	const struct query_quote quoting = { quote, c };
	struct span query;
	enum rc rc;

	rc = sql_query(answer->sql, tmp, answer->key, &quoting, &query, fault);
	if (rc != RC_OK)
		return rc;
	sql_answer_begin(answer);
	if (c->map->client.mysql_real_query(c->my, query.ptr, query.len) != 0)
		return query_fault(c, ret_broken, fault);
	return results_take(c, answer, ret_broken, fault);
}

static enum rc map_mysql_lookup(struct map *map, TALLOC_CTX *mem,
				struct span key, struct span *ret_value,
				struct fault *fault)
{
	struct map_mysql *m = map->state;

	return sql_lookup(&m->sql, m->hosts, mysql_ask, mem, key, ret_value,
			  fault);
}

static const struct map_hosts_kind hosts_kind = { mysql_connect_host,
						  mysql_is_good };

static enum rc map_mysql_open(struct map *map, struct fault *fault)
{
	struct map_mysql *m = mem_new(map, struct map_mysql);
	const struct table_conf_mysql *c = &m->conf;
	enum rc rc;

	map->state = m;
	rc = table_conf_load(m, map, &m->conf, fault);
	if (rc == RC_OK)
		rc = sql_open(map, &(struct sql_settings)SQL_SETTINGS(c, NULL),
			      &m->sql, fault);
	if (rc == RC_OK)
		rc = library_load(&library, &m->client, fault);
	if (rc != RC_OK)
		return rc;
	return db_hosts_open(
		map,
		&(struct db_hosts_settings){ .hosts = c->hosts,
					     .flags = MAP_HOSTS_SPREAD,
					     .idle_s = c->idle_interval,
					     .retry_s = c->retry_interval,
					     .kind = &hosts_kind,
					     .arg = m },
		&m->hosts, fault);
}

const struct map_driver map_driver_mysql = {
	.type = "mysql",
	.can = MAP_SHARED_BY_THREADS | MAP_NEEDS_NAME,
	.open = map_mysql_open,
	.lookup = map_mysql_lookup,
};
