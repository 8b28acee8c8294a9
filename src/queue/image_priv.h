/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_priv - the fixed head of a message image, for the writers of images
 * and for recovery.
 *
 * Shape    head, then in any order and wherever the head says: envelope, header
 *          block, body; padding up to `length`. Numbers in host order: a queue
 *          does not move between machines of different byte order.
 * Trust    head_crc covers everything from `generation` to the end of the head
 *          and the envelope; the content has checksums of its own. A record
 *          with the magic of IMAGE_VOID was cancelled and is skipped.
 */
#pragma once

#include "queue/image.h"
#include "queue/queue_id.h"

enum {
	IMAGE_VERSION = 1,
	IMAGE_MAGIC_BYTES = 8,
	IMAGE_ENVELOPE_MAX_BYTES = 128 * 1024 * 1024,
	IMAGE_ALIGN_BYTES = 128, /* of records in a segment */
};

#define IMAGE_MAGIC "PSTNimg1"
#define IMAGE_VOID  "PSTNvoid"

enum image_flags {
	IMAGE_REFERENCE = 1, /* no content: the message is in a file, which has
			      * the generation in origin_generation */
};

struct image_head {
	char magic[IMAGE_MAGIC_BYTES];
	uint32_t version;
	uint32_t head_crc;
	uint64_t generation;
	uint64_t length;
	uint64_t header_offset, header_length; /* from the head on */
	uint64_t body_offset, body_length;
	uint64_t envelope_offset;
	uint32_t envelope_length;
	uint32_t header_crc, body_crc;
	uint32_t flags; /* enum image_flags */
	uint64_t origin_generation; /* of a file: the journal record it was */
	uint64_t origin_offset;
	char queue_id[QUEUE_ID_MAX_BYTES];
};

/* Fills in magic, version and head_crc; everything else is there. */
void image_head_seal(struct image_head *head, struct span envelope);
/* The head at `offset`, its numbers checked against each other, not its
 * checksum. RC_NONE: nothing that looks like an image. */
MUST_CHECK enum rc image_head_read(int fd, uint64_t offset,
				   struct image_head *ret_head,
				   struct fault *fault);
/* The envelope's bytes, child of mem, after its checksum was verified. */
MUST_CHECK enum rc image_envelope_read(TALLOC_CTX *mem, int fd, uint64_t offset,
				       const struct image_head *head,
				       struct span *ret_envelope,
				       struct fault *fault);
MUST_CHECK enum rc image_content_check(int fd, uint64_t offset,
				       const struct image_head *head,
				       struct fault *fault);
bool image_head_is_void(const struct image_head *head);

/* All of it, or RC_PERM at the end of the file, RC_TEMP I/O. */
MUST_CHECK enum rc read_exactly(int fd, uint64_t offset, void *into,
				size_t size, struct fault *fault);
