/* SPDX-License-Identifier: Apache-2.0 */
/* cdb: made once, replaced whole. */
#include "map/map_store.h"

#include <cdb.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct cdb_handle {
	const char *path;
	int fd;
	bool open, making;
	struct cdb cdb;
	struct cdb_make make;
};

static int cdb_handle_close(struct cdb_handle *handle)
{
	if (handle->open)
		cdb_free(&handle->cdb);
	if (handle->making)
		cdb_make_finish(&handle->make); /* frees; the file is dropped */
	if (handle->fd >= 0)
		close(handle->fd);
	return 0;
}

static struct cdb_handle *cdb_handle_new(TALLOC_CTX *mem, const char *path,
					 int fd)
{
	struct cdb_handle *handle = mem_new(mem, struct cdb_handle);

	handle->path = mem_strdup(handle, path);
	handle->fd = fd;
	talloc_set_destructor(handle, cdb_handle_close);
	return handle;
}

/* The hash tables are at the end of the file, and the head says where. */
static const char *cdb_check(int fd, off_t size)
{
	enum { TABLES = 256, HEAD = TABLES * 8 };
	unsigned char head[HEAD];

	if (pread(fd, head, HEAD, 0) != HEAD)
		return "Protocol error: not a cdb file";
	for (size_t i = 0; i < TABLES; i++) {
		uint32_t at = cdb_unpack(head + 8 * i);
		uint32_t slots = cdb_unpack(head + 8 * i + 4);

		if (at < HEAD || (off_t)at + (off_t)slots * 8 > size)
			return "Protocol error: not a cdb file, or truncated";
	}
	return NULL;
}

static enum rc cdb_store_open(TALLOC_CTX *mem, const struct map *map,
			      const char *path, int fd, void **ret_handle,
			      struct fault *fault)
{
	struct cdb_handle *handle =
		cdb_handle_new(mem, path, fcntl(fd, F_DUPFD_CLOEXEC, 0));

	if (handle->fd < 0 || cdb_init(&handle->cdb, handle->fd) != 0) {
		fault_set(fault, RC_CONF, "4.3.0", "open database %s: %m",
			  path);
		talloc_free(handle);
		return RC_CONF;
	}
	handle->open = true;
	*ret_handle = handle;
	return RC_OK;
}

static enum rc cdb_fault(struct cdb_handle *handle, const char *what,
			 struct fault *fault)
{
	return fault_set(fault, RC_TEMP, "4.3.0", "%s %s: %m", what,
			 handle->path);
}

static enum rc cdb_store_get(void *arg, TALLOC_CTX *mem, struct span key,
			     struct span *ret_value, struct fault *fault)
{
	struct cdb_handle *handle = arg;
	int found = cdb_find(&handle->cdb, key.ptr, (unsigned int)key.len);
	const void *value;

	if (found == 0)
		return RC_NONE;
	value = found < 0 ? NULL : cdb_getdata(&handle->cdb);
	if (value == NULL)
		return cdb_fault(handle, "read", fault);
	*ret_value = mem_span_copy(
		mem, (struct span){ value, cdb_datalen(&handle->cdb) });
	return RC_OK;
}

static enum rc cdb_walk(void *arg, map_each_fn *each, void *each_arg,
			struct fault *fault)
{
	struct cdb_handle *handle = arg;
	struct cdb *cdb = &handle->cdb;
	unsigned int at;
	int more;

	cdb_seqinit(&at, cdb);
	while ((more = cdb_seqnext(&at, cdb)) > 0) {
		struct span key = { cdb_getkey(cdb), cdb_keylen(cdb) };
		struct span value = { cdb_getdata(cdb), cdb_datalen(cdb) };
		enum rc rc;

		if (key.ptr == NULL || value.ptr == NULL)
			return cdb_fault(handle, "read", fault);
		rc = each(each_arg, key, value, fault);
		if (rc != RC_OK)
			return rc;
	}
	return more < 0 ? cdb_fault(handle, "read", fault) : RC_OK;
}

static enum rc cdb_open_write(TALLOC_CTX *mem, const struct map *map,
			      const char *path, bool edit, void **ret_handle,
			      struct fault *fault)
{
	struct cdb_handle *handle = cdb_handle_new(
		mem, path, open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW));

	if (handle->fd < 0 || cdb_make_start(&handle->make, handle->fd) != 0) {
		fault_set(fault, RC_TEMP, "4.3.0", "open %s: %m", path);
		talloc_free(handle);
		return RC_TEMP;
	}
	handle->making = true;
	*ret_handle = handle;
	return RC_OK;
}

static enum rc cdb_put(void *arg, struct span key, struct span value,
		       bool replace, struct fault *fault)
{
	struct cdb_handle *handle = arg;
	int result = cdb_make_put(&handle->make, key.ptr, (unsigned int)key.len,
				  value.ptr, (unsigned int)value.len,
				  replace ? CDB_PUT_REPLACE : CDB_PUT_INSERT);

	if (result < 0)
		return cdb_fault(handle, "write", fault);
	return result > 0 && !replace ? RC_NONE : RC_OK;
}

static enum rc cdb_add(void *arg, struct span key, struct span value,
		       struct fault *fault)
{
	struct cdb_handle *handle = arg;

	if (cdb_make_add(&handle->make, key.ptr, (unsigned int)key.len,
			 value.ptr, (unsigned int)value.len) < 0)
		return cdb_fault(handle, "write", fault);
	return RC_OK;
}

static enum rc cdb_finish(void *arg, struct fault *fault)
{
	struct cdb_handle *handle = arg;

	handle->making = false;
	if (cdb_make_finish(&handle->make) != 0 || fsync(handle->fd) != 0)
		return cdb_fault(handle, "write", fault);
	return RC_OK;
}

static const struct map_store cdb_store = {
	.suffix = ".cdb",
	.check = cdb_check,
	.open = cdb_store_open,
	.get = cdb_store_get,
	.walk = cdb_walk,
	.open_write = cdb_open_write,
	.add = cdb_add,
	.order = TABLE_BY_HASH, /* any will do; this one sorts fastest */
	.put = cdb_put,
	.finish = cdb_finish,
};

const struct map_driver map_driver_cdb = {
	.type = "cdb",
	.can = MAP_SHARED_BY_THREADS | MAP_NEEDS_NAME,
	.open = map_store_open,
	.lookup = map_store_lookup,
	.each = map_store_each,
	.needs_restart = map_store_needs_restart,
	.store = &cdb_store,
};
