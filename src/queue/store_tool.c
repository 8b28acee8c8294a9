/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "queue/store_priv.h"
#include "sys/log.h"

struct search {
	TALLOC_CTX *mem;
	const char *queue_id;
	struct store_entry *entry;
};

static void search_found(void *arg, TALLOC_CTX *mem,
			 const struct store_entry *entry)
{
	struct search *search = arg;

	if (search->entry == NULL &&
	    strcmp(entry->env->queue_id, search->queue_id) == 0)
		search->entry = (struct store_entry *)talloc_steal(search->mem,
								   entry);
}

static enum rc find_in_journal(TALLOC_CTX *mem, struct store *store,
			       const char *queue_id,
			       struct store_entry **ret_entry,
			       struct fault *fault)
{
	struct search search = { .mem = mem, .queue_id = queue_id };
	enum rc rc = store_segments_load(store, NULL, fault);

	store->found = search_found;
	store->found_arg = &search;
	if (rc == RC_OK)
		rc = store_outcomes_load(store, fault);
	for (struct store_segment *segment = store->segments;
	     rc == RC_OK && segment != NULL && search.entry == NULL;
	     segment = segment->hh.next)
		store_segment_scan(store, segment, true);
	if (rc == RC_OK && search.entry == NULL)
		rc = fault_set(fault, RC_NONE, "4.3.0",
			       "no message %s in the queue", queue_id);
	if (rc == RC_OK)
		*ret_entry = search.entry;
	return rc;
}

enum rc store_find(TALLOC_CTX *mem, struct store *store, const char *queue_id,
		   struct store_entry **ret_entry, struct fault *fault)
{
	char path[QUEUE_PATH_MAX_BYTES];
	enum rc rc;

	if (!queue_id_is_valid(span_from(queue_id)))
		return fault_set(fault, RC_NONE, "4.3.0",
				 "\"%s\" is not a queue id", queue_id);
	queue_id_path(queue_id, path);
	rc = store_file_entry(mem, store, path, ret_entry, fault);
	if (rc != RC_NONE)
		return rc;
	return find_in_journal(mem, store, queue_id, ret_entry, fault);
}

static bool file_put_right(struct store *store, const char *hash,
			   const char *name)
{
	char is[QUEUE_PATH_MAX_BYTES], wants[QUEUE_PATH_MAX_BYTES];

	if (!queue_id_is_valid(span_from(name)))
		return false;
	snprintf(is, sizeof(is), "%.2s/%.31s", hash, name);
	queue_id_path(name, wants);
	if (strcmp(is, wants) == 0)
		return false;
	if (queue_hash_dir_make(store->dirs, wants) < 0 ||
	    renameat2(store->dirs->queue, is, store->dirs->queue, wants,
		      RENAME_NOREPLACE) < 0) {
		log_warning("rename queue/%s to queue/%s: %m", is, wants);
		return false;
	}
	log_info("%s: renamed from queue/%s to queue/%s", name, is, wants);
	return true;
}

static uint32_t dir_repair(struct store *store, const char *hash)
{
	int fd = openat(store->dirs->queue, hash,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	uint32_t moved = 0;

	while (stream != NULL && (entry = readdir(stream)) != NULL)
		moved += file_put_right(store, hash, entry->d_name);
	if (stream != NULL)
		closedir(stream);
	return moved;
}

enum rc store_repair(struct store *store, uint32_t *ret_moved,
		     struct fault *fault)
{
	int fd = openat(store->dirs->queue, ".", O_RDONLY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	*ret_moved = 0;
	if (stream == NULL)
		return fault_set(fault, RC_TEMP, "4.3.0", "list queue: %m");
	while ((entry = readdir(stream)) != NULL)
		if (strlen(entry->d_name) == 2 &&
		    ascii_is_alnum(entry->d_name[0]))
			*ret_moved += dir_repair(store, entry->d_name);
	closedir(stream);
	if (*ret_moved > 0 && syncfs(store->dirs->queue) < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "sync queue: %m");
	return RC_OK;
}
