/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mime - where the parts of a message begin and end, for content checks: which
 * lines are headers of parts or of attached messages, and which are text.
 *
 * Shape    the message is not decoded and not changed; a line is told apart by
 *          the boundaries of the multiparts around it
 * Limits   mime_nesting_limit levels, mime_boundary_length_limit bytes of a
 *          boundary; what lies deeper or has no boundary is text
 * Owner    a child of mem
 * Threads  belongs to the message
 * See      RFC 2046 section 5
 */
#pragma once

#include "base/mem.h"
#include "base/span.h"

struct mime;

enum mime_place {
	MIME_PRIMARY_HEADER, /* of the message itself */
	MIME_PART_HEADER,
	MIME_NESTED_HEADER, /* of an attached message */
	MIME_TEXT,
	MIME_BOUNDARY, /* the line itself; mime_where says what comes next */
};

struct mime *mime_new(TALLOC_CTX *mem, int nesting_limit, int boundary_limit);
/* What the next line is, unless it is a boundary. */
enum mime_place mime_where(const struct mime *mime);
/* Only text comes to the end of the message: no line needs to be seen. */
bool mime_is_plain(const struct mime *mime);

/* A whole field of a header: its value, folded or not. */
void mime_header(struct mime *mime, struct span name, struct span value);
/* The empty line after a header, or text where a field should be. */
void mime_header_end(struct mime *mime);
/* A line of the body or of an inner header: MIME_BOUNDARY, or mime_where. Line
 * ends taken off. */
enum mime_place mime_line(struct mime *mime, struct span line);
