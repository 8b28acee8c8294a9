/* SPDX-License-Identifier: Apache-2.0 */
#include "map/map_build.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <sys/stat.h>
#include <unistd.h>

#include "map/map_priv.h"
#include "map/table_source.h"
#include "base/utf8.h"

enum { PROGRESS_STEP = 4096 /* lines */ };

static int source_close(struct map_source *source)
{
	if (source->fd > STDERR_FILENO)
		close(source->fd);
	return 0;
}

enum rc map_source_open(struct span type_and_name,
			const struct map_build_options *options,
			TALLOC_CTX *mem, struct map_source **ret_source,
			struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct map_source *source = mem_new(tmp, struct map_source);
	struct span type, name;

	if (!map_name_split(type_and_name, &type, &name))
		name = type_and_name;
	if (options->flags & MAP_BUILD_INCREMENTAL) {
		source->name = "stdin";
		source->fd = STDIN_FILENO;
	} else {
		source->name = mem_span_dup(source, name);
		source->fd = open(source->name, O_RDONLY | O_CLOEXEC);
		if (source->fd < 0)
			return fault_set(fault, RC_CONF, "4.3.0", "open %s: %m",
					 source->name);
	}
	talloc_set_destructor(source, source_close);
	*ret_source = talloc_steal(mem, source);
	return RC_OK;
}

/* May only root write where this file is? */
static bool only_root_writes_beside(const char *path)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct stat st;

	return stat(dirname(mem_strdup(tmp, path)), &st) == 0 &&
	       st.st_uid == 0 && (st.st_mode & 022) == 0;
}

enum rc map_source_become_owner(const struct map_source *source,
				const struct map_build_options *options,
				struct fault *fault)
{
	struct stat st;

	if (geteuid() != 0 || source->fd == STDIN_FILENO ||
	    (options->flags & MAP_BUILD_KEEP_USER))
		return RC_OK;
	if (fstat(source->fd, &st) < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "stat %s: %m",
				 source->name);
	if (st.st_uid == 0 || only_root_writes_beside(source->name))
		return RC_OK;
	if (setgroups(1, &st.st_gid) < 0 || setegid(st.st_gid) < 0 ||
	    seteuid(st.st_uid) < 0)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "become the owner of %s: %m", source->name);
	return RC_OK;
}

void map_source_become_self(void)
{
	if (geteuid() == getuid())
		return;
	if (seteuid(getuid()) < 0 || setegid(getgid()) < 0)
		abort(); /* root may always come back to itself */
}

void map_source_progress_init(struct map_source_progress *progress,
			      const struct map_build_options *options, int fd)
{
	struct stat st;

	*progress = (struct map_source_progress){ .options = options };
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		progress->now.total = (uint64_t)st.st_size;
	progress->now.phase = MAP_BUILD_READS;
}

void map_source_progress_line(struct map_source_progress *progress,
			      unsigned int number, size_t len)
{
	progress->now.lines = number;
	progress->now.done += len + 1;
	if (++progress->calls % PROGRESS_STEP == 0 &&
	    progress->options->progress != NULL)
		progress->options->progress(progress->options->progress_arg,
					    &progress->now);
}

struct build {
	const char *name;
	const struct map_build_options *options;
	struct table_warn warn;
	struct map_writer *writer;
};

static enum rc line_store(struct build *b, struct span key, struct span value,
			  unsigned int number, struct fault *fault)
{
	struct map_writer_line line = { key, value, number, false };
	SCRATCH TALLOC_CTX *tmp = NULL;
	enum rc rc;

	if (b->options->flags & MAP_BUILD_FILE_VALUES) {
		tmp = talloc_new(b->writer);
		rc = map_value_of_files(tmp, value, &line.value, fault);
		if (rc != RC_OK)
			return fault_add(fault, "%s, line %u", b->name, number);
	}
	return map_writer_add(b->writer, &line, fault);
}

static enum rc line_build(struct build *b, struct span line,
			  unsigned int number, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = NULL;
	struct span key, value;

	if ((b->options->flags & MAP_BUILD_CHECK_UTF8) &&
	    !utf8_is_valid(line)) {
		tmp = talloc_new(NULL);
		table_warn(&b->warn,
			   "%s, line %u: non-UTF-8 input \"%s\" -- "
			   "ignoring this line",
			   b->name, number, table_text_shown(tmp, line));
		return RC_OK;
	}
	if (!table_line_split(&b->warn, b->name, number, line, &key, &value))
		return RC_OK;
	return line_store(b, key, value, number, fault);
}

static enum rc lines_build(struct build *b, int fd, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct table_source *source = table_source_new(tmp, b->name, fd);
	struct map_source_progress progress;
	struct span line;
	unsigned int number;
	enum rc rc;

	map_source_progress_init(&progress, b->options, fd);
	while ((rc = table_source_next(source, &line, &number, fault)) ==
	       RC_OK) {
		map_source_progress_line(&progress, number, line.len);
		rc = line_build(b, line, number, fault);
		if (rc != RC_OK)
			return rc;
	}
	return rc == RC_NONE ? map_writer_commit(b->writer, fault) : rc;
}

enum rc map_build(const struct conf *conf, struct span type_and_name,
		  const struct map_build_options *options, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct build b = { .options = options,
			   .warn = { options->warn, options->warn_arg } };
	struct map_source *source;
	enum rc rc;

	rc = map_source_open(type_and_name, options, tmp, &source, fault);
	if (rc == RC_OK)
		rc = map_source_become_owner(source, options, fault);
	if (rc != RC_OK)
		return rc;
	b.name = source->name;
	rc = map_writer_open(tmp, conf, type_and_name,
			     source->fd == STDIN_FILENO ? NULL : b.name,
			     options, &b.writer, fault);
	if (rc == RC_OK)
		rc = lines_build(&b, source->fd, fault);
	talloc_free(b.writer);
	map_source_become_self();
	return rc;
}
