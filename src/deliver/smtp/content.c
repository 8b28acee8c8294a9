/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/smtp/content.h"

#include "deliver/smtp/wire_text.h"

enum {
	CHUNK_BYTES = 64 * 1024,
	/* Every byte a dot or an end of line, and folds. */
	WIRE_MAX_BYTES = 4 * CHUNK_BYTES + 64,
	LIMIT_LEAST = 16,
};

bool smtp_content_is_small(const struct smtp_content *c)
{
	return c->image->header_length + c->image->body_length <= CHUNK_BYTES;
}

static bool content_is_clean(const struct smtp_content *c)
{
	const struct envelope *env = c->image->env;

	return (env->flags & (ENVELOPE_DOT_LINE | ENVELOPE_BARE_EOL)) == 0 &&
	       (c->line_limit == 0 || env->longest_line <= c->line_limit) &&
	       c->header == NULL && c->whole == NULL;
}

static enum rc image_part(const struct smtp_content *c, uint64_t from,
			  char *into, size_t *ret_size, bool *ret_image_bad,
			  struct fault *fault)
{
	enum rc rc = image_content_read(c->image, from, into, CHUNK_BYTES,
					ret_size, fault);

	*ret_image_bad = rc != RC_OK;
	return rc;
}

static enum rc send_clean(const struct smtp_content *c,
			  struct net_stream *stream, char *chunk,
			  bool *ret_image_bad, struct fault *fault)
{
	static const char tail[] = "\r\n.\r\n";
	bool ended = true;
	size_t size;

	for (uint64_t at = 0;; at += size) {
		struct iovec parts[2] = {{chunk, 0}};
		const uint64_t all =
		    c->image->header_length + c->image->body_length;
		bool last;

		if (image_part(c, at, chunk, &size, ret_image_bad, fault) !=
		    RC_OK)
			return fault->rc;
		if (size > 0)
			ended = chunk[size - 1] == '\n';
		last = size == 0 || at + size >= all;
		parts[0].iov_len = size;
		if (last)
			parts[1] = (struct iovec){
			    .iov_base =
				(void *)(uintptr_t)(tail + (ended ? 2 : 0)),
			    .iov_len = ended ? 3 : 5,
			};
		if (net_stream_writev(stream, parts, last ? 2 : 1, fault) !=
		    RC_OK)
			return fault->rc;
		if (last)
			return net_stream_flush(stream, fault);
	}
}

static enum rc wire_write(struct net_stream *stream, struct buf *wire,
			  struct fault *fault)
{
	enum rc rc = net_stream_write(stream, buf_span(wire), fault);

	buf_clear(wire);
	return rc;
}

static enum rc send_changed(const struct smtp_content *c,
			    struct net_stream *stream, char *chunk,
			    bool *ret_image_bad, struct fault *fault)
{
	struct wire_text text = {.limit = c->line_limit};
	uint64_t at = 0;
	struct buf wire;
	size_t size;

	if (text.limit > 0)
		text.limit = MAX_OF(text.limit, (size_t)LIMIT_LEAST);
	buf_init(&wire, chunk, WIRE_MAX_BYTES);
	if (c->header != NULL || c->whole != NULL) {
		struct span rest = c->whole != NULL ? *c->whole : *c->header;

		at = c->image->header_length +
		     (c->whole != NULL ? c->image->body_length : 0);
		for (; rest.len > 0; rest = span_skip(rest, CHUNK_BYTES)) {
			wire_text_add(&text, span_take(rest, CHUNK_BYTES),
				      &wire);
			if (wire_write(stream, &wire, fault) != RC_OK)
				return fault->rc;
		}
	}
	do {
		if (image_part(c, at, chunk, &size, ret_image_bad, fault) !=
		    RC_OK)
			return fault->rc;
		at += size;
		wire_text_add(&text, (struct span){chunk, size}, &wire);
		if (size == 0) {
			wire_text_end(&text, &wire);
			buf_add(&wire, SPAN_OF(".\r\n"));
		}
		assert(!wire.full);
		if (wire_write(stream, &wire, fault) != RC_OK)
			return fault->rc;
	} while (size > 0);
	return net_stream_flush(stream, fault);
}

enum rc smtp_content_send(const struct smtp_content *c,
			  struct net_stream *stream, bool *ret_image_bad,
			  struct fault *fault)
{
	SCRATCH char *chunk = mem_resize(NULL, NULL, char, CHUNK_BYTES);

	*ret_image_bad = false;
	return content_is_clean(c)
		   ? send_clean(c, stream, chunk, ret_image_bad, fault)
		   : send_changed(c, stream, chunk, ret_image_bad, fault);
}
