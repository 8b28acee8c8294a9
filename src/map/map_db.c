/* SPDX-License-Identifier: Apache-2.0 */
/* Berkeley DB: hash and btree. Both read files of either kind. */
#include "map/map_store.h"

#include <db.h>
#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "map/map_priv.h"

enum {
	FILL_PAGE_BYTES = 4096,
	FILL_RECORDS_MIN = 1000, /* fewer are quick anyway */
};

struct db_handle {
	DB_ENV *env;
	DB *db;
	const char *path;
};

static void db_say_nothing(const DB_ENV *env, const char *prefix,
			   const char *text)
{
}

static enum rc db_fault(struct fault *fault, enum rc rc, const char *what,
			const char *path, int error)
{
	return fault_set(fault, rc, "4.3.0", "%s %s: %s", what, path,
			 db_strerror(error));
}

static int db_handle_close(struct db_handle *handle)
{
	if (handle->db != NULL)
		handle->db->close(handle->db, DB_NOSYNC);
	if (handle->env != NULL)
		handle->env->close(handle->env, 0);
	return 0;
}

/* An environment of its own with "/" as its home: without one the library would
 * obey a DB_CONFIG file in whatever directory the program runs. */
static int db_env_open(struct db_handle *handle, uint32_t cache_bytes)
{
	int error = db_env_create(&handle->env, 0);

	if (error != 0) {
		handle->env = NULL;
		return error;
	}
	handle->env->set_errcall(handle->env, db_say_nothing);
	error = handle->env->set_cachesize(handle->env, 0, cache_bytes, 1);
	if (error != 0)
		return error;
	return handle->env->open(handle->env, "/",
				 DB_CREATE | DB_INIT_MPOOL | DB_PRIVATE, 0600);
}

/* The library looks for relative names below the home. */
static char *absolute_path(TALLOC_CTX *mem, const char *path)
{
	char cwd[PATH_MAX];

	if (path[0] == '/' || getcwd(cwd, sizeof(cwd)) == NULL)
		return mem_strdup(mem, path);
	return mem_printf(mem, "%s/%s", cwd, path);
}

struct db_how {
	DBTYPE type;
	uint32_t flags, cache_bytes;
	uint32_t page_records, records; /* of a new DB_HASH; 0: not known */
};

/* A table of hashes that has all its pages from the start. */
static int db_presize(DB *db, const struct db_how *how)
{
	int error;

	if (how->page_records == 0)
		return 0;
	error = db->set_pagesize(db, FILL_PAGE_BYTES);
	if (error == 0)
		error = db->set_h_ffactor(db, how->page_records);
	if (error == 0)
		error = db->set_h_nelem(db, how->records);
	return error;
}

static enum rc db_handle_open(TALLOC_CTX *mem, const char *path,
			      struct db_how how, void **ret_handle,
			      struct fault *fault)
{
	struct db_handle *handle = mem_new(mem, struct db_handle);
	int error;

	handle->path = mem_strdup(handle, path);
	talloc_set_destructor(handle, db_handle_close);
	error = db_env_open(handle, how.cache_bytes);
	if (error == 0)
		error = db_create(&handle->db, handle->env, 0);
	if (error == 0)
		error = db_presize(handle->db, &how);
	if (error == 0)
		error = handle->db->open(handle->db, NULL,
					 absolute_path(handle, path), NULL,
					 how.type, how.flags, 0644);
	if (error == 0) {
		*ret_handle = handle;
		return RC_OK;
	}
	db_fault(fault, RC_CONF, "open database", path, error);
	talloc_free(handle);
	return RC_CONF;
}

static enum rc db_open(TALLOC_CTX *mem, const struct map *map, const char *path,
		       int fd, void **ret_handle, struct fault *fault)
{
	struct db_how how = {
		.type = DB_UNKNOWN,
		.flags = DB_RDONLY,
		.cache_bytes =
			(uint32_t)map->conf->v.berkeley_db_read_buffer_size,
	};

	return db_handle_open(mem, path, how, ret_handle, fault);
}

static uint32_t word_at(const unsigned char *bytes, size_t at, bool swapped)
{
	uint32_t word;

	memcpy(&word, bytes + at, sizeof(word));
	return swapped ? __builtin_bswap32(word) : word;
}

/* The first page says how many there are. With some of them gone the library
 * may go on and find nothing. */
static const char *db_check(int fd, off_t size)
{
	enum { MAGIC_AT = 12, PAGE_SIZE_AT = 20, LAST_PAGE_AT = 32, HEAD = 36 };
	unsigned char head[HEAD];
	uint32_t magic, page_size;
	bool swapped;

	if (pread(fd, head, HEAD, 0) != HEAD)
		return "Invalid argument: not a Berkeley DB file";
	magic = word_at(head, MAGIC_AT, false);
	swapped = magic != DB_HASHMAGIC && magic != DB_BTREEMAGIC;
	magic = word_at(head, MAGIC_AT, swapped);
	if (magic != DB_HASHMAGIC && magic != DB_BTREEMAGIC)
		return "Invalid argument: not a hash or btree of Berkeley DB";
	page_size = word_at(head, PAGE_SIZE_AT, swapped);
	if (page_size < 512 || page_size > 65536 ||
	    size / page_size <= (off_t)word_at(head, LAST_PAGE_AT, swapped))
		return "Invalid argument: the file is truncated";
	return NULL;
}

static DBT dbt_of(struct span text)
{
	DBT dbt = { .data = (void *)(uintptr_t)text.ptr,
		    .size = (uint32_t)text.len };

	return dbt;
}

static struct span span_of(const DBT *dbt)
{
	return (struct span){ dbt->data, dbt->size };
}

static enum rc db_get(void *arg, TALLOC_CTX *mem, struct span key,
		      struct span *ret_value, struct fault *fault)
{
	struct db_handle *handle = arg;
	DBT want = dbt_of(key), found = { 0 };
	int error = handle->db->get(handle->db, NULL, &want, &found, 0);

	if (error == DB_NOTFOUND)
		return RC_NONE;
	if (error != 0)
		return db_fault(fault, RC_TEMP, "read", handle->path, error);
	*ret_value = mem_span_copy(mem, span_of(&found));
	return RC_OK;
}

static enum rc db_walk(void *arg, map_each_fn *each, void *each_arg,
		       struct fault *fault)
{
	struct db_handle *handle = arg;
	DBT key = { 0 }, value = { 0 };
	DBC *cursor;
	int error = handle->db->cursor(handle->db, NULL, &cursor, 0);
	enum rc rc = RC_OK;

	if (error != 0)
		return db_fault(fault, RC_TEMP, "read", handle->path, error);
	while (rc == RC_OK) {
		error = cursor->get(cursor, &key, &value, DB_NEXT);
		if (error != 0)
			break;
		rc = each(each_arg, span_of(&key), span_of(&value), fault);
	}
	cursor->close(cursor);
	if (error != 0 && error != DB_NOTFOUND)
		return db_fault(fault, RC_TEMP, "read", handle->path, error);
	return rc;
}

static enum rc db_open_write(TALLOC_CTX *mem, const struct map *map,
			     const char *path, bool edit, void **ret_handle,
			     struct fault *fault)
{
	struct db_how how = {
		.cache_bytes =
			(uint32_t)map->conf->v.berkeley_db_create_buffer_size,
	};

	how.type = map->driver == &map_driver_hash ? DB_HASH : DB_BTREE;
	how.flags = DB_CREATE;
	if (edit) {
		how.type = DB_UNKNOWN;
		how.flags = 0;
	}
	return db_handle_open(mem, path, how, ret_handle, fault);
}

/* Records that come in the order of their pages need each page once. */
static enum rc db_open_fill(TALLOC_CTX *mem, const struct map *map,
			    const char *path, const struct map_store_fill *fill,
			    void **ret_handle, struct fault *fault)
{
	struct db_how how = {
		.type = map->driver == &map_driver_hash ? DB_HASH : DB_BTREE,
		.flags = DB_CREATE,
		.cache_bytes =
			(uint32_t)map->conf->v.berkeley_db_create_buffer_size,
	};
	uint64_t record =
		fill->records == 0 ? 0 : fill->bytes / fill->records + 10;

	/* A few more pages than needed: few of them overflow. */
	if (how.type == DB_HASH && fill->records >= FILL_RECORDS_MIN &&
	    fill->records < UINT32_MAX && record < FILL_PAGE_BYTES / 8) {
		how.page_records =
			(uint32_t)(FILL_PAGE_BYTES * 17 / 20 / record);
		how.records = (uint32_t)fill->records;
	}
	return db_handle_open(mem, path, how, ret_handle, fault);
}

static enum rc db_put(void *arg, struct span key, struct span value,
		      bool replace, struct fault *fault)
{
	struct db_handle *handle = arg;
	DBT k = dbt_of(key), v = dbt_of(value);
	int error = handle->db->put(handle->db, NULL, &k, &v,
				    replace ? 0 : DB_NOOVERWRITE);

	if (error == DB_KEYEXIST)
		return RC_NONE;
	if (error != 0)
		return db_fault(fault, RC_TEMP, "write", handle->path, error);
	return RC_OK;
}

static enum rc db_erase(void *arg, struct span key, struct fault *fault)
{
	struct db_handle *handle = arg;
	DBT k = dbt_of(key);
	int error = handle->db->del(handle->db, NULL, &k, 0);

	if (error == DB_NOTFOUND)
		return RC_NONE;
	if (error != 0)
		return db_fault(fault, RC_TEMP, "write", handle->path, error);
	return RC_OK;
}

static enum rc db_finish(void *arg, struct fault *fault)
{
	struct db_handle *handle = arg;
	int error = handle->db->sync(handle->db, 0);

	if (error != 0)
		return db_fault(fault, RC_TEMP, "write", handle->path, error);
	error = handle->db->close(handle->db, 0);
	handle->db = NULL;
	if (error != 0)
		return db_fault(fault, RC_TEMP, "close", handle->path, error);
	return RC_OK;
}

static const struct map_store hash_store = {
	.suffix = ".db",
	.ends_in_nul = true,
	.can_edit = true,
	.check = db_check,
	.open = db_open,
	.get = db_get,
	.walk = db_walk,
	.open_write = db_open_write,
	.open_fill = db_open_fill,
	.order = TABLE_BY_HASH,
	.put = db_put,
	.erase = db_erase,
	.finish = db_finish,
};

static const struct map_store btree_store = {
	.suffix = ".db",
	.ends_in_nul = true,
	.can_edit = true,
	.check = db_check,
	.open = db_open,
	.get = db_get,
	.walk = db_walk,
	.open_write = db_open_write,
	.open_fill = db_open_fill,
	.order = TABLE_BY_KEY,
	.put = db_put,
	.erase = db_erase,
	.finish = db_finish,
};

const struct map_driver map_driver_hash = {
	.type = "hash",
	.can = MAP_SHARED_BY_THREADS | MAP_NEEDS_NAME,
	.open = map_store_open,
	.lookup = map_store_lookup,
	.each = map_store_each,
	.needs_restart = map_store_needs_restart,
	.store = &hash_store,
};

const struct map_driver map_driver_btree = {
	.type = "btree",
	.can = MAP_SHARED_BY_THREADS | MAP_NEEDS_NAME,
	.open = map_store_open,
	.lookup = map_store_lookup,
	.each = map_store_each,
	.needs_restart = map_store_needs_restart,
	.store = &btree_store,
};
