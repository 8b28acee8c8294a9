/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/image_priv.h"

#include <errno.h>
#include <unistd.h>

#include "queue/crc32c.h"

enum {
	CHECK_CHUNK_BYTES = 64 * 1024,
	HEADER_MAX_BYTES = 128 * 1024 * 1024,
	FIRST_READ_BYTES = 4096, /* head and envelope of most messages */
};

static_assert(sizeof(struct image_head) == 136, "the head has no holes");

/* Up to `size` bytes; fewer only at the end of the file. */
static enum rc read_some(int fd, uint64_t offset, void *into, size_t size,
			 size_t *ret_size, struct fault *fault)
{
	size_t done = 0;

	while (done < size) {
		ssize_t got = pread(fd, (char *)into + done, size - done,
				    (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fault_set(fault, RC_TEMP, "4.3.0",
					 "read message: %m");
		if (got == 0)
			break;
		done += (size_t)got;
	}
	*ret_size = done;
	return RC_OK;
}

enum rc read_exactly(int fd, uint64_t offset, void *into, size_t size,
		     struct fault *fault)
{
	size_t got;
	enum rc rc = read_some(fd, offset, into, size, &got, fault);

	if (rc == RC_OK && got < size)
		return fault_set(fault, RC_PERM, "5.3.0",
				 "the message is cut off");
	return rc;
}

static uint32_t head_crc(const struct image_head *head, struct span envelope)
{
	size_t from = offsetof(struct image_head, generation);
	struct span covered = { (const char *)head + from,
				sizeof(*head) - from };

	return crc32c(crc32c(0, covered), envelope);
}

void image_head_seal(struct image_head *head, struct span envelope)
{
	memcpy(head->magic, IMAGE_MAGIC, IMAGE_MAGIC_BYTES);
	head->version = IMAGE_VERSION;
	head->head_crc = head_crc(head, envelope);
}

bool image_head_is_void(const struct image_head *head)
{
	return memcmp(head->magic, IMAGE_VOID, IMAGE_MAGIC_BYTES) == 0;
}

static bool part_fits(const struct image_head *head, uint64_t offset,
		      uint64_t length)
{
	return offset <= head->length && length <= head->length - offset;
}

static enum rc head_check(const struct image_head *head, uint64_t offset,
			  struct fault *fault)
{
	if (memcmp(head->magic, IMAGE_MAGIC, IMAGE_MAGIC_BYTES) != 0 &&
	    !image_head_is_void(head))
		return fault_set(fault, RC_NONE, "5.3.0", "not a message");
	if (head->version != IMAGE_VERSION)
		return fault_set(fault, RC_PERM, "5.3.0",
				 "message of version %u, known is %d",
				 head->version, IMAGE_VERSION);
	if (head->length < sizeof(*head) || head->length > INT64_MAX ||
	    offset > INT64_MAX - head->length ||
	    !part_fits(head, head->header_offset, head->header_length) ||
	    !part_fits(head, head->body_offset, head->body_length) ||
	    !part_fits(head, head->envelope_offset, head->envelope_length) ||
	    head->header_length > HEADER_MAX_BYTES ||
	    head->envelope_length > IMAGE_ENVELOPE_MAX_BYTES ||
	    memchr(head->queue_id, '\0', QUEUE_ID_MAX_BYTES) == NULL ||
	    !queue_id_is_valid(span_from(head->queue_id)))
		return fault_set(fault, RC_PERM, "5.3.0",
				 "damaged head of a message");
	return RC_OK;
}

enum rc image_head_read(int fd, uint64_t offset, struct image_head *ret_head,
			struct fault *fault)
{
	struct image_head head;
	size_t got;

	if (read_some(fd, offset, &head, sizeof(head), &got, fault) != RC_OK)
		return RC_TEMP;
	if (got < sizeof(head))
		return fault_set(fault, RC_NONE, "5.3.0", "not a message");
	*ret_head = head;
	return head_check(&head, offset, fault);
}

static enum rc envelope_check(const struct image_head *head,
			      struct span envelope, struct fault *fault)
{
	if (head_crc(head, envelope) == head->head_crc)
		return RC_OK;
	return fault_set(fault, RC_PERM, "5.3.0",
			 "wrong checksum of head and envelope");
}

enum rc image_envelope_read(TALLOC_CTX *mem, int fd, uint64_t offset,
			    const struct image_head *head,
			    struct span *ret_envelope, struct fault *fault)
{
	struct span envelope = { NULL, head->envelope_length };
	char *bytes = mem_array(mem, char, head->envelope_length + 1);
	enum rc rc = read_exactly(fd, offset + head->envelope_offset, bytes,
				  head->envelope_length, fault);

	envelope.ptr = bytes;
	if (rc == RC_OK)
		rc = envelope_check(head, envelope, fault);
	if (rc != RC_OK) {
		talloc_free(bytes);
		return rc;
	}
	*ret_envelope = envelope;
	return RC_OK;
}

static enum rc part_check(int fd, uint64_t offset, uint64_t length,
			  uint32_t want_crc, struct fault *fault)
{
	char chunk[CHECK_CHUNK_BYTES];
	uint32_t crc = 0;

	while (length > 0) {
		size_t size = MIN_OF(length, (uint64_t)CHECK_CHUNK_BYTES);
		enum rc rc = read_exactly(fd, offset, chunk, size, fault);

		if (rc != RC_OK)
			return rc;
		crc = crc32c(crc, (struct span){ chunk, size });
		offset += size;
		length -= size;
	}
	if (crc != want_crc)
		return fault_set(fault, RC_PERM, "5.3.0",
				 "wrong checksum of the content");
	return RC_OK;
}

enum rc image_content_check(int fd, uint64_t offset,
			    const struct image_head *head, struct fault *fault)
{
	enum rc rc = part_check(fd, offset + head->header_offset,
				head->header_length, head->header_crc, fault);

	if (rc != RC_OK)
		return rc;
	return part_check(fd, offset + head->body_offset, head->body_length,
			  head->body_crc, fault);
}

/* Head and envelope in one read where they lie together. */
static enum rc image_begin_read(TALLOC_CTX *mem, int fd, uint64_t offset,
				struct image_head *ret_head,
				struct span *ret_envelope, struct fault *fault)
{
	struct image_head head;
	char *first = mem_array(mem, char, FIRST_READ_BYTES);
	size_t got;
	enum rc rc = read_some(fd, offset, first, FIRST_READ_BYTES, &got,
			       fault);

	if (rc != RC_OK)
		return rc;
	if (got < sizeof(head))
		return fault_set(fault, RC_PERM, "5.3.0", "not a message");
	memcpy(&head, first, sizeof(head));
	rc = head_check(&head, offset, fault);
	if (rc != RC_OK)
		return rc;
	if (image_head_is_void(&head))
		return fault_set(fault, RC_PERM, "5.3.0",
				 "the message was cancelled");
	*ret_head = head;
	if (head.envelope_offset + head.envelope_length > got)
		return image_envelope_read(mem, fd, offset, &head, ret_envelope,
					   fault);
	*ret_envelope = (struct span){ first + head.envelope_offset,
				       head.envelope_length };
	return envelope_check(&head, *ret_envelope, fault);
}

enum rc image_open(TALLOC_CTX *mem, int fd, uint64_t offset,
		   bool check_content, struct image **ret_image,
		   struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct image *image = mem_new(tmp, struct image);
	struct image_head head;
	struct span envelope;
	enum rc rc;

	rc = image_begin_read(tmp, fd, offset, &head, &envelope, fault);
	if (rc == RC_NONE)
		rc = fault_set(fault, RC_PERM, "5.3.0", "not a message");
	if (rc == RC_OK && check_content)
		rc = image_content_check(fd, offset, &head, fault);
	if (rc == RC_OK)
		rc = envelope_decode(image, envelope, &image->env, fault);
	if (rc != RC_OK)
		return rc;
	image->fd = fd;
	image->offset = offset;
	image->length = head.length;
	image->generation = head.generation;
	image->header_offset = offset + head.header_offset;
	image->header_length = head.header_length;
	image->body_offset = offset + head.body_offset;
	image->body_length = head.body_length;
	*ret_image = talloc_steal(mem, image);
	return RC_OK;
}

enum rc image_header(TALLOC_CTX *mem, const struct image *image,
		     struct span *ret_header, struct fault *fault)
{
	char *bytes = mem_array(mem, char, image->header_length + 1);
	enum rc rc = read_exactly(image->fd, image->header_offset, bytes,
				  image->header_length, fault);

	if (rc != RC_OK) {
		talloc_free(bytes);
		return rc;
	}
	*ret_header = (struct span){ bytes, image->header_length };
	return RC_OK;
}

enum rc image_content_read(const struct image *image, uint64_t from,
			   char *into, size_t size, size_t *ret_size,
			   struct fault *fault)
{
	uint64_t header = image->header_length, body = image->body_length;
	bool adjacent = image->header_offset + header == image->body_offset;
	uint64_t end = adjacent || from >= header ? header + body : header;
	uint64_t at;
	enum rc rc;

	if (from >= header + body) {
		*ret_size = 0;
		return RC_OK;
	}
	at = from < header ? image->header_offset + from :
			     image->body_offset + (from - header);
	size = MIN_OF(size, end - from);
	rc = read_exactly(image->fd, at, into, size, fault);
	if (rc == RC_OK)
		*ret_size = size;
	return rc;
}
