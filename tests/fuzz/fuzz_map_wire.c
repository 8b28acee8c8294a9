/* SPDX-License-Identifier: Apache-2.0 */
/* What servers of tables answer; the first byte says which protocol. */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "map/wire.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

enum { SIZE_MAX_BYTES = 8192 };

static void redis_read(struct wire *wire)
{
	struct redis_reply reply;

	while (redis_reply_read(wire, 1000, &reply) == RC_OK)
		if (reply.type == REDIS_TEXT)
			assert(reply.text.len <= 1000 &&
			       reply.text.ptr[reply.text.len] == '\0');
}

static void memcache_read(struct wire *wire, bool status)
{
	static const struct memcache_limits limits = { 100, 1000 };
	struct span key = SPAN("k"), value;

	for (enum rc rc = RC_OK; rc == RC_OK;) {
		if (status)
			rc = memcache_status_read(wire, &limits, "STORED",
						  "NOT_STORED");
		else
			rc = memcache_value_read(wire, key, &limits, &value);
		if (rc == RC_OK && !status)
			assert(value.len <= 1000);
	}
}

static void reply_read(struct wire *wire, unsigned char which)
{
	struct span value;

	switch (which) {
	case 't':
		while (tcp_reply_read(wire, &value) == RC_OK)
			assert(value.len <= TCP_REPLY_MAX_BYTES);
		break;
	case 's':
		while (socketmap_reply_read(wire, 1000, &value) == RC_OK)
			assert(value.len <= 1000);
		break;
	case 'm':
	case 'M':
		memcache_read(wire, which == 'M');
		break;
	default:
		redis_read(wire);
	}
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct fault fault = { 0 };
	struct wire wire = { .fault = &fault };
	int pair[2];

	if (size < 1 || size > SIZE_MAX_BYTES ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
		return 0;
	if (write(pair[0], data + 1, size - 1) != (ssize_t)(size - 1))
		assert(!"room for so much");
	close(pair[0]);
	wire.mem = talloc_new(NULL);
	wire.stream = net_stream_new(wire.mem, pair[1]);
	reply_read(&wire, data[0]);
	talloc_free(wire.mem);
	return 0;
}
