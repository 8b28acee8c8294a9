/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/smtp/wire_text.h"

/* Bytes of a line: no CR, no LF. */
static void line_add(struct wire_text *text, struct span bytes, struct buf *out)
{
	if (bytes.len > 0 && text->line == 0 && bytes.ptr[0] == '.')
		buf_add_char(out, '.');
	while (text->limit > 0 && text->line + bytes.len > text->limit) {
		const size_t room = text->limit - text->line;

		buf_add(out, span_take(bytes, room));
		buf_add(out, SPAN_OF("\r\n "));
		bytes = span_skip(bytes, room);
		text->line = 1;
	}
	buf_add(out, bytes);
	text->line += bytes.len;
}

static void line_end(struct wire_text *text, struct buf *out)
{
	buf_add(out, SPAN_OF("\r\n"));
	text->line = 0;
	text->cr = false;
}

/* The length up to a CR or LF, or to the end. */
static size_t plain_len(struct span bytes)
{
	const char *lf = memchr(bytes.ptr, '\n', bytes.len);
	const size_t len = lf != NULL ? (size_t)(lf - bytes.ptr) : bytes.len;
	const char *cr = memchr(bytes.ptr, '\r', len);

	return cr != NULL ? (size_t)(cr - bytes.ptr) : len;
}

void wire_text_add(struct wire_text *text, struct span bytes, struct buf *out)
{
	while (bytes.len > 0) {
		size_t len;

		if (bytes.ptr[0] == '\n') {
			line_end(text, out);
			bytes = span_skip(bytes, 1);
			continue;
		}
		if (text->cr) {
			text->cr = false;
			line_add(text, SPAN_OF(" "), out);
		}
		if (bytes.ptr[0] == '\r') {
			text->cr = true;
			bytes = span_skip(bytes, 1);
			continue;
		}
		len = plain_len(bytes);
		line_add(text, span_take(bytes, len), out);
		bytes = span_skip(bytes, len);
	}
}

void wire_text_end(struct wire_text *text, struct buf *out)
{
	if (text->line > 0 || text->cr)
		line_end(text, out);
}
