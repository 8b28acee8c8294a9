/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content in reads of any size must come out the same as in one: first byte the
 * flags, second the size of the reads. Lines stay below the limit here, where
 * parts are cut depends on the reads.
 */
#include "arrive/smtpd/content_reader.h"
#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(void *arg, enum content_kind kind, struct span bytes)
{
	struct buf *text = arg;

	if (kind == CONTENT_LINES)
		assert(span_ends(bytes, "\r\n"));
	else
		assert(span_find(bytes, '\n') < 0);
	assert(buf_add(text, bytes));
	if (kind == CONTENT_LINE)
		buf_add_text(text, "\r\n");
}

static size_t feed(struct content_reader *reader, struct span in, size_t step,
		   struct buf *text)
{
	size_t used = 0, given = step;

	for (;;) {
		struct span now = span_skip(span_take(in, given), used);

		used += content_reader_run(reader, now, take, text);
		assert(used <= given);
		if (reader->ended || given >= in.len)
			return used;
		given = given + step > in.len ? in.len : given + step;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct content_reader whole, split;
	struct buf a, b;
	struct span in;
	size_t used;

	if (size < 2 || size > 100000)
		return 0;
	in = (struct span){ (const char *)data + 2, size - 2 };
	buf_init(&a, NULL, 300000);
	buf_init(&b, NULL, 300000);
	content_reader_init(&whole, data[0] & 3, 200000);
	content_reader_init(&split, data[0] & 3, 200000);
	used = feed(&whole, in, in.len, &a);
	assert(used == feed(&split, in, (size_t)data[1] + 1, &b));
	assert(span_eq(buf_span(&a), buf_span(&b)));
	assert(whole.ended == split.ended && whole.bare_lf == split.bare_lf);
	/* and with a limit: nothing but memory errors can be seen here */
	buf_clear(&a);
	content_reader_init(&whole, data[0] & 3, 16);
	feed(&whole, in, (size_t)data[1] + 1, &a);
	buf_done(&a);
	buf_done(&b);
	return 0;
}
