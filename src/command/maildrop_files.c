/* SPDX-License-Identifier: Apache-2.0 */
#include "command/maildrop_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "queue/queue_id.h"

enum { HEAD_READ_BYTES = 1024 * 1024 };

static DIR *maildrop_open(const struct conf *conf)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	return opendir(
		mem_printf(tmp, "%s/maildrop", conf->v.queue_directory));
}

/* Whole, and nobody writes it any more. */
static bool is_complete(const struct stat *st)
{
	return S_ISREG(st->st_mode) && (st->st_mode & S_IXUSR) != 0;
}

static void file_show(int dir_fd, const char *name, maildrop_file_fn *each,
		      void *arg)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *bytes = mem_array(tmp, char, HEAD_READ_BYTES);
	struct maildrop_head *head;
	struct fault fault;
	struct stat st;
	struct span text;
	ssize_t size;
	int fd = openat(dir_fd, name,
			O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return;
	if (fstat(fd, &st) != 0 || !is_complete(&st)) {
		close(fd);
		return;
	}
	size = read(fd, bytes, HEAD_READ_BYTES);
	close(fd);
	text = (struct span){ bytes, size > 0 ? (size_t)size : 0 };
	if (maildrop_head_parse(tmp, &text, &head, &fault) == RC_OK)
		each(arg, name, &st, head);
}

enum rc maildrop_files_each(const struct conf *conf, maildrop_file_fn *each,
			    void *arg, struct fault *fault)
{
	DIR *dir = maildrop_open(conf);
	const struct dirent *entry;

	if (dir == NULL && errno == ENOENT)
		return RC_OK;
	if (dir == NULL)
		return fault_set(fault, RC_TEMP, "4.3.0", "open %s/maildrop: %m",
				 conf->v.queue_directory);
	while ((entry = readdir(dir)) != NULL)
		if (queue_id_is_valid(span_from(entry->d_name)))
			file_show(dirfd(dir), entry->d_name, each, arg);
	closedir(dir);
	return RC_OK;
}

uint32_t maildrop_files_delete(const struct conf *conf, const char *name)
{
	bool all = strcmp(name, "ALL") == 0;
	DIR *dir = maildrop_open(conf);
	const struct dirent *entry;
	uint32_t count = 0;
	struct stat st;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (!queue_id_is_valid(span_from(entry->d_name)) ||
		    (!all && strcmp(entry->d_name, name) != 0))
			continue;
		if (fstatat(dirfd(dir), entry->d_name, &st,
			    AT_SYMLINK_NOFOLLOW) == 0 &&
		    is_complete(&st) &&
		    unlinkat(dirfd(dir), entry->d_name, 0) == 0)
			count++;
	}
	if (dir != NULL)
		closedir(dir);
	return count;
}
