/* SPDX-License-Identifier: Apache-2.0 */
/*
 * header - the header block of a message, one field at a time.
 *
 * Shape    name: value\r\n<blank>more value\r\n ...; LF alone ends a line too;
 *          blanks before the colon are tolerated
 * Owner    spans point into the block
 * Threads  no state
 * See      RFC 5322 section 2.2
 */
#pragma once

#include "base/buf.h"
#include "base/mem.h"

struct header {
	struct span whole; /* with all its line ends */
	struct span name;  /* "Subject" */
	struct span value; /* folded, as written; no blanks around it */
};

/* Length of the field name at the start of a line, 0 when this is no header
 * line. *ret_value_at (may be NULL): offset just after the colon. */
size_t header_name_len(struct span line, size_t *ret_value_at);
/* Does this line go on with the field before it? */
static inline bool header_is_continuation(struct span line)
{
	return line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t');
}

/* Take the next field off the front of *rest. false at the empty line that
 * ends the block, at a line that is no header, or at the end; *rest then points
 * at that line. */
MUST_CHECK bool header_next(struct span *rest, struct header *ret_header);
/* The first field of that name. */
MUST_CHECK bool header_find(struct span block, const char *name,
			    struct header *ret_header);
/* The length of the header block, without the empty line after it. */
size_t header_block_len(struct span message);
/* The value on one line: line ends are dropped, the blanks after them stay. */
char *header_unfold(TALLOC_CTX *mem, struct span value);

/* What the reference does with well-known fields. */
enum header_traits {
	HEADER_SENDER = 1,    /* sender addresses: rewritten */
	HEADER_RECIPIENT = 2, /* recipient addresses: rewritten */
	HEADER_RESENT = 4,    /* Resent-*: */
	HEADER_EXTRACT = 8,   /* sendmail -t takes recipients from it */
	HEADER_MIME = 16,     /* MIME-Version, Content-* */
	HEADER_UNIQUE = 32,   /* at most one makes sense */
};

/* Bits of enum header_traits; 0 for fields that are not known. */
int header_traits(struct span name);
