/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <unistd.h>

#include "queue/store_priv.h"
#include "sys/log.h"

enum { SEARCH_CHUNK_BYTES = 64 * 1024 };

/* What is at one place of a segment. */
enum found {
	FOUND_NOTHING,	/* not of this life of the segment */
	FOUND_WHOLE,
	FOUND_VOID,	/* cancelled by its writer */
	FOUND_DAMAGED,	/* a good head, but not what should follow */
	FOUND_UNREADABLE,
};

bool store_segment_seal(struct store_segment *segment)
{
	if (!segment->sealed)
		segment->sealed = flock(segment->fd, LOCK_EX | LOCK_NB) == 0;
	return segment->sealed;
}

/* Its writer is gone: removed when it was never begun, kept when damaged. */
static void unusable_put_aside(struct store *store, const char *name,
			       bool is_damaged)
{
	int fd = openat(store->dirs->journal, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (store->mode == STORE_OWNER && flock(fd, LOCK_EX | LOCK_NB) == 0) {
		if (!is_damaged)
			(void)unlinkat(store->dirs->journal, name, 0);
		else if (renameat(store->dirs->journal, name,
				  store->dirs->corrupt, name) == 0)
			log_warning("journal/%s: moved to corrupt/%s", name,
				    name);
	}
	close(fd);
}

static void segment_load(struct store *store, const char *name,
			 const char *writer, uint32_t number)
{
	struct store_segment *segment;
	struct fault fault;
	enum rc rc = store_segment_open(store, writer, number, 0, &segment,
					&fault);

	if (rc == RC_TEMP || rc == RC_PERM)
		log_warning("%s", fault.text);
	if (rc == RC_PERM || rc == RC_NONE)
		unusable_put_aside(store, name, rc == RC_PERM);
}

enum rc store_segments_load(struct store *store, const char *writer,
			    struct fault *fault)
{
	int fd = openat(store->dirs->journal, ".", O_RDONLY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (stream == NULL) {
		fault_set(fault, RC_TEMP, "4.3.0", "list journal: %m");
		if (fd >= 0)
			close(fd);
		return RC_TEMP;
	}
	while ((entry = readdir(stream)) != NULL) {
		char owner[WRITER_NAME_MAX_BYTES];
		uint32_t number;

		if (!segment_name_parse(entry->d_name, owner, &number) ||
		    (writer != NULL && strcmp(owner, writer) != 0))
			continue;
		segment_load(store, entry->d_name, owner, number);
	}
	closedir(stream);
	return RC_OK;
}

static enum found record_look(TALLOC_CTX *mem, struct store_segment *segment,
			      uint64_t at, struct image_head *ret_head,
			      struct span *ret_envelope)
{
	enum rc rc = image_head_read(segment->fd, at, ret_head, NULL);

	if (rc == RC_TEMP)
		return FOUND_UNREADABLE;
	if (rc != RC_OK || ret_head->generation != segment->generation ||
	    at + ret_head->length > segment->size_bytes ||
	    ret_head->length % IMAGE_ALIGN_BYTES != 0)
		return FOUND_NOTHING;
	rc = image_envelope_read(mem, segment->fd, at, ret_head, ret_envelope,
				 NULL);
	if (rc != RC_OK)
		return rc == RC_TEMP ? FOUND_UNREADABLE : FOUND_NOTHING;
	if (image_head_is_void(ret_head))
		return FOUND_VOID;
	rc = image_content_check(segment->fd, at, ret_head, NULL);
	if (rc != RC_OK)
		return rc == RC_TEMP ? FOUND_UNREADABLE : FOUND_DAMAGED;
	return FOUND_WHOLE;
}

/* The next place where a head of this life of the segment may be; size_bytes
 * when there is none. */
static uint64_t search_next(struct store_segment *segment, uint64_t from)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *chunk = mem_array(tmp, char, SEARCH_CHUNK_BYTES);

	while (from < segment->size_bytes) {
		size_t size = MIN_OF(segment->size_bytes - from,
				     (uint64_t)SEARCH_CHUNK_BYTES);
		const size_t generation_at =
			offsetof(struct image_head, generation);

		if (read_exactly(segment->fd, from, chunk, size, NULL) != RC_OK)
			break;
		for (size_t i = 0; i + IMAGE_ALIGN_BYTES <= size;
		     i += IMAGE_ALIGN_BYTES)
			if (memcmp(chunk + i, IMAGE_MAGIC, 4) == 0 &&
			    memcmp(chunk + i + generation_at,
				   &segment->generation,
				   sizeof(segment->generation)) == 0)
				return from + i;
		from += size;
	}
	return segment->size_bytes;
}

/* A copy for the operator; the bytes in the segment go when it is recycled. */
static void save_damaged(struct store *store, struct store_segment *segment,
			 uint64_t from, uint64_t to, const char *why)
{
	char name[SEGMENT_NAME_MAX_BYTES + 24];
	bool saved = false;
	off_t in = (off_t)from;
	int fd;

	snprintf(name, sizeof(name), "%s.%" PRIu32 ".%" PRIu64, segment->writer,
		 segment->number, from);
	fd = openat(store->dirs->corrupt, name,
		    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, JOURNAL_FILE_MODE);
	if (fd < 0 && errno == EEXIST)
		return; /* at an earlier start */
	if (fd >= 0) {
		queue_file_adopt(store->dirs->journal, fd);
		saved = copy_file_range(segment->fd, &in, fd, NULL, to - from,
					0) == (ssize_t)(to - from) &&
			fsync(fd) == 0;
		close(fd);
	}
	log_warning("journal/%s.%" PRIu32 ": %s at offset %" PRIu64
		    ", %" PRIu64 " bytes; %s corrupt/%s",
		    segment->writer, segment->number, why, from, to - from,
		    saved ? "copied to" : "could not be copied to", name);
}

static void report_reference(struct store *store, const struct image_head *head)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char path[QUEUE_PATH_MAX_BYTES];
	struct store_entry *entry;

	queue_id_path(head->queue_id, path);
	if (store_file_entry(tmp, store, path, &entry, NULL) == RC_OK &&
	    entry->place.generation == head->origin_generation)
		store->found(store->found_arg, tmp, entry);
}

static void report_record(struct store *store, struct store_segment *segment,
			  uint64_t at, const struct image_head *head,
			  struct span envelope)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct record_key key = { segment->generation, at };
	struct store_partial *partial = store_partial_find(store, key);
	struct store_entry *entry;
	struct envelope *env;

	if (envelope_decode(tmp, envelope, &env, NULL) != RC_OK) {
		save_damaged(store, segment, at, at + head->length,
			     "an envelope that makes no sense");
		return;
	}
	entry = store_entry_make(tmp, env,
				 partial == NULL ? SPAN_OF("") :
						   buf_span(&partial->log));
	entry->place = (struct place){ .segment = segment->number,
				       .generation = segment->generation,
				       .offset = at,
				       .length = head->length };
	memcpy(entry->place.writer, segment->writer,
	       sizeof(entry->place.writer));
	store->found(store->found_arg, tmp, entry);
}

static void record_found(struct store *store, struct store_segment *segment,
			 uint64_t at, const struct image_head *head,
			 struct span envelope, bool report_files)
{
	struct record_key key = { segment->generation, at };

	if (store_segment_is_done(segment, at) ||
	    !store_segment_set_known(segment, at))
		return;
	if ((head->flags & IMAGE_REFERENCE) != 0) {
		store_outcome_done(store, key);
		if (report_files)
			report_reference(store, head);
		return;
	}
	if (store_move_was_made(store, head, at)) {
		store_outcome_done(store, key); /* the file wins */
		return;
	}
	report_record(store, segment, at, head, envelope);
}

/* Records lie without gaps. In a segment that its writer still fills, what is
 * not whole is being written now; in a sealed one it is damage, or the torn end
 * of a crash. */
static uint64_t not_whole(struct store *store, struct store_segment *segment,
			  uint64_t at, enum found found,
			  const struct image_head *head)
{
	uint64_t next;

	if (!segment->sealed)
		return segment->size_bytes;
	if (found == FOUND_DAMAGED) {
		save_damaged(store, segment, at, at + head->length,
			     "a record that is not whole");
		store_segment_set_done(segment, at);
		return at + head->length;
	}
	next = search_next(segment, at + IMAGE_ALIGN_BYTES);
	if (next < segment->size_bytes)
		save_damaged(store, segment, at, next, "damaged records");
	return next;
}

void store_segment_scan(struct store *store, struct store_segment *segment,
			bool report_files)
{
	uint64_t at = SEGMENT_HEAD_BYTES;

	while (at + sizeof(struct image_head) <= segment->size_bytes) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct image_head head;
		struct span envelope;
		enum found found;

		found = record_look(tmp, segment, at, &head, &envelope);
		if (found == FOUND_UNREADABLE) {
			log_warning("journal/%s.%" PRIu32 ": cannot be read "
				    "at offset %" PRIu64 ": %m",
				    segment->writer, segment->number, at);
			return; /* not complete: tried again */
		}
		if (found == FOUND_WHOLE)
			record_found(store, segment, at, &head, envelope,
				     report_files);
		if (found == FOUND_WHOLE || found == FOUND_VOID)
			at += head.length;
		else
			at = not_whole(store, segment, at, found, &head);
	}
	segment->complete = segment->sealed;
}

enum rc store_scan(struct store *store, store_found_fn found, void *arg,
		   struct fault *fault)
{
	bool owner = store->mode == STORE_OWNER;
	enum rc rc;

	store->found = found;
	store->found_arg = arg;
	if (owner)
		segment_clean_free(store->dirs);
	rc = store_segments_load(store, NULL, fault);
	if (rc == RC_OK)
		rc = store_outcomes_load(store, fault);
	if (rc == RC_OK && owner)
		rc = store_outcome_begin(store, fault);
	if (rc != RC_OK)
		return rc;
	for (struct store_segment *segment = store->segments; segment != NULL;
	     segment = segment->hh.next) {
		if (owner)
			store_segment_seal(segment);
		store_segment_scan(store, segment, false);
	}
	rc = store_files_scan(store, fault);
	if (rc == RC_OK && owner) /* what the old files said has been done */
		rc = store_outcome_rotate(store, fault);
	while (store->gone != NULL) {
		struct store_gone *gone = store->gone;

		HASH_DEL(store->gone, gone);
		talloc_free(gone);
	}
	return rc;
}

enum rc store_scan_writer(struct store *store, const char *writer,
			  store_found_fn found, void *arg, struct fault *fault)
{
	enum rc rc;

	store->found = found;
	store->found_arg = arg;
	rc = store_segments_load(store, writer, fault);
	if (rc != RC_OK)
		return rc;
	for (struct store_segment *segment = store->segments; segment != NULL;
	     segment = segment->hh.next)
		if (strcmp(segment->writer, writer) == 0 && !segment->complete)
			store_segment_scan(store, segment, true);
	return RC_OK;
}
