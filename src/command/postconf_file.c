/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "command/postconf_priv.h"

static bool says_nothing(struct span line)
{
	line = span_trim(line);
	return line.len == 0 || line.ptr[0] == '#';
}

static void add_line(struct buf *out, struct span line)
{
	buf_add(out, line);
	buf_add_char(out, '\n');
}

void edit_text(struct span text, edit_judge judge, void *arg, struct buf *out)
{
	struct edit_verdict verdict = { VERDICT_KEEP, NULL };

	while (text.len > 0) {
		ssize_t end = span_find(text, '\n');
		struct span line =
			end < 0 ? text : span_take(text, (size_t)end);
		bool first;

		text = span_skip(text, line.len + 1);
		if (says_nothing(line)) {
			add_line(out, line);
			continue;
		}
		first = !ascii_is_space(line.ptr[0]);
		if (first)
			verdict = judge(arg, line);
		switch (verdict.what) {
		case VERDICT_KEEP:
			add_line(out, line);
			break;
		case VERDICT_DROP:
			break;
		case VERDICT_COMMENT:
			buf_add_char(out, '#');
			add_line(out, line);
			break;
		case VERDICT_REPLACE:
			if (first)
				add_line(out, span_from(verdict.text));
			break;
		}
	}
}

enum rc edit_lock(const char *config_directory, struct fault *fault)
{
	int fd = open(config_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return fault_set(fault, RC_CONF, "4.3.5", "open %s: %m",
				 config_directory);
	if (flock(fd, LOCK_EX) < 0)
		return fault_set(fault, RC_CONF, "4.3.5", "lock %s: %m",
				 config_directory);
	return RC_OK; /* left open: the lock is the process's */
}

static bool write_all(int fd, struct span text)
{
	while (text.len > 0) {
		ssize_t done = write(fd, text.ptr, text.len);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return false;
		text = span_skip(text, (size_t)done);
	}
	return true;
}

/* Owner, mode and contents of the new file, on the disk. */
static bool fill_new(int fd, const struct stat *old, struct span text)
{
	if (old->st_uid != geteuid() || old->st_gid != getegid()) {
		if (fchown(fd, old->st_uid, old->st_gid) < 0)
			return false;
	}
	return fchmod(fd, old->st_mode & 07777) == 0 && write_all(fd, text) &&
	       fsync(fd) == 0;
}

static void sync_folder(TALLOC_CTX *mem, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder =
		slash == NULL || slash == path
			? mem_strdup(mem, slash == NULL ? "." : "/")
			: mem_span_dup(mem,
				       (struct span){ path,
						      (size_t)(slash - path) });
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

enum rc edit_write(const char *path, struct span text, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char real[PATH_MAX];
	struct stat old;
	char *name;
	bool good;
	int fd;

	/* A link stays a link. */
	if (realpath(path, real) == NULL || stat(real, &old) < 0)
		return fault_set(fault, RC_CONF, "4.3.5", "%s: %m", path);
	name = mem_printf(tmp, "%s.XXXXXX", real);
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		return fault_set(fault, RC_CONF, "4.3.5", "create %s: %m",
				 name);
	good = fill_new(fd, &old, text);
	if (!good || rename(name, real) < 0) {
		fault_set(fault, RC_CONF, "4.3.5", "%s %s: %m",
			  good ? "rename to" : "write", good ? real : name);
		close(fd);
		unlink(name);
		return RC_CONF;
	}
	close(fd);
	sync_folder(tmp, real);
	return RC_OK;
}
