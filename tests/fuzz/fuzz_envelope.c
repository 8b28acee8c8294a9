/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct envelope *env, *again;
	struct fault fault;
	struct buf out;

	if (envelope_decode(mem, (struct span){ (const char *)data, size },
			    &env, &fault) == RC_OK) {
		enum rc rc;

		buf_init(&out, mem, 16 * 1024 * 1024);
		envelope_encode(env, true, &out);
		rc = envelope_decode(mem, buf_span(&out), &again, &fault);
		assert(rc == RC_OK);
		assert(again->recipient_count == env->recipient_count);
		assert(strcmp(again->sender, env->sender) == 0);
		assert(strcmp(again->queue_id, env->queue_id) == 0);
	}
	talloc_free(mem);
	return 0;
}
