/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/header.h"
#include "rule/cleanup_priv.h"

enum { PENDING_FLUSH_BYTES = 16 * 1024 };

static enum rc intake_failed(struct cleanup *c, enum rc rc,
			     struct fault *fault)
{
	if (rc == RC_OK)
		return RC_OK;
	return cleanup_fail(c, cleanup_fault_plain(c, rc, fault), fault);
}

static enum rc pending_flush(struct cleanup *c)
{
	struct fault fault;
	enum rc rc;

	if (c->pending.len == 0 || c->rc != RC_OK)
		return c->rc;
	rc = intake_body(c->message, buf_span(&c->pending), &fault);
	buf_clear(&c->pending);
	return intake_failed(c, rc, &fault);
}

void cleanup_pending_add(struct cleanup *c, struct span text)
{
	struct fault fault;
	enum rc rc;

	if (c->pending.len + text.len > PENDING_FLUSH_BYTES)
		pending_flush(c);
	if (text.len <= PENDING_FLUSH_BYTES) {
		buf_add(&c->pending, text);
		return;
	}
	rc = intake_body(c->message, text, &fault);
	intake_failed(c, rc, &fault);
}

static bool is_checked(const struct cleanup *c)
{
	return c->flags & CLEANUP_FILTER;
}

/* The first bytes of each part. */
static bool text_is_checked(const struct cleanup *c)
{
	return c->service->has_body_checks && is_checked(c) &&
	       c->body_checked <
		       (uint64_t)c->service->conf->v.body_checks_size_limit;
}

static void line_put(struct cleanup *c, struct span line, bool partial)
{
	cleanup_pending_add(c, line);
	if (!partial)
		cleanup_pending_add(c, SPAN_OF("\r\n"));
}

/* The start of a line of text, or all of it. */
static void text_line(struct cleanup *c, struct span line, bool partial)
{
	SCRATCH TALLOC_CTX *scratch = NULL;
	struct span answer;

	if (line.len == 0 || !text_is_checked(c)) {
		line_put(c, line, partial);
		return;
	}
	scratch = talloc_new(NULL);
	c->body_checked += line.len;
	switch (cleanup_check(c, CHECK_BODY, line, scratch, &answer)) {
	case CHECK_PASS:
		break;
	case CHECK_REPLACE:
		line = answer;
		break;
	case CHECK_PREPEND:
		line_put(c, answer, false);
		break;
	case CHECK_DROP:
	case CHECK_STOP:
		c->line_dropped = partial;
		return;
	}
	line_put(c, line, partial);
}

/* A whole field of the header of a part or an attached message. */
static void inner_field(struct cleanup *c)
{
	SCRATCH TALLOC_CTX *scratch = talloc_new(NULL);
	struct span text = buf_span(&c->field), answer;
	size_t value_at, name_len = header_name_len(text, &value_at);
	struct span name = span_take(text, name_len);
	bool nested = mime_where(c->mime) == MIME_NESTED_HEADER &&
		      !(header_traits(name) & HEADER_MIME);

	switch (cleanup_check(c, nested ? CHECK_NESTED : CHECK_MIME,
			      cleanup_unfold(scratch, text), scratch,
			      &answer)) {
	case CHECK_PASS:
		line_put(c, text, false);
		break;
	case CHECK_REPLACE:
		line_put(c, answer, false);
		break;
	case CHECK_PREPEND:
		line_put(c, answer, false);
		line_put(c, text, false);
		break;
	case CHECK_DROP:
	case CHECK_STOP:
		break;
	}
	mime_header(c->mime, name, span_skip(text, value_at));
	buf_clear(&c->field);
	c->field_cut = false;
}

static void inner_field_end(struct cleanup *c)
{
	if (c->field.len > 0)
		inner_field(c);
}

/* A line where a field of an inner header may begin. */
static void inner_header_line(struct cleanup *c, struct span line, bool partial)
{
	if (header_is_continuation(line) && c->field.len > 0) {
		if (c->field.len + 2 < c->field.max)
			cleanup_field_add(c, SPAN_OF("\r\n"));
		cleanup_field_add(c, line);
		return;
	}
	inner_field_end(c);
	if (header_name_len(line, NULL) > 0) {
		cleanup_field_add(c, line);
		return;
	}
	mime_header_end(c->mime);
	c->body_checked = 0;
	if (line.len == 0)
		line_put(c, line, partial);
	else
		text_line(c, line, partial);
}

static void checked_line(struct cleanup *c, struct span line, bool partial)
{
	switch (mime_line(c->mime, line)) {
	case MIME_BOUNDARY:
		inner_field_end(c);
		c->body_checked = 0;
		line_put(c, line, partial);
		break;
	case MIME_PART_HEADER:
	case MIME_NESTED_HEADER:
		inner_header_line(c, line, partial);
		break;
	case MIME_PRIMARY_HEADER:
	case MIME_TEXT:
		text_line(c, line, partial);
		break;
	}
}

void cleanup_body_line(struct cleanup *c, struct span line, bool partial)
{
	bool continues = c->line_open;

	c->line_open = partial;
	if (!continues) {
		c->line_dropped = false;
		if (c->mime != NULL)
			checked_line(c, line, partial);
		else
			text_line(c, line, partial);
	} else if (c->field.len > 0) { /* a long line of an inner header */
		cleanup_field_add(c, line);
	} else if (!c->line_dropped) {
		line_put(c, line, partial);
	}
}

bool cleanup_in_body(const struct cleanup *c)
{
	return c->in_body && !c->line_open && !text_is_checked(c) &&
	       (c->mime == NULL || mime_is_plain(c->mime));
}

/* Is there a CR or LF that is no CRLF? */
static bool has_stray(struct span text)
{
	const char *p = text.ptr, *end = text.ptr + text.len;

	while (p < end) {
		const char *cr = memchr(p, '\r', (size_t)(end - p));
		const char *stop = cr == NULL ? end : cr;

		if (memchr(p, '\n', (size_t)(stop - p)) != NULL)
			return true;
		if (cr == NULL)
			return false;
		if (cr + 1 == end || cr[1] != '\n')
			return true;
		p = cr + 2;
	}
	return false;
}

/* Line by line: each ends at CRLF, what is left of CR and LF is stray. */
static enum rc body_by_lines(struct cleanup *c, struct span text)
{
	while (text.len > 0) {
		const char *end = memmem(text.ptr, text.len, "\r\n", 2);
		size_t len = end == NULL ? text.len :
					   (size_t)(end - text.ptr);

		cleanup_line(c, span_take(text, len), end == NULL);
		text = span_skip(text, len + 2);
	}
	return c->rc;
}

enum rc cleanup_body(struct cleanup *c, struct span crlf_lines)
{
	struct fault fault;
	enum rc rc;

	if (!cleanup_in_body(c) ||
	    (c->service->conf->v.cleanup_replace_stray_cr_lf &&
	     has_stray(crlf_lines)))
		return body_by_lines(c, crlf_lines);
	if (cleanup_size_check(c, crlf_lines.len) != RC_OK ||
	    pending_flush(c) != RC_OK)
		return c->rc;
	rc = intake_body(c->message, crlf_lines, &fault);
	return intake_failed(c, rc, &fault);
}

enum rc cleanup_body_end(struct cleanup *c)
{
	if (c->field.len > 0)
		inner_field(c);
	else if (c->line_open && !c->line_dropped)
		cleanup_pending_add(c, SPAN_OF("\r\n"));
	return pending_flush(c);
}
