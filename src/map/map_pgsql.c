/* SPDX-License-Identifier: Apache-2.0 */
/* pgsql: PostgreSQL, through libpq and never waiting without a limit. */
#include <libpq-fe.h>
#include <poll.h>

#include "base/clock.h"
#include "map/db_client.h"
#include "map/sql.h"
#include "map/table_conf.h"
#include "sys/library.h"

#define PGSQL_CALLS(CALL)                        \
	CALL(pgsql_client, PQclear)              \
	CALL(pgsql_client, PQconninfoFree)       \
	CALL(pgsql_client, PQconninfoParse)      \
	CALL(pgsql_client, PQconnectPoll)        \
	CALL(pgsql_client, PQconnectStartParams) \
	CALL(pgsql_client, PQconsumeInput)       \
	CALL(pgsql_client, PQerrorMessage)       \
	CALL(pgsql_client, PQescapeStringConn)   \
	CALL(pgsql_client, PQfinish)             \
	CALL(pgsql_client, PQflush)              \
	CALL(pgsql_client, PQfreemem)            \
	CALL(pgsql_client, PQgetResult)          \
	CALL(pgsql_client, PQgetisnull)          \
	CALL(pgsql_client, PQgetlength)          \
	CALL(pgsql_client, PQgetvalue)           \
	CALL(pgsql_client, PQisBusy)             \
	CALL(pgsql_client, PQnfields)            \
	CALL(pgsql_client, PQntuples)            \
	CALL(pgsql_client, PQresultErrorField)   \
	CALL(pgsql_client, PQresultErrorMessage) \
	CALL(pgsql_client, PQresultStatus)       \
	CALL(pgsql_client, PQsendQuery)          \
	CALL(pgsql_client, PQsetNoticeReceiver)  \
	CALL(pgsql_client, PQsetnonblocking)     \
	CALL(pgsql_client, PQsocket)             \
	CALL(pgsql_client, PQstatus)

struct pgsql_client {
	PGSQL_CALLS(LIBRARY_MEMBER)
};

static const struct library_call calls[] = { PGSQL_CALLS(LIBRARY_ROW) };

static const struct library library = { "libpq.so.5", "libpq5", calls,
					ARRAY_LEN(calls), NULL };

struct map_pgsql {
	struct table_conf_pgsql conf;
	struct pgsql_client client;
	struct sql sql;
	struct map_hosts *hosts;
};

struct connection {
	const struct pgsql_client *client;
	PGconn *pg;
	const char *host; /* to show */
};

/* Keywords and values for libpq, ended by NULL. */
enum { OPTIONS_MAX = 80 };
struct options {
	const char *names[OPTIONS_MAX + 1];
	const char *values[OPTIONS_MAX + 1];
	size_t count;
};

static void option_add(struct options *o, const char *name, const char *value)
{
	if (value == NULL || value[0] == '\0' || o->count == OPTIONS_MAX)
		return;
	o->names[o->count] = name;
	o->values[o->count++] = value;
}

static bool is_uri(const char *text)
{
	return span_starts(span_from(text), "postgresql://") ||
	       span_starts(span_from(text), "postgres://");
}

static enum rc uri_options(TALLOC_CTX *mem, const struct map_pgsql *m,
			   const char *uri, struct options *o,
			   struct fault *fault)
{
	char *error = NULL;
	PQconninfoOption *list = m->client.PQconninfoParse(uri, &error);

	if (list == NULL) {
		fault_set(fault, RC_CONF, "4.3.5", "hosts: %s",
			  db_message(mem, error));
		m->client.PQfreemem(error);
		return RC_CONF;
	}
	for (PQconninfoOption *i = list; i->keyword != NULL; i++)
		option_add(o, mem_strdup(mem, i->keyword),
			   i->val == NULL ? NULL : mem_strdup(mem, i->val));
	m->client.PQconninfoFree(list);
	return RC_OK;
}

/* A path names the directory of the socket, or the socket itself. */
static void path_options(TALLOC_CTX *mem, const char *path, struct options *o)
{
	const char *name = strrchr(path, '/');
	static const char prefix[] = "/.s.PGSQL.";

	if (strncmp(name, prefix, sizeof(prefix) - 1) != 0) {
		option_add(o, "host", path);
		return;
	}
	option_add(o, "host",
		   mem_span_dup(mem, (struct span){ path, name - path }));
	option_add(o, "port", name + sizeof(prefix) - 1);
}

/* What libpq is to be told; later entries win over earlier ones. */
static enum rc options_make(TALLOC_CTX *mem, const struct map_pgsql *m,
			    const char *host, struct options *o,
			    struct fault *fault)
{
	struct db_address address;

	option_add(o, "user", m->conf.user);
	option_add(o, "password", m->conf.password);
	option_add(o, "fallback_application_name", "postern");
	option_add(o, "client_encoding", m->conf.encoding);
	option_add(o, "dbname", m->conf.dbname);
	if (is_uri(host))
		return uri_options(mem, m, host, o, fault);
	db_address_parse(mem, host, &address);
	if (address.path != NULL) {
		path_options(mem, address.path, o);
	} else {
		option_add(o, "host", address.host);
		option_add(o, "port", address.port);
	}
	return RC_OK;
}

/* The server, without what a URI says besides, such as passwords. */
static char *host_shown(TALLOC_CTX *mem, const char *host)
{
	struct span shown = span_from(host);
	ssize_t at = span_find(shown, '?');

	if (!is_uri(host))
		return mem_strdup(mem, host);
	if (at >= 0)
		shown = span_take(shown, (size_t)at);
	at = span_rfind(shown, '@');
	if (at >= 0)
		shown = span_skip(shown, (size_t)at + 1);
	return mem_span_dup(mem, shown);
}

static int connection_close(struct connection *c)
{
	c->client->PQfinish(c->pg);
	return 0;
}

static void ignore_notice(void *arg, const PGresult *result)
{
}

static enum rc connection_fault(const struct connection *c, const char *what,
				struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	return fault_set(fault, RC_TEMP, "4.3.0", "host %s: %s%s", c->host,
			 what,
			 db_message(tmp, c->client->PQerrorMessage(c->pg)));
}

static enum rc connection_wait(struct connection *c, struct fault *fault)
{
	const struct pgsql_client *client = c->client;
	uint64_t deadline_ms = clock_mono_ms() + DB_CONNECT_MS;
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;

	if (client->PQstatus(c->pg) == CONNECTION_BAD)
		return connection_fault(c, "", fault);
	while (status != PGRES_POLLING_OK) {
		short events =
			status == PGRES_POLLING_READING ? POLLIN : POLLOUT;

		if (!db_wait(client->PQsocket(c->pg), events, deadline_ms))
			return fault_set(fault, RC_TEMP, "4.3.0",
					 "host %s: no connection within %d "
					 "seconds",
					 c->host, DB_CONNECT_MS / 1000);
		status = client->PQconnectPoll(c->pg);
		if (status == PGRES_POLLING_FAILED)
			return connection_fault(c, "", fault);
	}
	client->PQsetnonblocking(c->pg, 1);
	return RC_OK;
}

static enum rc pgsql_connect(void *arg, const char *host, void **ret_connection,
			     struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct map_pgsql *m = arg;
	struct options *o = mem_new(tmp, struct options);
	struct connection *c;
	enum rc rc;

	rc = options_make(tmp, m, host, o, fault);
	if (rc != RC_OK)
		return rc;
	c = mem_new(tmp, struct connection);
	c->client = &m->client;
	c->host = host_shown(c, host);
	c->pg = m->client.PQconnectStartParams(o->names, o->values, 0);
	if (c->pg == NULL)
		return fault_set(fault, RC_TEMP, "4.3.0", "out of memory");
	talloc_set_destructor(c, connection_close);
	m->client.PQsetNoticeReceiver(c->pg, ignore_notice, NULL);
	rc = connection_wait(c, fault);
	if (rc != RC_OK)
		return rc;
	*ret_connection = talloc_steal(NULL, c);
	return RC_OK;
}

static bool pgsql_is_good(void *connection)
{
	struct connection *c = connection;

	return db_is_quiet(c->client->PQsocket(c->pg));
}

static bool quote(void *arg, struct span raw, struct buf *out)
{
	struct connection *c = arg;
	int error = 0;

	if (!buf_reserve(out, 2 * raw.len + 1))
		return true; /* out->full tells */
	out->len += c->client->PQescapeStringConn(c->pg, out->data + out->len,
						  raw.ptr, raw.len, &error);
	return error == 0;
}

/* Send what is waiting to be sent, and take what comes meanwhile. */
static bool query_send(struct connection *c, uint64_t deadline_ms)
{
	int left;

	while ((left = c->client->PQflush(c->pg)) > 0)
		if (!db_wait(c->client->PQsocket(c->pg), POLLIN | POLLOUT,
			     deadline_ms) ||
		    !c->client->PQconsumeInput(c->pg))
			return false;
	return left == 0;
}

/* The next result, or NULL after the last. false: not in time. */
static bool result_next(struct connection *c, uint64_t deadline_ms,
			PGresult **ret_result)
{
	while (c->client->PQisBusy(c->pg))
		if (!db_wait(c->client->PQsocket(c->pg), POLLIN, deadline_ms) ||
		    !c->client->PQconsumeInput(c->pg))
			return false;
	*ret_result = c->client->PQgetResult(c->pg);
	return true;
}

static enum rc rows_add(const struct connection *c, const PGresult *result,
			struct sql_answer *answer, struct fault *fault)
{
	const struct pgsql_client *client = c->client;
	int rows = client->PQntuples(result);
	int columns = client->PQnfields(result);
	enum rc rc = RC_OK;

	for (int i = 0; i < rows; i++)
		for (int k = 0; k < columns && rc == RC_OK; k++)
			if (!client->PQgetisnull(result, i, k))
				rc = sql_answer_add(
					answer,
					client->PQgetvalue(result, i, k),
					(size_t)client->PQgetlength(result, i,
								    k),
					fault);
	return rc;
}

/* Another server may do better: connection lost (08), out of resources (53),
 * told to stop (57P), a fault of the system (58, XX). Any other error is about
 * this query. */
static bool is_host_error(const char *state)
{
	static const char *const classes[] = { "08", "53", "57P", "58", "XX" };

	for (size_t i = 0; state != NULL && i < ARRAY_LEN(classes); i++)
		if (span_starts(span_from(state), classes[i]))
			return true;
	return false;
}

static enum rc result_fault(const struct connection *c, const PGresult *result,
			    bool *ret_broken, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const struct pgsql_client *client = c->client;
	ExecStatusType status = client->PQresultStatus(result);

	/* Such as INSERT: there is nothing to find in it. */
	if (status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY)
		return RC_OK;
	if (status != PGRES_FATAL_ERROR) /* COPY and such */
		*ret_broken = true;
	if (is_host_error(client->PQresultErrorField(result, PG_DIAG_SQLSTATE)))
		*ret_broken = true;
	return fault_set(fault, RC_TEMP, "4.3.0", "host %s: query: %s", c->host,
			 db_message(tmp, client->PQresultErrorMessage(result)));
}

/* The last result of the query counts; all must be taken. */
static enum rc results_take(struct connection *c, struct sql_answer *answer,
			    bool *ret_broken, struct fault *fault)
{
	uint64_t deadline_ms = clock_mono_ms() + DB_ANSWER_MS;
	const struct pgsql_client *client = c->client;
	PGresult *last = NULL, *next = NULL;
	enum rc rc;

	while (query_send(c, deadline_ms) &&
	       result_next(c, deadline_ms, &next) && next != NULL &&
	       !*ret_broken) {
		client->PQclear(last);
		last = next;
		next = NULL;
		*ret_broken = client->PQresultStatus(last) == PGRES_COPY_IN ||
			      client->PQresultStatus(last) == PGRES_COPY_OUT;
	}
	*ret_broken |= client->PQstatus(c->pg) != CONNECTION_OK;
	if (last == NULL || (clock_mono_ms() >= deadline_ms && !*ret_broken)) {
		*ret_broken = true;
		rc = clock_mono_ms() < deadline_ms
			     ? connection_fault(c, "query: ", fault)
			     : fault_set(fault, RC_TEMP, "4.3.0",
					 "host %s: no answer within %d seconds",
					 c->host, DB_ANSWER_MS / 1000);
	} else if (client->PQresultStatus(last) == PGRES_TUPLES_OK) {
		rc = rows_add(c, last, answer, fault);
	} else {
		rc = result_fault(c, last, ret_broken, fault);
	}
	client->PQclear(last);
	client->PQclear(next);
	return rc;
}

static enum rc pgsql_ask(void *question, void *connection, bool *ret_broken,
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
	if (!c->client->PQsendQuery(c->pg, query.ptr)) {
		*ret_broken = true;
		return connection_fault(c, "query: ", fault);
	}
	return results_take(c, answer, ret_broken, fault);
}

static enum rc map_pgsql_lookup(struct map *map, TALLOC_CTX *mem,
				struct span key, struct span *ret_value,
				struct fault *fault)
{
	struct map_pgsql *m = map->state;

	return sql_lookup(&m->sql, m->hosts, pgsql_ask, mem, key, ret_value,
			  fault);
}

/* A URI that is none, or a database without a name, is said at once. */
static enum rc hosts_check(struct map *map, struct map_pgsql *m,
			   struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(map);
	struct span rest = span_from(m->conf.hosts), host;
	struct options o = { .count = 0 };
	bool all_uris = m->conf.hosts[0] != '\0';

	while (span_token(&rest, ", \t\r\n", &host)) {
		const char *text = mem_span_dup(tmp, host);

		if (is_uri(text) &&
		    uri_options(tmp, m, text, &o, fault) != RC_OK)
			return fault_add(fault, "%s", map->name);
		all_uris &= is_uri(text);
		o.count = 0;
	}
	if (!all_uris && m->conf.dbname[0] == '\0')
		return fault_set(fault, RC_CONF, "4.3.5",
				 "%s: dbname is not set", map->name);
	return RC_OK;
}

static const struct map_hosts_kind hosts_kind = { pgsql_connect,
						  pgsql_is_good };

static enum rc map_pgsql_open(struct map *map, struct fault *fault)
{
	struct map_pgsql *m = mem_new(map, struct map_pgsql);
	const struct table_conf_pgsql *c = &m->conf;
	enum rc rc;

	map->state = m;
	rc = table_conf_load(m, map, &m->conf, fault);
	if (rc == RC_OK)
		rc = sql_open(map,
			      &(struct sql_settings)SQL_SETTINGS(
				      c, c->select_function),
			      &m->sql, fault);
	if (rc == RC_OK)
		rc = library_load(&library, &m->client, fault);
	if (rc == RC_OK)
		rc = hosts_check(map, m, fault);
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

const struct map_driver map_driver_pgsql = {
	.type = "pgsql",
	.can = MAP_SHARED_BY_THREADS | MAP_NEEDS_NAME,
	.open = map_pgsql_open,
	.lookup = map_pgsql_lookup,
};
