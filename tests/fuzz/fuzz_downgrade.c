/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_downgrade - messages made 7-bit, and made fit for the wire.
 */
#include "deliver/smtp/downgrade.h"
#include "deliver/smtp/wire_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void wire_check(struct span wire)
{
	struct span line;

	while (span_cut(&wire, '\n', &line) && wire.ptr != NULL) {
		if (line.len == 0 || line.ptr[line.len - 1] != '\r' ||
		    memchr(line.ptr, '\r', line.len - 1) != NULL ||
		    span_is(line, ".\r"))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	const struct span in = {(const char *)data, size};
	struct wire_text text = {.limit = 40};
	struct buf out, wire;

	buf_init(&out, mem, 8 * size + 4096);
	buf_init(&wire, mem, 64 * size + 4096);
	downgrade_message(mem, in, &out);
	wire_text_add(&text, buf_span(&out), &wire);
	wire_text_end(&text, &wire);
	if (wire.full)
		abort();
	wire_check(buf_span(&wire));
	talloc_free(mem);
	return 0;
}
