/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images as a disk may return them: the checksum of the head is made to fit, so
 * that the fuzzer gets behind it.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "queue/image_priv.h"
#include "queue/outcome_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void head_make_fit(char *bytes, size_t size)
{
	struct image_head head;

	if (size < sizeof(head))
		return;
	memcpy(&head, bytes, sizeof(head));
	if (head.envelope_offset > size ||
	    head.envelope_length > size - head.envelope_offset)
		return;
	image_head_seal(&head, (struct span){ bytes + head.envelope_offset,
					      head.envelope_length });
	memcpy(bytes, &head, sizeof(head));
}

static void nothing(void *arg, const struct delivery_status *status)
{
}

static void read_outcomes(TALLOC_CTX *mem, struct span rest)
{
	struct outcome outcome;
	struct span payload;
	size_t skipped;

	while (outcome_take(&rest, &outcome, &payload, &skipped))
		outcome_each_status(mem, payload, nothing, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	char *bytes = mem_array(mem, char, size + 1);
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct image *image;
	struct span header;
	char chunk[512];
	size_t got = 0;

	memcpy(bytes, data, size);
	head_make_fit(bytes, size);
	read_outcomes(mem, (struct span){ bytes, size });
	if (fd >= 0 && write(fd, bytes, size) == (ssize_t)size &&
	    image_open(mem, fd, 0, size % 2 == 0, &image, NULL) == RC_OK) {
		uint64_t at = 0;

		(void)!image_header(mem, image, &header, NULL);
		while (image_content_read(image, at, chunk, sizeof(chunk), &got,
					  NULL) == RC_OK &&
		       got > 0)
			at += got;
	}
	if (fd >= 0)
		close(fd);
	talloc_free(mem);
	return 0;
}
