/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/mail_text.h"

#include <errno.h>
#include <unistd.h>

#include "mail/date.h"

enum { CHUNK_BYTES = 64 * 1024, OUT_MAX_BYTES = 4 * CHUNK_BYTES + 8192 };

struct copier {
	int flags;
	struct buf *out;
	bool line_begins;
	char start[8]; /* of the line, as long as it may be "From " */
	size_t start_len;
	bool cr;
};

static const char from_word[] = "From ";

static void line_end_add(struct copier *c)
{
	buf_add_text(c->out, c->flags & MAIL_TEXT_CRLF ? "\r\n" : "\n");
}

/* What was held back at the start of a line. */
static void start_flush(struct copier *c)
{
	buf_add(c->out, (struct span){c->start, c->start_len});
	c->start_len = 0;
	c->line_begins = false;
}

/* Bytes of one line; the beginning of a line may come in pieces. */
static void line_add(struct copier *c, struct span bytes)
{
	const size_t word_len = sizeof(from_word) - 1;

	if (c->line_begins && c->start_len == 0 && bytes.len > 0 &&
	    bytes.ptr[0] == '.' && (c->flags & MAIL_TEXT_DOTS))
		buf_add_char(c->out, '.');
	while (c->line_begins && bytes.len > 0) {
		if ((c->flags & MAIL_TEXT_QUOTE) == 0 ||
		    bytes.ptr[0] != from_word[c->start_len]) {
			start_flush(c);
			break;
		}
		c->start[c->start_len++] = bytes.ptr[0];
		bytes = span_skip(bytes, 1);
		if (c->start_len == word_len) {
			buf_add_char(c->out, '>');
			start_flush(c);
		}
	}
	buf_add(c->out, bytes);
}

static void line_end(struct copier *c)
{
	start_flush(c);
	line_end_add(c);
	c->line_begins = true;
	c->cr = false;
}

static void copy_add(struct copier *c, struct span bytes)
{
	while (bytes.len > 0) {
		const char *lf = memchr(bytes.ptr, '\n', bytes.len);
		size_t len = lf != NULL ? (size_t)(lf - bytes.ptr) : bytes.len;
		struct span line = span_take(bytes, len);

		if (c->cr && len > 0) {
			line_add(c, SPAN_OF("\r"));
			c->cr = false;
		}
		if (len > 0 && line.ptr[len - 1] == '\r') {
			line.len--;
			c->cr = true;
		}
		line_add(c, line);
		bytes = span_skip(bytes, len);
		if (lf != NULL) {
			line_end(c);
			bytes = span_skip(bytes, 1);
		}
	}
}

static void copy_end(struct copier *c)
{
	if (c->cr)
		line_add(c, SPAN_OF("\r"));
	if (!c->line_begins || c->start_len > 0)
		line_end(c);
	if (c->flags & MAIL_TEXT_BLANK)
		line_end_add(c);
}

static void head_add(const struct mail_text *text, struct buf *out)
{
	char date[DATE_MAX_BYTES];
	struct span rest = span_from(text->prepend), line;
	const char *eol = text->flags & MAIL_TEXT_CRLF ? "\r\n" : "\n";

	if (text->flags & MAIL_TEXT_FROM)
		buf_addf(out, "From %s  %s%s",
			 *text->sender != '\0' ? text->sender : "MAILER-DAEMON",
			 date_mbox(date, (time_t)(text->arrival_us / 1000000)),
			 eol);
	while (span_cut(&rest, '\n', &line) && (line.len > 0 || rest.len > 0))
		buf_addf(out, "%.*s%s", SPAN_FMT(line), eol);
}

static enum rc out_write(struct buf *out, int fd, int *ret_errno,
			 struct fault *fault)
{
	size_t done = 0;

	while (done < out->len) {
		ssize_t n = write(fd, out->data + done, out->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			*ret_errno = errno;
			return fault_set(fault, RC_TEMP, "4.3.0",
					 "error writing message: %m");
		}
		done += (size_t)n;
	}
	buf_clear(out);
	return RC_OK;
}

enum rc mail_text_write(const struct mail_text *text, int fd, int *ret_errno,
			struct fault *fault)
{
	SCRATCH char *chunk = mem_resize(NULL, NULL, char, CHUNK_BYTES);
	struct copier copier = {.flags = text->flags, .line_begins = true};
	uint64_t at = 0;
	struct buf out;
	size_t size;

	*ret_errno = 0;
	buf_init(&out, chunk, OUT_MAX_BYTES);
	copier.out = &out;
	head_add(text, &out);
	do {
		if (image_content_read(text->image, at, chunk, CHUNK_BYTES,
				       &size, fault) != RC_OK)
			return fault_add(fault, "error reading message");
		at += size;
		copy_add(&copier, (struct span){chunk, size});
		if (size == 0)
			copy_end(&copier);
		assert(!out.full);
		if (out_write(&out, fd, ret_errno, fault) != RC_OK)
			return fault->rc;
	} while (size > 0);
	return RC_OK;
}
