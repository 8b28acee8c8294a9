/* SPDX-License-Identifier: Apache-2.0 */
/*
 * content_reader - the one place that knows line ends and dots: it finds where
 * a message ends and hands its content on, dots removed, in large pieces.
 *
 * Shape    in:  what the client sends after DATA, or in BDAT chunks
 *          out: LINES whole lines, each with CRLF, as they lie in the input
 *               PART  a part of a line that is longer than line_max, no end
 *               LINE  one line, or the last part of one, without its line end
 * Ends     only CRLF . CRLF ends the data, the CRLF of the DATA line counts;
 *          with CONTENT_LF_ENDS also LF . LF in all mixtures
 * Lines    CRLF, or LF alone; CRs right before the line end are dropped, other
 *          bare CRs stay
 * Limits   holds no bytes itself; a line is never kept waiting for more than
 *          line_max + 2 bytes of input
 * Threads  belongs to the session
 * See      RFC 5321 section 4.5.2, RFC 3030
 */
#pragma once

#include "base/span.h"

enum content_flags {
	CONTENT_DOTS = 1,    /* DATA; without it BDAT */
	CONTENT_LF_ENDS = 2, /* smtpd_forbid_bare_newline = no */
};

struct content_reader {
	int flags;
	size_t line_max;
	bool in_line;	 /* the last piece was a PART */
	bool after_crlf; /* the line before ended in CRLF */
	bool bare_lf;	 /* seen one */
	bool ended;	 /* the end of data was seen */
};

enum content_kind { CONTENT_LINES, CONTENT_PART, CONTENT_LINE };
typedef void (*content_sink_fn)(void *arg, enum content_kind kind,
				struct span bytes);

void content_reader_init(struct content_reader *reader, int flags,
			 size_t line_max);
/* Take what can be taken off the front of the input and return how much that
 * is; the rest is to be given again with more bytes behind it. Nothing after
 * the end of data is taken. */
MUST_CHECK size_t content_reader_run(struct content_reader *reader,
				     struct span input, content_sink_fn sink,
				     void *arg);
/* There will be no more input (the last chunk): `rest` is the end of it. */
void content_reader_finish(struct content_reader *reader, struct span rest,
			   content_sink_fn sink, void *arg);
