/* SPDX-License-Identifier: Apache-2.0 */
/* sqlite: a file that is a database. A thread asks in a connection of its own;
 * the first one is made while the process may still open everything. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "map/sql.h"
#include "map/table_conf.h"
#include "sys/library.h"

enum {
	BUSY_MS = 5000, /* how long another program may hold the file */
	QUERY_MAX_MS = 20000,
	STEPS_PER_LOOK = 10000, /* of the database's machine */
	CHECK_EVERY_MS = 1000,
};

#define SQLITE_CALLS(CALL)                            \
	CALL(sqlite_client, sqlite3_busy_timeout)     \
	CALL(sqlite_client, sqlite3_close)            \
	CALL(sqlite_client, sqlite3_column_blob)      \
	CALL(sqlite_client, sqlite3_column_bytes)     \
	CALL(sqlite_client, sqlite3_errmsg)           \
	CALL(sqlite_client, sqlite3_errstr)           \
	CALL(sqlite_client, sqlite3_finalize)         \
	CALL(sqlite_client, sqlite3_open_v2)          \
	CALL(sqlite_client, sqlite3_prepare_v2)       \
	CALL(sqlite_client, sqlite3_progress_handler) \
	CALL(sqlite_client, sqlite3_step)

struct sqlite_client {
	SQLITE_CALLS(LIBRARY_MEMBER)
};

static const struct library_call calls[] = { SQLITE_CALLS(LIBRARY_ROW) };

static const struct library library = { "libsqlite3.so.0", "libsqlite3-0",
					calls, ARRAY_LEN(calls), NULL };

struct connection {
	struct connection *next;
	const struct sqlite_client *client;
	sqlite3 *db;
	uint64_t deadline_ms;
	dev_t dev;
	ino_t ino;
};

struct map_sqlite {
	struct table_conf_sqlite conf;
	struct sqlite_client client;
	struct sql sql;
	pthread_mutex_t lock; /* all below */
	pthread_cond_t given_back;
	struct connection *idle;
	size_t count; /* connections, idle or in use */
	uint64_t next_check_ms;
	dev_t dev; /* of the file under the name */
	ino_t ino;
	bool forbidden;	  /* one more could not be opened: share those there are
			   */
	dev_t opened_dev; /* of the file that was opened last */
	ino_t opened_ino;
};

static int connection_close(struct connection *c)
{
	c->client->sqlite3_close(c->db);
	return 0;
}

/* Called by the library now and then: end what takes too long. */
static int is_too_late(void *arg)
{
	const struct connection *c = arg;

	return clock_mono_ms() >= c->deadline_ms;
}

static enum rc connection_open(const struct map_sqlite *m,
			       struct connection **ret_connection,
			       struct fault *fault)
{
	const char *path = m->conf.dbpath;
	struct connection *c;
	sqlite3 *db = NULL;
	struct stat st;
	int error;

	if (stat(path, &st) < 0)
		return fault_set(fault, RC_CONF, "4.3.0", "open %s: %m", path);
	error = m->client.sqlite3_open_v2(
		path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
	if (error != SQLITE_OK) {
		m->client.sqlite3_close(db);
		return fault_set(fault, RC_CONF, "4.3.0", "open %s: %s", path,
				 m->client.sqlite3_errstr(error));
	}
	c = mem_new(NULL, struct connection);
	c->client = &m->client;
	c->db = db;
	c->dev = st.st_dev;
	c->ino = st.st_ino;
	talloc_set_destructor(c, connection_close);
	m->client.sqlite3_busy_timeout(db, BUSY_MS);
	m->client.sqlite3_progress_handler(db, STEPS_PER_LOOK, is_too_late, c);
	*ret_connection = c;
	return RC_OK;
}

/* Under the lock: has another file been put under the name? */
static void file_check(struct map_sqlite *m)
{
	uint64_t now_ms = clock_mono_ms();
	struct stat st;

	if (now_ms < m->next_check_ms)
		return;
	m->next_check_ms = now_ms + CHECK_EVERY_MS;
	m->forbidden = false;
	if (stat(m->conf.dbpath, &st) < 0)
		return; /* between two files; the old one is still open */
	m->dev = st.st_dev;
	m->ino = st.st_ino;
}

static bool is_current(const struct map_sqlite *m, const struct connection *c)
{
	return m->forbidden || (c->dev == m->dev && c->ino == m->ino);
}

/* An idle connection to the file as it is now. Under the lock. */
static struct connection *idle_take(struct map_sqlite *m)
{
	struct connection **at = &m->idle, *c;

	while (*at != NULL && !is_current(m, *at))
		at = &(*at)->next;
	c = *at;
	if (c != NULL)
		*at = c->next;
	return c;
}

/* Under the lock. */
static void idle_close_old(struct map_sqlite *m)
{
	for (struct connection **at = &m->idle; *at != NULL;) {
		struct connection *c = *at;

		if (is_current(m, c)) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		m->count--;
		talloc_free(c);
	}
}

/* Under the lock, which it lets go while it opens the file. */
static enum rc connection_add(struct map_sqlite *m, struct connection **ret_c,
			      struct fault *fault)
{
	struct connection *c;
	enum rc rc;

	m->count++;
	pthread_mutex_unlock(&m->lock);
	rc = connection_open(m, &c, fault);
	pthread_mutex_lock(&m->lock);
	if (rc == RC_OK) {
		m->opened_dev = c->dev;
		m->opened_ino = c->ino;
		idle_close_old(m);
		*ret_c = c;
		return RC_OK;
	}
	m->count--;
	/* No longer root, and there is one that was opened before: share it. */
	m->forbidden = m->count > 0;
	return rc;
}

static enum rc connection_take(struct map_sqlite *m, struct connection **ret_c,
			       struct fault *fault)
{
	enum rc rc = RC_OK;

	pthread_mutex_lock(&m->lock);
	file_check(m);
	while ((*ret_c = idle_take(m)) == NULL) {
		if (m->forbidden) {
			pthread_cond_wait(&m->given_back, &m->lock);
			continue;
		}
		rc = connection_add(m, ret_c, fault);
		if (rc == RC_OK || !m->forbidden)
			break;
	}
	pthread_mutex_unlock(&m->lock);
	return *ret_c != NULL ? RC_OK : rc == RC_CONF ? RC_TEMP : rc;
}

static void connection_give(struct map_sqlite *m, struct connection *c)
{
	pthread_mutex_lock(&m->lock);
	c->next = m->idle;
	m->idle = c;
	idle_close_old(m);
	pthread_cond_signal(&m->given_back);
	pthread_mutex_unlock(&m->lock);
}

static bool quote(void *arg, struct span raw, struct buf *out)
{
	for (size_t i = 0; i < raw.len; i++) {
		if (raw.ptr[i] == '\'')
			buf_add_char(out, '\'');
		buf_add_char(out, raw.ptr[i]);
	}
	return true;
}

/* The first column of a row is the result. */
static enum rc row_add(const struct sqlite_client *client, sqlite3_stmt *row,
		       struct sql_answer *answer, struct fault *fault)
{
	const void *data = client->sqlite3_column_blob(row, 0);
	int len = client->sqlite3_column_bytes(row, 0);

	return sql_answer_add(answer, data, (size_t)len, fault);
}

static enum rc ask(struct connection *c, struct span query,
		   struct sql_answer *answer, struct fault *fault)
{
	const struct sqlite_client *client = c->client;
	sqlite3_stmt *row = NULL;
	enum rc rc = RC_OK;
	int error;

	c->deadline_ms = clock_mono_ms() + QUERY_MAX_MS;
	error = client->sqlite3_prepare_v2(c->db, query.ptr, (int)query.len + 1,
					   &row, NULL);
	if (error == SQLITE_OK && row != NULL) {
		while (rc == RC_OK &&
		       (error = client->sqlite3_step(row)) == SQLITE_ROW)
			rc = row_add(client, row, answer, fault);
		if (error == SQLITE_ROW || error == SQLITE_DONE)
			error = SQLITE_OK;
	}
	if (error != SQLITE_OK)
		rc = fault_set(fault, RC_TEMP, "4.3.0", "%s",
			       error == SQLITE_INTERRUPT
				       ? "the query takes too long"
				       : client->sqlite3_errmsg(c->db));
	client->sqlite3_finalize(row);
	return rc;
}

static enum rc map_sqlite_lookup(struct map *map, TALLOC_CTX *mem,
				 struct span key, struct span *ret_value,
				 struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct map_sqlite *m = map->state;
	const struct query_quote quoting = { quote, NULL };
	struct sql_answer answer = { .sql = &m->sql, .mem = mem, .key = key };
	struct connection *c = NULL;
	struct span query;
	enum rc rc;

	rc = query_rules_allow(m->sql.rules, key, fault);
	if (rc == RC_OK)
		rc = sql_query(&m->sql, tmp, key, &quoting, &query, fault);
	if (rc == RC_OK)
		rc = connection_take(m, &c, fault);
	if (rc != RC_OK)
		return rc;
	query_answer_init(&answer.answer, mem);
	rc = ask(c, query, &answer, fault);
	connection_give(m, c);
	if (rc != RC_OK)
		return rc;
	return query_answer_end(m->sql.rules, &answer.answer, ret_value, fault);
}

static int map_sqlite_close(struct map_sqlite *m)
{
	while (m->idle != NULL) {
		struct connection *c = m->idle;

		m->idle = c->next;
		talloc_free(c);
	}
	pthread_cond_destroy(&m->given_back);
	pthread_mutex_destroy(&m->lock);
	return 0;
}

static void query_warn(const struct map *map, const char *query,
		       struct fault *fault)
{
	const char *at = query == NULL ? NULL : strstr(query, "\"%");

	if (at != NULL && fault != NULL && fault->text[0] == '\0')
		fault_set(fault, RC_OK, "",
			  "%s: query: use single quotes: '%.2s', not \"%.2s\"; "
			  "a double quote in a key is not quoted",
			  map->name, at + 1, at + 1);
}

static enum rc map_sqlite_open(struct map *map, struct fault *fault)
{
	struct map_sqlite *m = mem_new(map, struct map_sqlite);
	struct connection *c;
	enum rc rc;

	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->given_back, NULL);
	talloc_set_destructor(m, map_sqlite_close);
	map->state = m;
	rc = table_conf_load(m, map, &m->conf, fault);
	if (rc == RC_OK)
		rc = library_load(&library, &m->client, fault);
	if (rc != RC_OK)
		return rc;
	rc = sql_open(map, &(struct sql_settings)SQL_SETTINGS(&m->conf, NULL),
		      &m->sql, fault);
	if (rc == RC_OK)
		rc = connection_open(m, &c, fault);
	if (rc != RC_OK)
		return rc;
	m->count = 1;
	m->dev = m->opened_dev = c->dev;
	m->ino = m->opened_ino = c->ino;
	connection_give(m, c);
	query_warn(map, m->conf.query, fault);
	return RC_OK;
}

/* The file was replaced by one that only root may open. */
static bool map_sqlite_needs_restart(const struct map *map)
{
	struct map_sqlite *m = map->state;
	bool needs;

	pthread_mutex_lock(&m->lock);
	needs = m->forbidden &&
		(m->opened_dev != m->dev || m->opened_ino != m->ino);
	pthread_mutex_unlock(&m->lock);
	return needs;
}

const struct map_driver map_driver_sqlite = {
	.type = "sqlite",
	.can = MAP_SHARED_BY_THREADS | MAP_NEEDS_NAME,
	.open = map_sqlite_open,
	.lookup = map_sqlite_lookup,
	.needs_restart = map_sqlite_needs_restart,
};
