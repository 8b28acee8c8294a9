/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/smtp_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct span in = { (const char *)data, size }, before = in;
	struct smtp_reply *reply;
	struct fault fault;
	char dsn[DSN_MAX_BYTES];

	while (smtp_reply_parse(mem, &in, &reply, &fault) == RC_OK) {
		assert(in.len < before.len);
		before = in;
		for (size_t i = 0; i < reply->line_count; i++)
			smtp_reply_line(reply, i);
		smtp_reply_dsn(reply, dsn);
		assert(dsn[0] == '0' + reply->code / 100);
		assert(strlen(smtp_reply_text(mem, reply, 100)) <= 100);
	}
	assert(span_eq(in, before));
	talloc_free(mem);
	return 0;
}
