/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_haproxy - what a proxy before the server says first, versions 1 and 2.
 */
#include "arrive/smtpd/haproxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span bytes = { (const char *)data, size };
	struct fault fault = { 0 };
	struct haproxy haproxy;
	size_t used = 0;

	switch (haproxy_parse(bytes, &haproxy, &used, &fault)) {
	case RC_OK:
		assert(used > 0 && used <= size && used <= HAPROXY_MAX_BYTES);
		assert(haproxy.is_local || haproxy.client.sa.sa_family != 0);
		/* a part of it is never taken for the whole */
		assert(haproxy_parse(span_take(bytes, used - 1), &haproxy,
				     &used, &fault) != RC_OK);
		break;
	case RC_NONE:
		assert(size < HAPROXY_MAX_BYTES);
		break;
	default:
		assert(fault.text[0] != '\0');
	}
	return 0;
}
