/* SPDX-License-Identifier: Apache-2.0 */
#include "rule/maildrop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct span in = { (const char *)data, size };
	struct maildrop_head *head, *again;
	struct fault fault;
	struct buf out;
	enum rc rc = maildrop_head_parse(mem, &in, &head, &fault);

	if (rc == RC_OK) { /* what was read can be written, and read again */
		struct span bytes;

		buf_init(&out, mem, MAILDROP_HEAD_MAX_BYTES);
		rc = maildrop_head_format(head, &out, &fault);
		assert(rc == RC_OK);
		bytes = buf_span(&out);
		rc = maildrop_head_parse(mem, &bytes, &again, &fault);
		assert(rc == RC_OK && bytes.len == 0);
		assert(head->recipient_count == again->recipient_count);
	}
	talloc_free(mem);
	return 0;
}
