/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/content_scan_priv.h"

static bool has_8bit(struct span bytes)
{
	uint64_t seen = 0;
	size_t i = 0;

	for (; i + sizeof(seen) <= bytes.len; i += sizeof(seen)) {
		uint64_t word;

		memcpy(&word, bytes.ptr + i, sizeof(word));
		seen |= word;
	}
	for (; i < bytes.len; i++)
		seen |= (uint8_t)bytes.ptr[i];
	return (seen & 0x8080808080808080) != 0;
}

static void line_grows(struct content_scan *scan, size_t bytes)
{
	uint64_t line = (uint64_t)scan->line_bytes + bytes;

	scan->line_bytes = (uint32_t)MIN_OF(line, (uint64_t)UINT32_MAX);
	scan->longest_line = MAX_OF(scan->longest_line, scan->line_bytes);
}

/* Part of a line, without the LF. */
static void scan_part(struct content_scan *scan, struct span part, bool has_lf)
{
	bool ends_in_cr = part.len > 0 && part.ptr[part.len - 1] == '\r';
	struct span inner = span_take(part, part.len - (ends_in_cr ? 1 : 0));

	if (scan->after_cr && part.len > 0) {
		scan->flags |= ENVELOPE_BARE_EOL;
		line_grows(scan, 1);
	} else if (scan->line_bytes == 0 && !scan->after_cr && part.len > 0 &&
		   part.ptr[0] == '.') {
		scan->flags |= ENVELOPE_DOT_LINE;
	}
	if (span_find(inner, '\r') >= 0)
		scan->flags |= ENVELOPE_BARE_EOL;
	line_grows(scan, inner.len);
	if (!has_lf) {
		scan->after_cr = ends_in_cr ||
				 (scan->after_cr && part.len == 0);
		return;
	}
	if (!ends_in_cr && !(scan->after_cr && part.len == 0))
		scan->flags |= ENVELOPE_BARE_EOL;
	scan->after_cr = false;
	scan->line_bytes = 0;
}

void content_scan_add(struct content_scan *scan, struct span bytes)
{
	if (has_8bit(bytes))
		scan->flags |= ENVELOPE_8BIT;
	while (bytes.len > 0) {
		ssize_t lf = span_find(bytes, '\n');
		size_t size = lf < 0 ? bytes.len : (size_t)lf;

		scan_part(scan, span_take(bytes, size), lf >= 0);
		bytes = span_skip(bytes, size + (lf >= 0 ? 1 : 0));
	}
}

void content_scan_end(struct content_scan *scan)
{
	if (scan->line_bytes > 0 || scan->after_cr)
		scan->flags |= ENVELOPE_BARE_EOL;
}
