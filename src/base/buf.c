/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdio.h>

enum { FIRST_SIZE_BYTES = 256 };

void buf_init(struct buf *buf, TALLOC_CTX *mem, size_t max)
{
	*buf = (struct buf){ .mem = mem, .max = max };
}

void buf_done(struct buf *buf)
{
	talloc_free(buf->data);
	buf_init(buf, buf->mem, buf->max);
}

void buf_clear(struct buf *buf)
{
	buf->len = 0;
	buf->full = false;
	if (buf->data != NULL)
		buf->data[0] = '\0';
}

bool buf_reserve(struct buf *buf, size_t size)
{
	size_t cap = MAX_OF(buf->cap, (size_t)FIRST_SIZE_BYTES);

	if (buf->full || size > buf->max - buf->len) {
		buf->full = true;
		return false;
	}
	if (buf->len + size + 1 <= buf->cap)
		return true;
	while (cap < buf->len + size + 1)
		cap *= 2;
	buf->data = mem_resize(buf->mem, buf->data, char, cap);
	buf->cap = cap;
	buf->data[buf->len] = '\0';
	return true;
}

bool buf_add(struct buf *buf, struct span span)
{
	if (!buf_reserve(buf, span.len))
		return false;
	if (span.len > 0)
		memcpy(buf->data + buf->len, span.ptr, span.len);
	buf->len += span.len;
	buf->data[buf->len] = '\0';
	return true;
}

bool buf_add_text(struct buf *buf, const char *text)
{
	return buf_add(buf, span_from(text));
}

bool buf_add_char(struct buf *buf, char c)
{
	return buf_add(buf, (struct span){ &c, 1 });
}

bool buf_vaddf(struct buf *buf, const char *format, va_list args)
{
	va_list again;
	int size;

	va_copy(again, args);
	size = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (size < 0 || !buf_reserve(buf, (size_t)size))
		return false;
	vsnprintf(buf->data + buf->len, (size_t)size + 1, format, args);
	buf->len += (size_t)size;
	return true;
}

bool buf_addf(struct buf *buf, const char *format, ...)
{
	va_list args;
	bool added;

	va_start(args, format);
	added = buf_vaddf(buf, format, args);
	va_end(args);
	return added;
}

void buf_consume(struct buf *buf, size_t size)
{
	size = MIN_OF(size, buf->len);
	if (size == 0)
		return;
	buf->len -= size;
	memmove(buf->data, buf->data + size, buf->len);
	buf->data[buf->len] = '\0';
}
