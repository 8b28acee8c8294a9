/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PARTIAL_MAX_BYTES = 64 * 1024 * 1024, BACKLOG_MAX_BYTES = 64 << 20 };

static int segment_close(struct store_segment *segment)
{
	close(segment->fd);
	return 0;
}

static int store_close(struct store *store)
{
	store_sync_stop(store);
	HASH_CLEAR(hh, store->segments);
	HASH_CLEAR(hh, store->partials);
	HASH_CLEAR(hh, store->gone);
	HASH_CLEAR(hh, store->pending);
	if (store->outcome_fd >= 0)
		close(store->outcome_fd);
	if (store->file_fd >= 0)
		close(store->file_fd);
	if (store->lock_fd >= 0)
		close(store->lock_fd);
	return 0;
}

static enum rc lock_store(struct store *store, struct fault *fault)
{
	store->lock_fd = queue_lock_take(store->dirs->journal, "lock");
	if (store->lock_fd >= 0)
		return RC_OK;
	if (errno == EWOULDBLOCK)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "another process manages this queue");
	return fault_set(fault, RC_CONF, "4.3.5", "open journal/lock: %m");
}

enum rc store_open(TALLOC_CTX *mem, const char *queue_directory,
		   enum store_mode mode, struct store **ret_store,
		   struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct store *store = mem_new(tmp, struct store);
	enum rc rc;

	store->mode = mode;
	store->io = &queue_io_system;
	store->lock_fd = store->file_fd = store->outcome_fd = -1;
	buf_init(&store->backlog, store, BACKLOG_MAX_BYTES);
	rc = queue_dirs_open(store, queue_directory, mode == STORE_OWNER,
			     &store->dirs, fault);
	if (rc != RC_OK)
		return rc;
	talloc_set_destructor(store, store_close);
	if (mode == STORE_OWNER) {
		rc = lock_store(store, fault);
		if (rc == RC_OK)
			rc = store_sync_start(store, fault);
		if (rc != RC_OK)
			return fault_add(fault, "queue directory %s",
					 queue_directory);
	}
	*ret_store = talloc_steal(mem, store);
	return RC_OK;
}

struct store_segment *store_segment_find(struct store *store,
					 uint64_t generation)
{
	struct store_segment *segment = store->last_segment;

	if (segment != NULL && segment->generation == generation)
		return segment;
	HASH_FIND(hh, store->segments, &generation, sizeof(generation),
		  segment);
	if (segment != NULL)
		store->last_segment = segment;
	return segment;
}

static struct store_segment *segment_add(struct store *store, int fd,
					 const struct segment_head *head)
{
	struct store_segment *segment = mem_new(store, struct store_segment);
	size_t map_bytes = head->size_bytes / IMAGE_ALIGN_BYTES / 8 + 1;

	segment->generation = head->generation;
	memcpy(segment->writer, head->writer, sizeof(segment->writer));
	segment->number = head->number;
	segment->fd = fd;
	segment->size_bytes = head->size_bytes;
	segment->known = mem_array(segment, uint8_t, map_bytes);
	segment->done = mem_array(segment, uint8_t, map_bytes);
	talloc_set_destructor(segment, segment_close);
	HASH_ADD(hh, store->segments, generation, sizeof(segment->generation),
		 segment);
	return segment;
}

enum rc store_segment_open(struct store *store, const char *writer,
			   uint32_t number, uint64_t generation,
			   struct store_segment **ret_segment,
			   struct fault *fault)
{
	struct store_segment *segment;
	char name[SEGMENT_NAME_MAX_BYTES];
	struct segment_head head;
	enum rc rc;
	int fd;

	segment_name(writer, number, name);
	fd = openat(store->dirs->journal, name,
		    O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return fault_set(fault, errno == ENOENT ? RC_NONE : RC_TEMP,
				 "4.3.0", "open journal/%s: %m", name);
	rc = segment_head_read(fd, writer, number, &head, fault);
	if (rc == RC_OK && generation != 0 && head.generation != generation)
		rc = fault_set(fault, RC_NONE, "4.3.0",
			       "journal/%s has a new life", name);
	segment = rc == RC_OK ? store_segment_find(store, head.generation) :
				NULL;
	if (rc == RC_OK && segment == NULL)
		segment = segment_add(store, fd, &head);
	else
		close(fd);
	if (rc == RC_OK)
		*ret_segment = segment;
	return rc;
}

struct store_segment *store_segment_get(struct store *store, const char *writer,
					uint32_t number, uint64_t generation)
{
	struct store_segment *segment = store_segment_find(store, generation);

	if (segment != NULL || !segment_writer_is_valid(writer) ||
	    store_segment_open(store, writer, number, generation, &segment,
			       NULL) == RC_OK)
		return segment;
	return NULL;
}

void store_segment_forget(struct store *store, struct store_segment *segment)
{
	if (store->last_segment == segment)
		store->last_segment = NULL;
	HASH_DEL(store->segments, segment);
	talloc_free(segment);
}

static bool bit_find(const struct store_segment *segment, uint64_t offset,
		     size_t *ret_byte, uint8_t *ret_bit)
{
	uint64_t index = offset / IMAGE_ALIGN_BYTES;

	if (offset % IMAGE_ALIGN_BYTES != 0 || offset >= segment->size_bytes)
		return false;
	*ret_byte = index / 8;
	*ret_bit = (uint8_t)(1 << (index % 8));
	return true;
}

bool store_segment_is_known(const struct store_segment *segment,
			    uint64_t offset)
{
	size_t byte;
	uint8_t bit;

	return bit_find(segment, offset, &byte, &bit) &&
	       (segment->known[byte] & bit) != 0;
}

bool store_segment_is_done(const struct store_segment *segment, uint64_t offset)
{
	size_t byte;
	uint8_t bit;

	return bit_find(segment, offset, &byte, &bit) &&
	       (segment->done[byte] & bit) != 0;
}

static bool bit_set(const struct store_segment *segment, uint8_t *map,
		    uint64_t offset)
{
	size_t byte;
	uint8_t bit;

	if (!bit_find(segment, offset, &byte, &bit) || (map[byte] & bit) != 0)
		return false;
	map[byte] |= bit;
	return true;
}

bool store_segment_set_known(struct store_segment *segment, uint64_t offset)
{
	bool is_new = bit_set(segment, segment->known, offset);

	segment->known_count += is_new;
	return is_new;
}

bool store_segment_set_done(struct store_segment *segment, uint64_t offset)
{
	bool is_new = bit_set(segment, segment->done, offset);

	segment->done_count += is_new;
	return is_new;
}

struct store_partial *store_partial_find(struct store *store,
					 struct record_key key)
{
	struct store_partial *partial;

	HASH_FIND(hh, store->partials, &key, sizeof(key), partial);
	return partial;
}

struct store_partial *store_partial_get(struct store *store,
					struct record_key key)
{
	struct store_partial *partial = store_partial_find(store, key);

	if (partial != NULL)
		return partial;
	partial = mem_new(store, struct store_partial);
	partial->key = key;
	buf_init(&partial->log, partial, PARTIAL_MAX_BYTES);
	HASH_ADD(hh, store->partials, key, sizeof(partial->key), partial);
	return partial;
}

void store_partial_drop(struct store *store, struct record_key key)
{
	struct store_partial *partial = store_partial_find(store, key);

	if (partial == NULL)
		return;
	HASH_DEL(store->partials, partial);
	talloc_free(partial);
}

bool store_note(struct store *store, const struct place *place,
		const char *queue_id)
{
	uint64_t generation = place->in_file ? place->record_generation :
					       place->generation;
	uint64_t offset = place->in_file ? place->record_offset : place->offset;
	struct store_segment *segment =
		store_segment_get(store, place->writer, place->segment,
				  generation);

	/* Not there: recycled, and before that it was read to its end. */
	if (segment == NULL || generation == 0)
		return false;
	if (store_segment_is_done(segment, offset) ||
	    !store_segment_set_known(segment, offset))
		return false;
	if (place->in_file)
		store_outcome_done(store, (struct record_key){ generation,
							       offset });
	return true;
}

enum rc store_descriptor(struct store *store, const struct place *place,
			 const char *queue_id, int *ret_fd, struct fault *fault)
{
	char path[QUEUE_PATH_MAX_BYTES];
	struct store_segment *segment;

	if (!place->in_file) {
		segment = store_segment_get(store, place->writer,
					    place->segment, place->generation);
		if (segment == NULL)
			return fault_set(fault, RC_TEMP, "4.3.0",
					 "journal/%s.%u: %m", place->writer,
					 place->segment);
		*ret_fd = segment->fd;
		return RC_OK;
	}
	if (store->file_fd >= 0)
		close(store->file_fd);
	queue_id_path(queue_id, path);
	store->file_fd = openat(store->dirs->queue, path,
				O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (store->file_fd < 0)
		return fault_set(fault, errno == ENOENT ? RC_NONE : RC_TEMP,
				 "4.3.0", "open queue/%s: %m", path);
	*ret_fd = store->file_fd;
	return RC_OK;
}

static enum rc journal_entry(TALLOC_CTX *mem, struct store *store,
			     const struct place *place,
			     struct store_entry **ret_entry,
			     struct fault *fault)
{
	struct record_key key = { place->generation, place->offset };
	struct store_partial *partial = store_partial_find(store, key);
	struct store_segment *segment =
		store_segment_get(store, place->writer, place->segment,
				  place->generation);
	struct image *image;
	enum rc rc;

	if (segment == NULL)
		return fault_set(fault, RC_NONE, "4.3.0",
				 "journal/%s.%u is gone", place->writer,
				 place->segment);
	rc = image_open(mem, segment->fd, place->offset, false, &image, fault);
	if (rc != RC_OK)
		return rc;
	*ret_entry = store_entry_make(
		mem, image->env,
		partial == NULL ? SPAN_OF("") : buf_span(&partial->log));
	(*ret_entry)->place = *place;
	(void)talloc_steal(*ret_entry, image);
	return RC_OK;
}

enum rc store_read(TALLOC_CTX *mem, struct store *store,
		   const struct place *place, const char *queue_id,
		   struct store_entry **ret_entry, struct fault *fault)
{
	char path[QUEUE_PATH_MAX_BYTES];

	if (!place->in_file)
		return journal_entry(mem, store, place, ret_entry, fault);
	queue_id_path(queue_id, path);
	return store_file_entry(mem, store, path, ret_entry, fault);
}
