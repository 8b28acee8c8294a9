/* SPDX-License-Identifier: Apache-2.0 */
#include "map/map_store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "map/mem_table.h"
#include "sys/bus_guard.h"

/* One state of the file. */
enum key_form { FORM_UNKNOWN, FORM_NUL, FORM_PLAIN };

struct store_table {
	const struct map_store *store;
	struct mem_table *small; /* all of it, or NULL */
	void *handle;
	pthread_mutex_t lock; /* handle */
	bool is_ruined;	      /* under lock: nothing can be asked any more */
	enum key_form form;   /* under lock */
	uint64_t look_at_ms;  /* under lock: when the time is looked at again */
	int fd;
	struct file_stamp stamp;
};

/* A lookup that meets a file in the middle of many changes gives up. */
enum { RENEW_TRIES_MAX = 5, LOOK_EVERY_MS = 5 };

char *map_store_path(TALLOC_CTX *mem, const struct map *map)
{
	return mem_printf(mem, "%s%s", map->name, map->driver->store->suffix);
}

void map_store_pair_with_nul(TALLOC_CTX *mem, struct span *key,
			     struct span *value, char *small, size_t small_size)
{
	size_t need = key->len + value->len + 2;

	if (need > small_size)
		small = mem_array(mem, char, need);
	memcpy(small, key->ptr, key->len);
	small[key->len] = '\0';
	memcpy(small + key->len + 1, value->ptr, value->len);
	small[need - 1] = '\0';
	*key = (struct span){ small, key->len + 1 };
	*value = (struct span){ small + key->len, value->len + 1 };
}

struct span map_store_with_nul(TALLOC_CTX *mem, struct span text)
{
	return (struct span){ mem_span_dup(mem, text), text.len + 1 };
}

static struct span without_nul(struct span text)
{
	if (text.len > 0 && text.ptr[text.len - 1] == '\0')
		text.len--;
	return text;
}

static enum rc store_add(void *arg, struct span key, struct span value,
			 struct fault *fault)
{
	struct mem_table *table = arg;

	if (mem_table_add(table, without_nul(key), without_nul(value)) ==
	    MEM_FULL)
		return fault_set(fault, RC_TEMP, "4.3.0", "table too large");
	return RC_OK;
}

/* One call into a library that may have the file mapped. */
struct store_call {
	const struct map_store *store;
	TALLOC_CTX *mem;
	const struct map *map;
	const char *path;
	int fd;
	void *handle;
	struct span key, value;
	map_each_fn *each;
	void *each_arg;
	struct fault *fault;
	enum rc rc;
	bool is_ruined; /* ask the handle nothing any more */
};

static void call_open(void *arg)
{
	struct store_call *c = arg;

	c->rc = c->store->open(c->mem, c->map, c->path, c->fd, &c->handle,
			       c->fault);
}

static void call_get(void *arg)
{
	struct store_call *c = arg;

	c->rc = c->store->get(c->handle, c->mem, c->key, &c->value, c->fault);
}

static void call_walk(void *arg)
{
	struct store_call *c = arg;

	c->rc = c->store->walk(c->handle, c->each, c->each_arg, c->fault);
}

/* A library that was left in the middle of a call. */
static int leave_char_open(char *handle)
{
	return 0;
}

static enum rc guarded(void (*fn)(void *arg), struct store_call *call)
{
	if (bus_guard_run(fn, call))
		return call->rc;
	if (call->handle != NULL)
		talloc_set_destructor((char *)call->handle, leave_char_open);
	call->is_ruined = true;
	return fault_set(call->fault, RC_TEMP, "4.3.0",
			 "read %s: the file is damaged, or somebody has cut "
			 "it short",
			 call->path);
}

/* What is plainly wrong with the file, or NULL. */
static const char *file_problem(const struct map_store *store, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return strerror(errno);
	if (S_ISDIR(st.st_mode))
		return strerror(EISDIR);
	if (!S_ISREG(st.st_mode))
		return "not a file";
	if (st.st_size == 0)
		return "the file is empty";
	return store->check(fd, st.st_size);
}

static enum rc store_open(TALLOC_CTX *mem, const struct map *map,
			  const char *path, int fd, void **ret_handle,
			  struct fault *fault)
{
	/* What is half open is left so. */
	TALLOC_CTX *cage = talloc_new(NULL);
	struct store_call call = { .store = map->driver->store,
				   .mem = cage,
				   .map = map,
				   .path = path,
				   .fd = fd,
				   .fault = fault };
	const char *problem = file_problem(call.store, fd);
	enum rc rc;

	if (problem != NULL) {
		talloc_free(cage);
		return fault_set(fault, RC_CONF, "4.3.5",
				 "open database %s: %s; make it anew: postmap "
				 "%s",
				 path, problem, map->full_name);
	}
	rc = guarded(call_open, &call);
	if (rc == RC_OK)
		*ret_handle = talloc_steal(mem, call.handle);
	if (!call.is_ruined)
		talloc_free(cage);
	return rc;
}

static enum rc store_walk(const struct map_store *store, void *handle,
			  const char *path, map_each_fn *each, void *arg,
			  struct fault *fault)
{
	struct store_call call = { .store = store,
				   .handle = handle,
				   .path = path,
				   .each = each,
				   .each_arg = arg,
				   .fault = fault };

	return guarded(call_walk, &call);
}

static int store_table_close(struct store_table *table)
{
	pthread_mutex_destroy(&table->lock);
	if (table->fd >= 0)
		close(table->fd);
	return 0;
}

/* Read all of it, or keep it open when it is large. */
static enum rc store_fill(struct store_table *table, const char *path, int fd,
			  struct fault *fault)
{
	struct mem_table *small;
	enum rc rc;

	if (table->stamp.size > STORE_SMALL_BYTES) {
		table->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (table->fd < 0)
			return fault_set(fault, RC_TEMP, "4.3.0", "open %s: %m",
					 path);
		return RC_OK;
	}
	small = mem_table_new(table);
	rc = store_walk(table->store, table->handle, path, store_add, small,
			fault);
	if (rc != RC_OK)
		return rc;
	table->small = small;
	talloc_free(table->handle);
	table->handle = NULL;
	return RC_OK;
}

static enum rc store_load(struct map *map, const char *path, int fd,
			  void **ret_table, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct store_table *table = mem_new(tmp, struct store_table);
	enum rc rc;

	table->store = map->driver->store;
	table->fd = -1;
	pthread_mutex_init(&table->lock, NULL);
	talloc_set_destructor(table, store_table_close);
	if (!file_stamp_of_fd(fd, &table->stamp))
		return fault_set(fault, RC_TEMP, "4.3.0", "stat %s: %m", path);
	rc = store_open(table, map, path, fd, &table->handle, fault);
	if (rc != RC_OK)
		return rc;
	rc = store_fill(table, path, fd, fault);
	if (rc != RC_OK)
		return rc;
	*ret_table = talloc_steal(NULL, table);
	return RC_OK;
}

/* What to do about a table that is not there. */
static enum rc missing_fault(const struct map *map, const char *path,
			     struct fault *fault)
{
	if (access(map->name, F_OK) == 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "open database %s: No such file or directory; "
				 "run: postmap %s",
				 path, map->full_name);
	return fault_set(fault, RC_CONF, "4.3.5",
			 "open database %s: No such file or directory; write "
			 "%s and run: postmap %s",
			 path, map->name, map->full_name);
}

enum rc map_store_open(struct map *map, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(map);
	char *path = map_store_path(tmp, map);
	struct map_watch *watch;
	enum rc rc;

	if (access(path, F_OK) < 0 && errno == ENOENT)
		return missing_fault(map, path, fault);
	rc = map_watch_open(map, path, MAP_WATCH_LOCK, store_load, &watch,
			    fault);
	if (rc != RC_OK)
		return rc;
	map->state = watch;
	return RC_OK;
}

static enum rc handle_ask(struct store_table *table, TALLOC_CTX *mem,
			  struct span key, struct span *ret_value,
			  struct fault *fault)
{
	struct store_call call = { .store = table->store,
				   .mem = mem,
				   .handle = table->handle,
				   .path = "table",
				   .key = key,
				   .fault = fault };
	enum rc rc = guarded(call_get, &call);

	table->is_ruined = call.is_ruined;
	if (rc == RC_OK)
		*ret_value = without_nul(call.value);
	return rc;
}

/* A file has its keys with or without a NUL at their ends; which, the first
 * that is found tells. */
static enum rc handle_get(struct store_table *table, TALLOC_CTX *mem,
			  struct span key, struct span *ret_value,
			  struct fault *fault)
{
	enum rc rc = RC_NONE;

	if (table->is_ruined)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "the file is damaged; make it anew");
	if (table->form != FORM_PLAIN) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(mem);

		rc = handle_ask(table, mem, map_store_with_nul(tmp, key),
				ret_value, fault);
		if (rc == RC_OK)
			table->form = FORM_NUL;
	}
	if (rc != RC_NONE || table->form == FORM_NUL)
		return rc;
	rc = handle_ask(table, mem, key, ret_value, fault);
	if (rc == RC_OK)
		table->form = FORM_PLAIN;
	return rc;
}

static bool large_has_changed(const struct store_table *table)
{
	struct file_stamp now;

	return !file_stamp_of_fd(table->fd, &now) ||
	       !file_stamp_content_eq(&now, &table->stamp);
}

/* Pages that were read before are not read again: a look now and then tells
 * whether somebody has changed the file under them. */
static bool pages_may_be_old(struct store_table *table)
{
	const uint64_t now_ms = clock_mono_ms();

	if (table->store->sees_edits || now_ms < table->look_at_ms)
		return false;
	table->look_at_ms = now_ms + LOOK_EVERY_MS;
	return large_has_changed(table);
}

/* Ask the file itself. *ret_changed: it is not the file that was opened, or was
 * not any more when it was asked, by somebody who heeds no lock. What was found
 * was there; only "not found" and errors may come of a file in the making. */
static enum rc large_get(struct store_table *table, TALLOC_CTX *mem,
			 struct span key, struct span *ret_value,
			 bool *ret_changed, struct fault *fault)
{
	enum rc rc;

	pthread_mutex_lock(&table->lock);
	/* Who writes a file of such a type writes another one: no lock. */
	if (!table->store->can_edit) {
		rc = handle_get(table, mem, key, ret_value, fault);
		*ret_changed = rc != RC_OK && large_has_changed(table);
		pthread_mutex_unlock(&table->lock);
		return rc;
	}
	rc = map_file_lock(table->fd, FILE_LOCK_SHARED, "table", fault);
	if (rc == RC_OK) {
		*ret_changed = pages_may_be_old(table);
		if (!*ret_changed) {
			rc = handle_get(table, mem, key, ret_value, fault);
			*ret_changed = rc != RC_OK && large_has_changed(table);
		}
		if (map_file_lock(table->fd, FILE_UNLOCK, "table", NULL) !=
		    RC_OK)
			*ret_changed = true;
	}
	pthread_mutex_unlock(&table->lock);
	return rc;
}

enum rc map_store_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
			 struct span *ret_value, struct fault *fault)
{
	struct map_watch *watch = map->state;

	for (int i = 0; i < RENEW_TRIES_MAX; i++) {
		struct store_table *table = map_watch_hold(watch, fault);
		bool changed = false;
		enum rc rc = RC_NONE;
		struct span value;

		if (table == NULL)
			return RC_TEMP;
		if (table->small == NULL) {
			rc = large_get(table, mem, key, ret_value, &changed,
				       fault);
		} else if (mem_table_find(table->small, key, &value)) {
			*ret_value = mem_span_copy(mem, value);
			rc = RC_OK;
		}
		map_watch_release(watch);
		if (!changed)
			return rc;
		map_watch_renew(watch);
	}
	return fault_set(fault, RC_TEMP, "4.3.0",
			 "the file changes again and again");
}

struct store_each {
	map_each_fn *each;
	void *arg;
};

static enum rc each_without_nul(void *arg, struct span key, struct span value,
				struct fault *fault)
{
	struct store_each *each = arg;

	return each->each(each->arg, without_nul(key), without_nul(value),
			  fault);
}

enum rc map_store_each(struct map *map, map_each_fn *each, void *arg,
		       struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(map);
	const struct map_store *store = map->driver->store;
	struct store_each wrapped = { each, arg };
	char *path = map_store_path(tmp, map);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *handle = NULL;
	enum rc rc;

	if (fd < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "open %s: %m", path);
	rc = map_file_lock(fd, FILE_LOCK_SHARED, path, fault);
	if (rc == RC_OK)
		rc = store_open(tmp, map, path, fd, &handle, fault);
	if (rc == RC_OK)
		rc = store_walk(store, handle, path, each_without_nul, &wrapped,
				fault);
	talloc_free(handle);
	close(fd);
	return rc;
}

bool map_store_needs_restart(const struct map *map)
{
	return map_watch_needs_restart(map->state);
}
