/* SPDX-License-Identifier: Apache-2.0 */
/*
 * content_scan - notes about content on its way in that spare the SMTP client
 * a scan on the way out. Content comes in pieces, cut anywhere.
 */
#pragma once

#include "queue/envelope.h"

struct content_scan {
	uint32_t flags; /* ENVELOPE_8BIT, ENVELOPE_DOT_LINE, ENVELOPE_BARE_EOL */
	uint32_t longest_line;
	uint32_t line_bytes; /* of the line that goes on */
	bool after_cr;
};

void content_scan_add(struct content_scan *scan, struct span bytes);
/* The content is complete: a last line without a line end is noted too. */
void content_scan_end(struct content_scan *scan);
