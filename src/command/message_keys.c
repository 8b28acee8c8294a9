/* SPDX-License-Identifier: Apache-2.0 */
#include "command/message_keys.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "mail/header.h"
#include "rule/mime.h"

struct reader {
	const struct message_keys *keys;
	struct mime *mime; /* NULL: without */
	bool in_header;	   /* of the message, or of a part */
	struct buf field;  /* the one that may go on */
};

static void field_end(struct reader *reader)
{
	struct span text = buf_span(&reader->field), name;
	size_t value_at, len = header_name_len(text, &value_at);

	if (text.len == 0)
		return;
	name = span_take(text, len);
	if (reader->mime != NULL)
		mime_header(reader->mime, name, span_skip(text, value_at));
	if (reader->keys->headers)
		reader->keys->found(reader->keys->arg, text);
	buf_clear(&reader->field);
}

static void body_line(struct reader *reader, struct span line)
{
	if (reader->keys->body)
		reader->keys->found(reader->keys->arg, line);
}

/* false: the line is none of a header, and the header is over. */
static bool header_line(struct reader *reader, struct span line)
{
	if (header_is_continuation(line) && reader->field.len > 0) {
		buf_add_char(&reader->field, '\n');
		buf_add(&reader->field, line);
		return true;
	}
	field_end(reader);
	if (header_name_len(line, NULL) > 0) {
		buf_add(&reader->field, line);
		return true;
	}
	reader->in_header = false;
	if (reader->mime != NULL)
		mime_header_end(reader->mime);
	return line.len == 0;
}

static bool is_inner_header(enum mime_place place)
{
	return place == MIME_PART_HEADER || place == MIME_NESTED_HEADER;
}

static void take_line(struct reader *reader, struct span line, bool *primary)
{
	enum mime_place place;

	if (*primary) {
		bool taken = header_line(reader, line);

		*primary = reader->in_header;
		/* The line that ended the header may begin the body. */
		if (taken)
			return;
	}
	if (reader->mime == NULL) {
		body_line(reader, line);
		return;
	}
	place = mime_line(reader->mime, line);
	if (place == MIME_BOUNDARY) {
		field_end(reader);
		body_line(reader, line);
	} else if (!is_inner_header(place) || !header_line(reader, line)) {
		body_line(reader, line);
	}
}

enum rc message_keys_read(const struct message_keys *keys, FILE *from,
			  struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct reader reader = { .keys = keys, .in_header = true };
	bool primary = true;
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	buf_init(&reader.field, tmp, MESSAGE_KEY_MAX_BYTES);
	if (keys->mime)
		reader.mime =
			mime_new(tmp, (int)keys->conf->v.mime_nesting_limit,
				 (int)keys->conf->v.mime_boundary_length_limit);
	while ((len = getline(&line, &size, from)) >= 0) {
		struct span text = { line, (size_t)len };

		if (span_ends(text, "\n"))
			text.len--;
		if (span_ends(text, "\r"))
			text.len--;
		take_line(&reader, text, &primary);
	}
	free(line);
	field_end(&reader);
	if (ferror(from))
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "read standard input: %m");
	return RC_OK;
}
