/* SPDX-License-Identifier: Apache-2.0 */
#include "map/map_build.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sys/stat.h>
#include <unistd.h>

#include "map/map_duplicates.h"
#include "map/map_store.h"

struct map_writer {
	struct map *map; /* name and driver; never looked up */
	const struct map_store *store;
	int flags;
	bool nul, fold;
	const char *path;     /* /etc/postfix/access.db */
	const char *building; /* beside it; NULL: changing path itself */
	int old_fd;	      /* the table that is there, locked; or -1 */
	void *handle;	      /* NULL: not opened yet */
	struct map_build_options options;
	const char *source; /* "/etc/postfix/access"; "stdin" */
	/* Lines of a new table, until the commit. */
	struct table_sort *sort;
	struct map_duplicates *duplicates;
	size_t written;
	/* A table at a server: changed there, and none of the above. */
	struct map *remote;
};

enum {
	OPEN_TRIES_MAX = 10,
	KEY_SMALL_BYTES = 1024,
	PROGRESS_STEP = 4096, /* records */
};

static int writer_close(struct map_writer *writer)
{
	talloc_free(writer->handle);
	if (writer->building != NULL)
		unlink(writer->building);
	if (writer->old_fd >= 0)
		close(writer->old_fd); /* and its lock */
	return 0;
}

static enum rc writer_new(TALLOC_CTX *mem, const struct conf *conf,
			  struct span type_and_name,
			  const struct map_build_options *options,
			  struct map_writer **ret_writer, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct map_writer *writer = mem_new(tmp, struct map_writer);
	struct map *map = mem_new(writer, struct map);
	struct span type, name;

	if (!map_name_split(type_and_name, &type, &name) || name.len == 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "expecting \"type:name\" instead of \"%.*s\"",
				 (int)MIN_OF(type_and_name.len, (size_t)200),
				 type_and_name.ptr);
	map->driver = map_driver_find(type);
	if (map->driver == NULL || map->driver->store == NULL)
		return fault_set(
			fault, RC_CONF, "4.3.5",
			"unsupported dictionary type: %.*s%s (what can "
			"be made: %s)",
			(int)MIN_OF(type.len, (size_t)40), type.ptr,
			map->driver == NULL
				? ""
				: " does not support bulk-mode creation.",
			map_driver_names(tmp, true));
	map->conf = conf;
	map->full_name = mem_span_dup(map, type_and_name);
	map->name = mem_span_dup(map, name);
	writer->map = map;
	writer->store = map->driver->store;
	writer->flags = options->flags;
	writer->options = *options;
	writer->duplicates = map_duplicates_new(writer, options);
	writer->old_fd = -1;
	writer->nul = writer->store->ends_in_nul;
	if (options->flags & (MAP_BUILD_NUL | MAP_BUILD_NO_NUL))
		writer->nul = (options->flags & MAP_BUILD_NUL) != 0;
	writer->fold = !(options->flags & MAP_BUILD_NO_FOLD);
	writer->path = map_store_path(writer, map);
	talloc_set_destructor(writer, writer_close);
	*ret_writer = talloc_steal(mem, writer);
	return RC_OK;
}

/* Open and lock what is there now; it may be replaced while we wait. */
static enum rc old_open(struct map_writer *writer, struct fault *fault)
{
	struct file_stamp held, there;

	for (int i = 0; i < OPEN_TRIES_MAX; i++) {
		enum rc rc;
		int fd = open(writer->path, O_RDWR | O_CLOEXEC);

		if (fd < 0 && errno == ENOENT)
			return RC_NONE;
		if (fd < 0)
			return fault_set(fault, RC_CONF, "4.3.0",
					 "open database %s: %m", writer->path);
		rc = map_file_lock(fd, FILE_LOCK_EXCLUSIVE, writer->path,
				   fault);
		if (rc == RC_OK && file_stamp_of_fd(fd, &held) &&
		    file_stamp_of_path(writer->path, &there) &&
		    held.dev == there.dev && held.ino == there.ino) {
			writer->old_fd = fd;
			return RC_OK;
		}
		close(fd);
		if (rc != RC_OK)
			return rc;
	}
	return fault_set(fault, RC_TEMP, "4.3.0",
			 "open database %s: replaced again and again",
			 writer->path);
}

/* Owner and mode: as the old table has them, else as the source. */
static enum rc take_rights(const struct map_writer *writer, const char *source,
			   int fd, struct fault *fault)
{
	struct stat st;
	bool chown_it = false;
	mode_t mode = 0644;

	if (writer->old_fd >= 0 && fstat(writer->old_fd, &st) == 0) {
		chown_it = true;
		mode = st.st_mode & 0777;
	} else if (source != NULL && stat(source, &st) == 0) {
		chown_it = !(writer->flags & MAP_BUILD_KEEP_USER);
		if (!(writer->flags & MAP_BUILD_NEW_MODE))
			mode = st.st_mode & 0666;
	}
	if (chown_it && geteuid() == 0 && fchown(fd, st.st_uid, st.st_gid) < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "chown %s: %m",
				 writer->building);
	if (fchmod(fd, mode) < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "chmod %s: %m",
				 writer->building);
	return RC_OK;
}

/* An empty file beside the table, that nobody else can have put there. */
static enum rc building_open(struct map_writer *writer, const char *source,
			     struct fault *fault)
{
	char *path =
		mem_printf(writer, "%s.%ld.new", writer->path, (long)getpid());
	int fd;
	enum rc rc;

	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
		  0600);
	if (fd < 0)
		return fault_set(fault, RC_CONF, "4.3.0", "create %s: %m",
				 path);
	writer->building = path;
	rc = take_rights(writer, source, fd, fault);
	close(fd);
	return rc;
}

static enum rc handle_open(struct map_writer *writer, struct fault *fault)
{
	bool edit = writer->building == NULL;

	if (writer->handle != NULL)
		return RC_OK;
	return writer->store->open_write(writer, writer->map,
					 edit ? writer->path : writer->building,
					 edit, &writer->handle, fault);
}

static enum rc file_writer_open(TALLOC_CTX *mem, const struct conf *conf,
				struct span type_and_name, const char *source,
				const struct map_build_options *options,
				struct map_writer **ret_writer,
				struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	bool edit = (options->flags & MAP_BUILD_INCREMENTAL) != 0;
	struct map_writer *writer;
	enum rc rc;

	rc = writer_new(tmp, conf, type_and_name, options, &writer, fault);
	if (rc != RC_OK)
		return rc;
	if (edit && !writer->store->can_edit)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "%s: a table of this type cannot be changed, "
				 "only made anew",
				 writer->map->full_name);
	rc = old_open(writer, fault);
	if (rc != RC_OK && rc != RC_NONE)
		return rc;
	if (rc == RC_NONE && (options->flags & MAP_BUILD_MUST_EXIST))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "open database %s: No such file or directory",
				 writer->path);
	edit = edit && rc == RC_OK;
	if (!edit) {
		rc = building_open(writer, source, fault);
		if (rc != RC_OK)
			return rc;
	}
	writer->source = source == NULL ? "stdin" : mem_strdup(writer, source);
	/* A new table is opened when it is known what it will hold. */
	rc = edit ? handle_open(writer, fault) : RC_OK;
	if (rc == RC_OK)
		*ret_writer = talloc_steal(mem, writer);
	return rc;
}

/* A table at a server: each change is made there at once. */
static enum rc remote_writer_open(TALLOC_CTX *mem, const struct conf *conf,
				  struct span type_and_name,
				  const struct map_build_options *options,
				  struct map_writer **ret_writer,
				  struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct map_writer *writer = mem_new(tmp, struct map_writer);
	enum rc rc = map_open(writer, conf, type_and_name, 0, &writer->remote,
			      fault);

	if (rc != RC_OK)
		return rc;
	writer->flags = options->flags;
	writer->options = *options;
	writer->source = "stdin";
	writer->duplicates = map_duplicates_new(writer, options);
	writer->fold = !(options->flags & MAP_BUILD_NO_FOLD) &&
		       !writer->remote->pattern;
	writer->path = writer->remote->full_name;
	*ret_writer = talloc_steal(mem, writer);
	return RC_OK;
}

enum rc map_writer_open(TALLOC_CTX *mem, const struct conf *conf,
			struct span type_and_name, const char *source,
			const struct map_build_options *options,
			struct map_writer **ret_writer, struct fault *fault)
{
	bool edit = (options->flags & MAP_BUILD_INCREMENTAL) != 0;
	const struct map_driver *driver = NULL;
	struct span type, name;

	if (map_name_split(type_and_name, &type, &name))
		driver = map_driver_find(type);
	while (edit && driver == &map_driver_proxy) {
		enum rc rc = map_proxy_approve(conf, name, true, fault);

		if (rc != RC_OK)
			return rc;
		type_and_name = name;
		driver = map_name_split(type_and_name, &type, &name)
				 ? map_driver_find(type)
				 : NULL;
	}
	if (edit && driver != NULL && driver->put != NULL)
		return remote_writer_open(mem, conf, type_and_name, options,
					  ret_writer, fault);
	return file_writer_open(mem, conf, type_and_name, source, options,
				ret_writer, fault);
}

/* The form of a key or value in the file. */
static struct span stored(const struct map_writer *writer, TALLOC_CTX *mem,
			  struct span text)
{
	return writer->nul ? map_store_with_nul(mem, text) : text;
}

static struct span folded(const struct map_writer *writer, TALLOC_CTX *mem,
			  struct span key)
{
	return writer->fold ? map_fold(mem, key, NULL, 0) : key;
}

enum rc map_writer_put_as_is(struct map_writer *writer, struct span key,
			     struct span value, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = NULL;

	if (writer->remote != NULL)
		return writer->remote->driver->put(
			writer->remote, key, value,
			(writer->flags & MAP_BUILD_REPLACE) != 0, fault);
	if (handle_open(writer, fault) != RC_OK)
		return fault == NULL ? RC_TEMP : fault->rc;
	tmp = talloc_new(writer);
	return writer->store->put(writer->handle, stored(writer, tmp, key),
				  stored(writer, tmp, value),
				  (writer->flags & MAP_BUILD_REPLACE) != 0,
				  fault);
}

enum rc map_writer_put(struct map_writer *writer, struct span key,
		       struct span value, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(writer);

	return map_writer_put_as_is(writer, folded(writer, tmp, key), value,
				    fault);
}

/* Whichever way the key was written, it goes. */
static enum rc erase_as_is(struct map_writer *writer, struct span key,
			   struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(writer);
	enum rc with, without;

	if (writer->remote != NULL)
		return writer->remote->driver->erase(writer->remote, key,
						     fault);
	if (handle_open(writer, fault) != RC_OK)
		return fault == NULL ? RC_TEMP : fault->rc;
	with = writer->store->erase(writer->handle,
				    map_store_with_nul(tmp, key), fault);
	if (with != RC_OK && with != RC_NONE)
		return with;
	without = writer->store->erase(writer->handle, key, fault);
	return without == RC_NONE ? with : without;
}

enum rc map_writer_delete(struct map_writer *writer, struct span key,
			  struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(writer);

	return erase_as_is(writer, folded(writer, tmp, key), fault);
}

/* In a table that is there: now. */
static enum rc line_put(struct map_writer *writer, struct span key,
			const struct map_writer_line *line, struct fault *fault)
{
	enum rc rc = RC_OK;

	/* Our own lines are written anew, in whatever form they were. */
	if (line->number == MAP_LINE_NONE)
		rc = erase_as_is(writer, key, fault);
	if (rc == RC_OK || rc == RC_NONE)
		rc = map_writer_put_as_is(writer, key, line->value, fault);
	if (rc == RC_NONE && line->number != MAP_LINE_NONE)
		map_duplicates_add(writer->duplicates, writer->source,
				   line->number, 0, line->key);
	return rc == RC_NONE ? RC_OK : rc;
}

enum rc map_writer_add(struct map_writer *writer,
		       const struct map_writer_line *line, struct fault *fault)
{
	char small[KEY_SMALL_BYTES];
	SCRATCH TALLOC_CTX *tmp = NULL;
	struct span key = line->key;
	enum rc rc;

	if (writer->fold && !line->as_is) {
		if (2 * key.len > sizeof(small))
			tmp = talloc_new(writer);
		key = map_fold(tmp, key, small, sizeof(small));
	}
	if (writer->building == NULL) {
		rc = line_put(writer, key, line, fault);
	} else {
		if (writer->sort == NULL)
			writer->sort = table_sort_new(
				writer, writer->path, writer->store->order,
				(writer->flags & MAP_BUILD_REPLACE) != 0);
		rc = table_sort_add(writer->sort, key, line->value,
				    line->number, fault);
	}
	if (rc != RC_OK && line->number != MAP_LINE_NONE)
		fault_add(fault, "%s, line %u", writer->source, line->number);
	return rc;
}

/* A sorted record into the new table. */
static enum rc record_write(void *arg, const struct table_record *record,
			    struct fault *fault)
{
	struct map_writer *writer = arg;
	const struct map_build_options *options = &writer->options;
	const struct map_store *store = writer->store;
	struct map_build_progress progress = { .phase = MAP_BUILD_WRITES };
	struct span key, value;
	char small[2 * KEY_SMALL_BYTES];
	SCRATCH TALLOC_CTX *tmp = NULL;
	enum rc rc;

	if (record->winner_line != 0) {
		if (!(writer->flags & MAP_BUILD_REPLACE) &&
		    record->line != MAP_LINE_NONE)
			map_duplicates_add(writer->duplicates, writer->source,
					   record->line, record->winner_line,
					   record->key);
		return RC_OK;
	}
	key = record->key;
	value = record->value;
	if (writer->nul) {
		if (key.len + value.len + 2 > sizeof(small))
			tmp = talloc_new(writer);
		map_store_pair_with_nul(tmp, &key, &value, small,
					sizeof(small));
	}
	rc = store->add != NULL
		     ? store->add(writer->handle, key, value, fault)
		     : store->put(writer->handle, key, value, true, fault);
	if (rc != RC_OK && record->line != MAP_LINE_NONE)
		return fault_add(fault, "%s, line %u", writer->source,
				 record->line);
	if (++writer->written % PROGRESS_STEP == 0 &&
	    options->progress != NULL) {
		progress.lines = progress.done = writer->written;
		progress.total = table_sort_count(writer->sort);
		options->progress(options->progress_arg, &progress);
	}
	return rc;
}

/* A new table, of the lines that were added. */
static enum rc sorted_write(struct map_writer *writer, struct fault *fault)
{
	const struct map_store *store = writer->store;
	struct map_store_fill fill = { 0 };
	enum rc rc;

	if (writer->sort != NULL) {
		fill.records = table_sort_count(writer->sort);
		fill.bytes = table_sort_bytes(writer->sort);
	}
	if (writer->handle == NULL && store->open_fill != NULL)
		rc = store->open_fill(writer, writer->map, writer->building,
				      &fill, &writer->handle, fault);
	else
		rc = handle_open(writer, fault);
	if (rc == RC_OK && writer->sort != NULL)
		rc = table_sort_each(writer->sort, record_write, writer, fault);
	return rc;
}

/* The new name survives a power cut. */
static enum rc directory_sync(const char *path, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *directory = dirname(mem_strdup(tmp, path));
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result;

	if (fd < 0 && errno == EACCES)
		return RC_OK; /* may be written and searched, not read */
	result = fd < 0 ? -1 : fsync(fd);
	if (result < 0)
		fault_set(fault, RC_TEMP, "4.3.0", "sync %s: %m", directory);
	if (fd >= 0)
		close(fd);
	return result < 0 ? RC_TEMP : RC_OK;
}

/* After the library is done: it may have written without a sync. */
static enum rc file_sync(const char *path, struct fault *fault)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	int result = fd < 0 ? -1 : fsync(fd);

	if (result < 0)
		fault_set(fault, RC_TEMP, "4.3.0", "sync %s: %m", path);
	if (fd >= 0)
		close(fd);
	return result < 0 ? RC_TEMP : RC_OK;
}

enum rc map_writer_commit(struct map_writer *writer, struct fault *fault)
{
	enum rc rc = RC_OK;

	if (writer->building != NULL)
		rc = sorted_write(writer, fault);
	if (rc == RC_OK && writer->remote == NULL)
		rc = writer->store->finish(writer->handle, fault);
	map_duplicates_say(writer->duplicates);
	if (rc != RC_OK || writer->building == NULL)
		return rc;
	rc = file_sync(writer->building, fault);
	if (rc != RC_OK)
		return rc;
	if (rename(writer->building, writer->path) < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "rename %s to %s: %m",
				 writer->building, writer->path);
	writer->building = NULL;
	return directory_sync(writer->path, fault);
}

const char *map_writer_path(const struct map_writer *writer)
{
	return writer->path;
}
