/* SPDX-License-Identifier: Apache-2.0 */
/* LMDB: one file without LMDB's own lock file; the file itself is locked. */
#include "map/map_store.h"

#include <errno.h>
#include <lmdb.h>
#include <sys/stat.h>

enum {
	BATCH_BYTES = 256 * 1024,	    /* written in one transaction */
	FILL_BATCH_BYTES = 4 * 1024 * 1024, /* the same, sorted */
	SPARE_FACTOR = 32, /* what a batch can need, in batches */
};

struct lmdb_handle {
	const char *path;
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	size_t batch_bytes, batch_max;
};

static enum rc lmdb_fault(struct fault *fault, enum rc rc, const char *what,
			  const char *path, int error)
{
	return fault_set(fault, rc, "4.3.0", "%s %s: %s", what, path,
			 mdb_strerror(error));
}

static int lmdb_close(struct lmdb_handle *handle)
{
	if (handle->txn != NULL)
		mdb_txn_abort(handle->txn);
	if (handle->env != NULL)
		mdb_env_close(handle->env);
	return 0;
}

/* What starts every transaction; a reader's map follows the file's size. */
static int lmdb_begin(struct lmdb_handle *handle, unsigned int flags)
{
	int error = mdb_txn_begin(handle->env, NULL, flags, &handle->txn);

	if (error == MDB_MAP_RESIZED) {
		error = mdb_env_set_mapsize(handle->env, 0);
		if (error == 0)
			error = mdb_txn_begin(handle->env, NULL, flags,
					      &handle->txn);
	}
	if (error != 0)
		handle->txn = NULL;
	return error;
}

static enum rc lmdb_handle_open(TALLOC_CTX *mem, const char *path,
				unsigned int flags, size_t map_bytes,
				struct lmdb_handle **ret_handle,
				struct fault *fault)
{
	struct lmdb_handle *handle = mem_new(mem, struct lmdb_handle);
	int error;

	handle->path = mem_strdup(handle, path);
	talloc_set_destructor(handle, lmdb_close);
	error = mdb_env_create(&handle->env);
	if (error == 0 && map_bytes > 0)
		error = mdb_env_set_mapsize(handle->env, map_bytes);
	if (error == 0)
		error = mdb_env_open(
			handle->env, path,
			flags | MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS, 0644);
	if (error == 0)
		error = lmdb_begin(handle, flags & MDB_RDONLY);
	if (error == 0)
		error = mdb_dbi_open(handle->txn, NULL, 0, &handle->dbi);
	if (error == 0) {
		*ret_handle = handle;
		return RC_OK;
	}
	lmdb_fault(fault, RC_CONF, "open database", path, error);
	talloc_free(handle);
	return RC_CONF;
}

/* Its own magic is checked by the library; the size below. */
static const char *lmdb_check(int fd, off_t size)
{
	return NULL;
}

/* Are all the pages there that the file says it has? */
static enum rc lmdb_check_size(struct lmdb_handle *handle, int fd,
			       struct fault *fault)
{
	MDB_envinfo info;
	MDB_stat stat;
	struct stat st;

	if (mdb_env_info(handle->env, &info) != 0 ||
	    mdb_env_stat(handle->env, &stat) != 0 || fstat(fd, &st) < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "stat %s: %m",
				 handle->path);
	if ((size_t)st.st_size / stat.ms_psize > info.me_last_pgno)
		return RC_OK;
	return fault_set(
		fault, RC_CONF, "4.3.5",
		"open database %s: the file is truncated: it has %lld "
		"bytes, and should have %zu; make it anew with postmap",
		handle->path, (long long)st.st_size,
		(info.me_last_pgno + 1) * stat.ms_psize);
}

static enum rc lmdb_open(TALLOC_CTX *mem, const struct map *map,
			 const char *path, int fd, void **ret_handle,
			 struct fault *fault)
{
	struct lmdb_handle *handle;
	enum rc rc = lmdb_handle_open(mem, path, MDB_RDONLY, 0, &handle, fault);

	if (rc != RC_OK)
		return rc;
	mdb_txn_abort(handle->txn);
	handle->txn = NULL;
	rc = lmdb_check_size(handle, fd, fault);
	if (rc == RC_OK)
		*ret_handle = handle;
	else
		talloc_free(handle);
	return rc;
}

static MDB_val val_of(struct span text)
{
	return (MDB_val){ text.len, (void *)(uintptr_t)text.ptr };
}

static struct span span_of(const MDB_val *val)
{
	return (struct span){ val->mv_data, val->mv_size };
}

static enum rc lmdb_get(void *arg, TALLOC_CTX *mem, struct span key,
			struct span *ret_value, struct fault *fault)
{
	struct lmdb_handle *handle = arg;
	MDB_val want = val_of(key), found;
	int error;

	if (key.len == 0 ||
	    key.len > (size_t)mdb_env_get_maxkeysize(handle->env))
		return RC_NONE;
	error = lmdb_begin(handle, MDB_RDONLY);
	if (error == 0) {
		error = mdb_get(handle->txn, handle->dbi, &want, &found);
		if (error == 0)
			*ret_value = mem_span_copy(mem, span_of(&found));
		mdb_txn_abort(handle->txn);
		handle->txn = NULL;
	}
	if (error == MDB_NOTFOUND)
		return RC_NONE;
	if (error != 0)
		return lmdb_fault(fault, RC_TEMP, "read", handle->path, error);
	return RC_OK;
}

static enum rc lmdb_walk(void *arg, map_each_fn *each, void *each_arg,
			 struct fault *fault)
{
	struct lmdb_handle *handle = arg;
	MDB_cursor *cursor = NULL;
	MDB_val key, value;
	int error = lmdb_begin(handle, MDB_RDONLY);
	enum rc rc = RC_OK;

	if (error == 0)
		error = mdb_cursor_open(handle->txn, handle->dbi, &cursor);
	while (error == 0 && rc == RC_OK) {
		error = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
		if (error == 0)
			rc = each(each_arg, span_of(&key), span_of(&value),
				  fault);
	}
	if (cursor != NULL)
		mdb_cursor_close(cursor);
	if (handle->txn != NULL)
		mdb_txn_abort(handle->txn);
	handle->txn = NULL;
	if (error != 0 && error != MDB_NOTFOUND)
		return lmdb_fault(fault, RC_TEMP, "read", handle->path, error);
	return rc;
}

/* Grow the map while no transaction is open, so that the next batch fits. */
static int lmdb_make_room(struct lmdb_handle *handle, size_t bytes)
{
	MDB_envinfo info;
	MDB_stat stat;
	size_t used, spare = SPARE_FACTOR * handle->batch_max + 2 * bytes;
	int error = mdb_env_info(handle->env, &info);

	if (error == 0)
		error = mdb_env_stat(handle->env, &stat);
	if (error != 0)
		return error;
	used = (info.me_last_pgno + 1) * stat.ms_psize;
	if (info.me_mapsize >= used + spare)
		return 0;
	return mdb_env_set_mapsize(handle->env, 2 * (used + spare));
}

static enum rc lmdb_next_batch(struct lmdb_handle *handle, size_t bytes,
			       struct fault *fault)
{
	int error = 0;

	if (handle->txn != NULL)
		error = mdb_txn_commit(handle->txn);
	handle->txn = NULL;
	handle->batch_bytes = 0;
	if (error == 0)
		error = lmdb_make_room(handle, bytes);
	if (error == 0)
		error = lmdb_begin(handle, 0);
	if (error != 0)
		return lmdb_fault(fault, RC_TEMP, "write", handle->path, error);
	return RC_OK;
}

static enum rc lmdb_writer_open(TALLOC_CTX *mem, const struct map *map,
				const char *path, size_t batch_max,
				void **ret_handle, struct fault *fault)
{
	struct lmdb_handle *handle;
	enum rc rc;

	rc = lmdb_handle_open(mem, path, MDB_NOSYNC,
			      (size_t)map->conf->v.lmdb_map_size, &handle,
			      fault);
	if (rc != RC_OK)
		return rc;
	handle->batch_max = batch_max;
	rc = lmdb_next_batch(handle, 0, fault);
	if (rc == RC_OK)
		*ret_handle = handle;
	return rc;
}

static enum rc lmdb_open_write(TALLOC_CTX *mem, const struct map *map,
			       const char *path, bool edit, void **ret_handle,
			       struct fault *fault)
{
	return lmdb_writer_open(mem, map, path, BATCH_BYTES, ret_handle, fault);
}

static enum rc lmdb_open_fill(TALLOC_CTX *mem, const struct map *map,
			      const char *path,
			      const struct map_store_fill *fill,
			      void **ret_handle, struct fault *fault)
{
	return lmdb_writer_open(mem, map, path, FILL_BATCH_BYTES, ret_handle,
				fault);
}

static enum rc lmdb_write(struct lmdb_handle *handle, struct span key,
			  struct span value, unsigned int flags,
			  struct fault *fault)
{
	MDB_val k = val_of(key), v = val_of(value);
	size_t bytes = key.len + value.len + 64;
	int error;

	if (handle->batch_bytes + bytes > handle->batch_max &&
	    lmdb_next_batch(handle, bytes, fault) != RC_OK)
		return RC_TEMP;
	handle->batch_bytes += bytes;
	error = mdb_put(handle->txn, handle->dbi, &k, &v, flags);
	if (error == MDB_KEYEXIST)
		return RC_NONE;
	if (error == MDB_BAD_VALSIZE)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "%s: a key has at most %d bytes here",
				 handle->path,
				 mdb_env_get_maxkeysize(handle->env));
	if (error != 0)
		return lmdb_fault(fault, RC_TEMP, "write", handle->path, error);
	return RC_OK;
}

static enum rc lmdb_put(void *handle, struct span key, struct span value,
			bool replace, struct fault *fault)
{
	return lmdb_write(handle, key, value, replace ? 0 : MDB_NOOVERWRITE,
			  fault);
}

static enum rc lmdb_add(void *handle, struct span key, struct span value,
			struct fault *fault)
{
	return lmdb_write(handle, key, value, MDB_APPEND, fault);
}

static enum rc lmdb_erase(void *arg, struct span key, struct fault *fault)
{
	struct lmdb_handle *handle = arg;
	MDB_val k = val_of(key);
	int error = mdb_del(handle->txn, handle->dbi, &k, NULL);

	if (error == MDB_NOTFOUND || error == MDB_BAD_VALSIZE)
		return RC_NONE;
	if (error != 0)
		return lmdb_fault(fault, RC_TEMP, "write", handle->path, error);
	return RC_OK;
}

static enum rc lmdb_finish(void *arg, struct fault *fault)
{
	struct lmdb_handle *handle = arg;
	int error = mdb_txn_commit(handle->txn);

	handle->txn = NULL;
	if (error == 0)
		error = mdb_env_sync(handle->env, 1);
	if (error != 0)
		return lmdb_fault(fault, RC_TEMP, "write", handle->path, error);
	mdb_env_close(handle->env);
	handle->env = NULL;
	return RC_OK;
}

static const struct map_store lmdb_store = {
	.suffix = ".lmdb",
	.ends_in_nul = true,
	.can_edit = true,
	.sees_edits = true, /* each question is a transaction */
	.check = lmdb_check,
	.open = lmdb_open,
	.get = lmdb_get,
	.walk = lmdb_walk,
	.open_write = lmdb_open_write,
	.open_fill = lmdb_open_fill,
	.add = lmdb_add,
	.order = TABLE_BY_KEY,
	.put = lmdb_put,
	.erase = lmdb_erase,
	.finish = lmdb_finish,
};

const struct map_driver map_driver_lmdb = {
	.type = "lmdb",
	.can = MAP_SHARED_BY_THREADS | MAP_NEEDS_NAME,
	.open = map_store_open,
	.lookup = map_store_lookup,
	.each = map_store_each,
	.needs_restart = map_store_needs_restart,
	.store = &lmdb_store,
};
