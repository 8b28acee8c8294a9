/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/smtp/downgrade.h"

#include "mail/header.h"

enum { QP_LINE_MAX_BYTES = 76 };

struct entity {
	struct span header, body; /* the body begins with the empty line */
	bool multipart, message, eight_bit;
	struct span boundary;
};

static void entity_write(TALLOC_CTX *mem, struct span content, int depth,
			 struct buf *out);

static bool is_eight_bit(struct span encoding)
{
	return span_is_nocase(encoding, "8bit") ||
	       span_is_nocase(encoding, "binary");
}

/* The value of boundary= in a Content-Type. */
static struct span boundary_find(TALLOC_CTX *mem, const char *value)
{
	struct span rest = span_from(value), part;
	char *out;
	size_t len = 0;

	if (!span_cut(&rest, ';', &part))
		return SPAN_OF("");
	while (span_cut(&rest, ';', &part)) {
		part = span_trim(part);
		if (!span_starts_nocase(part, "boundary="))
			continue;
		part = span_trim(span_skip(part, 9));
		if (!span_starts(part, "\""))
			return mem_span_copy(mem, part);
		out = mem_array(mem, char, part.len + 1);
		for (size_t i = 1; i < part.len && part.ptr[i] != '"'; i++) {
			if (part.ptr[i] == '\\' && i + 1 < part.len)
				i++;
			out[len++] = part.ptr[i];
		}
		return (struct span){out, len};
	}
	return SPAN_OF("");
}

static void entity_read(TALLOC_CTX *mem, struct span content,
			struct entity *ret_entity)
{
	const size_t len = header_block_len(content);
	struct entity e = {.header = span_take(content, len),
			   .body = span_skip(content, len)};
	struct span rest = e.header;
	struct header field;

	while (header_next(&rest, &field)) {
		if (span_is_nocase(field.name, "Content-Transfer-Encoding"))
			e.eight_bit = is_eight_bit(field.value);
		if (!span_is_nocase(field.name, "Content-Type"))
			continue;
		e.multipart = span_starts_nocase(field.value, "multipart/");
		e.message = span_starts_nocase(field.value, "message/rfc822") ||
			    span_starts_nocase(field.value, "message/global");
		if (e.multipart)
			e.boundary =
			    boundary_find(mem, header_unfold(mem, field.value));
	}
	*ret_entity = e;
}

/* The header with another encoding in it. */
static void header_write(const struct entity *e, const char *encoding,
			 struct buf *out)
{
	struct span rest = e->header;
	struct header field;

	while (header_next(&rest, &field))
		if (e->eight_bit &&
		    span_is_nocase(field.name, "Content-Transfer-Encoding"))
			buf_addf(out, "%.*s: %s\r\n", SPAN_FMT(field.name),
				 encoding);
		else
			buf_add(out, field.whole);
	buf_add(out, rest);
}

static void qp_line(struct span line, struct buf *out)
{
	size_t column = 0;

	for (size_t i = 0; i < line.len; i++) {
		const unsigned char c = (unsigned char)line.ptr[i];
		const bool blank = c == ' ' || c == '\t';
		const bool plain = (c > 32 && c < 127 && c != '=') ||
				   (blank && i + 1 < line.len);

		if (column + (plain ? 1 : 3) > QP_LINE_MAX_BYTES - 1) {
			buf_add(out, SPAN_OF("=\r\n"));
			column = 0;
		}
		if (plain)
			buf_add_char(out, (char)c);
		else
			buf_addf(out, "=%02X", c);
		column += plain ? 1 : 3;
	}
}

/* Take a line with its end off the front. */
static struct span line_take(struct span *rest)
{
	const ssize_t lf = span_find(*rest, '\n');
	const struct span line =
	    lf < 0 ? *rest : span_take(*rest, (size_t)lf + 1);

	*rest = span_skip(*rest, line.len);
	return line;
}

static void qp_write(struct span body, struct buf *out)
{
	while (body.len > 0) {
		struct span line = line_take(&body);
		size_t end = line.len;

		if (end > 0 && line.ptr[end - 1] == '\n')
			end -= 1 + (end > 1 && line.ptr[end - 2] == '\r');
		qp_line(span_take(line, end), out);
		buf_add(out, span_skip(line, end));
	}
}

static bool line_is_boundary(struct span line, struct span boundary)
{
	return line.len >= boundary.len + 2 && span_starts(line, "--") &&
	       memcmp(line.ptr + 2, boundary.ptr, boundary.len) == 0;
}

/* Preamble, parts, epilogue. */
static void multipart_write(TALLOC_CTX *mem, const struct entity *e, int depth,
			    struct buf *out)
{
	struct span rest = e->body, part = {rest.ptr, 0};
	bool inside = false;

	while (rest.len > 0) {
		const struct span line = line_take(&rest);

		if (!line_is_boundary(line, e->boundary)) {
			part.len += line.len;
			continue;
		}
		if (inside)
			entity_write(mem, part, depth + 1, out);
		else
			buf_add(out, part);
		buf_add(out, line);
		part = (struct span){rest.ptr, 0};
		inside =
		    !span_starts(span_skip(line, e->boundary.len + 2), "--");
	}
	if (inside)
		entity_write(mem, part, depth + 1, out);
	else
		buf_add(out, part);
}

static void entity_write(TALLOC_CTX *mem, struct span content, int depth,
			 struct buf *out)
{
	struct entity e;
	struct span empty, rest;

	if (depth > DOWNGRADE_DEPTH_MAX) {
		buf_add(out, content);
		return;
	}
	entity_read(mem, content, &e);
	if (e.multipart && e.boundary.len > 0) {
		header_write(&e, "7bit", out);
		multipart_write(mem, &e, depth, out);
		return;
	}
	if (!e.message && !e.eight_bit) {
		buf_add(out, content);
		return;
	}
	header_write(&e, e.message ? "7bit" : "quoted-printable", out);
	rest = e.body;
	empty = line_take(&rest);
	buf_add(out, empty);
	if (e.message)
		entity_write(mem, rest, depth + 1, out);
	else
		qp_write(rest, out);
}

void downgrade_message(TALLOC_CTX *mem, struct span message, struct buf *out)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);

	entity_write(tmp, message, 0, out);
}
