/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever a peer sends, taking fields stays inside the packet. */
#include "sys/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct packet_in in = { .fd = -1 };
	struct span script;
	size_t steps;

	if (size < 1)
		return 0;
	/* The first bytes say what is taken, the rest is the packet. */
	steps = MIN_OF((size_t)data[0], size - 1);
	script = (struct span){ (const char *)data + 1, steps };
	in.rest = (struct span){ (const char *)data + 1 + steps,
				 size - 1 - steps };
	for (size_t i = 0; i < script.len; i++) {
		struct span before = in.rest, taken = SPAN("");

		switch (script.ptr[i] & 3) {
		case 0:
			packet_take_u32(&in);
			break;
		case 1:
			packet_take_u64(&in);
			break;
		case 2:
			taken = packet_take_span(&in);
			break;
		default:
			packet_take_text(&in, tmp);
			break;
		}
		assert(in.rest.len <= before.len);
		assert(taken.len == 0 ||
		       (taken.ptr >= before.ptr &&
			taken.ptr + taken.len <= before.ptr + before.len));
	}
	return 0;
}
