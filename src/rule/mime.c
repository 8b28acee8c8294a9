/* SPDX-License-Identifier: Apache-2.0 */
#include "rule/mime.h"

enum entity { /* what the header in progress announces */
	ENTITY_TEXT,
	ENTITY_MULTIPART,
	ENTITY_MESSAGE,
};

struct level {
	struct span boundary;
	bool is_digest;
};

struct mime {
	int nesting_limit, boundary_limit;
	enum mime_place where;
	enum entity entity;
	struct span boundary; /* of the multipart announced, may be empty */
	bool is_digest; /* its parts are messages unless they say otherwise */
	struct level *levels;
	int depth;
};

struct mime *mime_new(TALLOC_CTX *mem, int nesting_limit, int boundary_limit)
{
	struct mime *mime = mem_new(mem, struct mime);

	mime->nesting_limit = nesting_limit;
	mime->boundary_limit = boundary_limit;
	mime->where = MIME_PRIMARY_HEADER;
	return mime;
}

enum mime_place mime_where(const struct mime *mime)
{
	return mime->where;
}

bool mime_is_plain(const struct mime *mime)
{
	return mime->where == MIME_TEXT && mime->depth == 0;
}

/* Blanks, line ends and (comments). */
static void blanks_skip(struct span *rest)
{
	int depth = 0;

	while (rest->len > 0) {
		char c = rest->ptr[0];

		if (c == '(')
			depth++;
		else if (c == ')' && depth > 0)
			depth--;
		else if (c == '\\' && depth > 0)
			*rest = span_skip(*rest, 1);
		else if (depth == 0 && !ascii_is_space(c))
			return;
		*rest = span_skip(*rest, 1);
	}
}

/* A token or a quoted string, unquoted into a child of mem. */
static struct span word_take(TALLOC_CTX *mem, struct span *rest)
{
	size_t len = 0, out = 0;
	struct span word;
	char *text;

	blanks_skip(rest);
	if (rest->len > 0 && rest->ptr[0] == '"') {
		*rest = span_skip(*rest, 1);
		text = mem_span_dup(mem, *rest);
		for (; len < rest->len && rest->ptr[len] != '"'; len++) {
			if (rest->ptr[len] == '\\' && len + 1 < rest->len)
				len++;
			text[out++] = rest->ptr[len];
		}
		*rest = span_skip(*rest, len + 1);
		return (struct span){ text, out };
	}
	while (len < rest->len && !ascii_is_space(rest->ptr[len]) &&
	       memchr("()<>@,;:\\\"/[]?=", rest->ptr[len], 15) == NULL)
		len++;
	word = span_take(*rest, len);
	*rest = span_skip(*rest, len);
	return word;
}

/* A boundary may hold bytes that a token may not, quoted or not. */
static struct span boundary_take(TALLOC_CTX *mem, struct span *rest)
{
	size_t len = 0;
	struct span word;

	blanks_skip(rest);
	if (rest->len > 0 && rest->ptr[0] == '"')
		return word_take(mem, rest);
	while (len < rest->len && !ascii_is_space(rest->ptr[len]) &&
	       rest->ptr[len] != ';')
		len++;
	word = span_take(*rest, len);
	*rest = span_skip(*rest, len);
	return word;
}

static void boundary_find(struct mime *mime, struct span rest)
{
	SCRATCH TALLOC_CTX *scratch = talloc_new(mime);

	for (;;) {
		ssize_t semicolon;
		struct span name;

		blanks_skip(&rest);
		if (rest.len == 0)
			return;
		if (rest.ptr[0] == ';') {
			rest = span_skip(rest, 1);
			continue;
		}
		name = word_take(scratch, &rest);
		blanks_skip(&rest);
		if (rest.len > 0 && rest.ptr[0] == '=') {
			bool wanted = span_is_nocase(name, "boundary");
			struct span value;

			rest = span_skip(rest, 1);
			value = wanted ? boundary_take(scratch, &rest) :
					 word_take(scratch, &rest);
			if (wanted && value.len > 0) {
				value = span_take(value,
						  (size_t)mime->boundary_limit);
				mime->boundary = mem_span_copy(mime, value);
				return;
			}
			continue;
		}
		semicolon = span_find(rest, ';');
		rest = semicolon < 0 ? span_skip(rest, rest.len) :
				       span_skip(rest, (size_t)semicolon);
	}
}

void mime_header(struct mime *mime, struct span name, struct span value)
{
	SCRATCH TALLOC_CTX *scratch = NULL;
	struct span type, subtype;

	if (!span_is_nocase(name, "Content-Type"))
		return;
	scratch = talloc_new(mime);
	type = word_take(scratch, &value);
	blanks_skip(&value);
	if (value.len > 0 && value.ptr[0] == '/')
		value = span_skip(value, 1);
	subtype = word_take(scratch, &value);
	mime->entity = ENTITY_TEXT;
	mime->is_digest = false;
	mime->boundary = SPAN_OF("");
	if (span_is_nocase(type, "multipart")) {
		mime->entity = ENTITY_MULTIPART;
		mime->is_digest = span_is_nocase(subtype, "digest");
		boundary_find(mime, value);
	} else if (span_is_nocase(type, "message") &&
		   (span_is_nocase(subtype, "rfc822") ||
		    span_is_nocase(subtype, "global"))) {
		mime->entity = ENTITY_MESSAGE;
	}
}

void mime_header_end(struct mime *mime)
{
	enum entity entity = mime->entity;

	mime->entity = ENTITY_TEXT;
	mime->where = MIME_TEXT;
	if (entity == ENTITY_MESSAGE) {
		mime->where = MIME_NESTED_HEADER;
	} else if (entity == ENTITY_MULTIPART && mime->boundary.len > 0 &&
		   mime->depth < mime->nesting_limit) {
		mime->levels = mem_resize(mime, mime->levels, struct level,
					  (size_t)mime->depth + 1);
		mime->levels[mime->depth++] =
			(struct level){ mime->boundary, mime->is_digest };
	}
	mime->boundary = SPAN_OF("");
}

enum mime_place mime_line(struct mime *mime, struct span line)
{
	if (mime->depth == 0 || !span_starts(line, "--"))
		return mime->where;
	line = span_skip(line, 2);
	for (int i = mime->depth - 1; i >= 0; i--) {
		struct span boundary = mime->levels[i].boundary;

		if (!span_eq(span_take(line, boundary.len), boundary))
			continue;
		mime->depth = i + 1; /* inner multiparts end here too */
		mime->entity = ENTITY_TEXT;
		if (span_starts(span_skip(line, boundary.len), "--")) {
			mime->depth = i;
			mime->where = MIME_TEXT;
		} else {
			mime->where = MIME_PART_HEADER;
			if (mime->levels[i].is_digest)
				mime->entity = ENTITY_MESSAGE;
		}
		return MIME_BOUNDARY;
	}
	return mime->where;
}
