/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image - a message as it lies in a segment or file: a fixed head (magic,
 * version, generation, lengths, offsets, flags, CRC-32C), envelope, recipients,
 * final header block, body. What delivery agents get.
 *
 * Errors   RC_PERM not an image of this generation, or damaged; RC_TEMP I/O
 * Threads  the owner's
 */
#pragma once

#include "queue/envelope.h"

struct image {
	int fd;	/* borrowed */
	uint64_t offset, length;
	uint64_t generation; /* of the segment, or of the file */
	struct envelope *env;
	uint64_t header_offset, header_length; /* absolute in fd */
	uint64_t body_offset, body_length; /* begins with the empty line */
};

/* check_content: verify the CRC of the content too (recovery, postcat). */
MUST_CHECK enum rc image_open(TALLOC_CTX *mem, int fd, uint64_t offset,
			      bool check_content, struct image **ret_image,
			      struct fault *fault);
/* The header block, CRLF line ends, child of mem. */
MUST_CHECK enum rc image_header(TALLOC_CTX *mem, const struct image *image,
				struct span *ret_header, struct fault *fault);
/* Up to `size` bytes of header and body as one content, from `from` on;
 * *ret_size 0 at the end. */
MUST_CHECK enum rc image_content_read(const struct image *image, uint64_t from,
				      char *into, size_t size,
				      size_t *ret_size, struct fault *fault);
