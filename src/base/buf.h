/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf - bytes that grow, up to a limit. Always followed by a NUL that is not
 * counted, so data can be printed.
 *
 * Units    bytes
 * Errors   an addition that would pass `max` adds nothing, returns false and
 *          sets `full`; later additions fail too, so one check at the end does
 * Owner    data is a talloc child of the mem given to buf_init
 */
#pragma once

#include <stdarg.h>

#include "base/mem.h"
#include "base/span.h"

struct buf {
	TALLOC_CTX *mem;
	char *data;
	size_t len, cap, max;
	bool full;
};

void buf_init(struct buf *buf, TALLOC_CTX *mem, size_t max);
/* Free the data; the buffer is empty and may be used again. */
void buf_done(struct buf *buf);
/* Empty it and keep the memory; clears `full`. */
void buf_clear(struct buf *buf);

bool buf_add(struct buf *buf, struct span span);
bool buf_add_text(struct buf *buf, const char *text);
bool buf_add_char(struct buf *buf, char c);
bool buf_addf(struct buf *buf, const char *format, ...) PRINTF(2, 3);
bool buf_vaddf(struct buf *buf, const char *format, va_list args) PRINTF(2, 0);
/* Room for `size` more bytes at data + len; the caller then raises len. */
MUST_CHECK bool buf_reserve(struct buf *buf, size_t size);
/* Drop bytes from the front. */
void buf_consume(struct buf *buf, size_t size);

static inline struct span buf_span(const struct buf *buf)
{
	return (struct span){ buf->data == NULL ? "" : buf->data, buf->len };
}

/* The text; "" when nothing was ever added. */
static inline const char *buf_text(const struct buf *buf)
{
	return buf->data == NULL ? "" : buf->data;
}
