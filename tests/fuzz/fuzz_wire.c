/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct packet_in packet_of(const uint8_t *data, size_t size)
{
	return (struct packet_in){ .rest = { (const char *)data, size },
				   .fd = -1 };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct packet_in in = packet_of(data, size);
	struct delivery_request *request;
	struct delivery_status status;
	struct envelope *env;
	struct place place;
	struct fault fault;
	bool with_recipients;
	size_t count = 0;

	while (writer_new_take(mem, &in, &place, &env, &with_recipients,
			       &fault) == RC_OK)
		assert(++count <= size);
	in = packet_of(data, size);
	while (in.rest.len > 0 && delivery_status_take(&in, mem, &status))
		assert(++count <= 2 * size);
	in = packet_of(data, size);
	in.fd = 1000000; /* nothing is open there */
	if (delivery_request_take(mem, &in, &request, &fault) == RC_OK)
		assert(request->recipient_count <= size);
	talloc_free(mem);
	return 0;
}
