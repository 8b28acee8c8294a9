/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire_text - message content made fit for SMTP: lines end in CRLF and in
 * nothing else, a dot at the start of a line is doubled, lines that are too
 * long are broken with CRLF and a blank.
 *
 * Holds    what comes out has no CR or LF outside CRLF and no line of a single
 *          dot, whatever went in: a bare LF ends a line, a bare CR is a blank
 * Units    bytes; limit 0: lines are not broken
 * Threads  one
 * See      RFC 5321 sections 2.3.8, 4.5.2
 */
#pragma once

#include "base/buf.h"

struct wire_text {
	size_t limit; /* of a line without its end */
	size_t line;  /* bytes of this line so far */
	bool cr;      /* the last byte was a CR, not written yet */
};

/* The buffer must have room for three times the bytes and a few more. */
void wire_text_add(struct wire_text *text, struct span bytes, struct buf *out);
/* End the last line when it has no end. */
void wire_text_end(struct wire_text *text, struct buf *out);
