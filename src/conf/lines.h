/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lines - logical lines of main.cf and master.cf: a line that begins with a
 * blank continues the one before; empty lines and comments are dropped, also
 * between the parts of one logical line.
 *
 * Shape    the parts joined without the line ends, blanks kept
 * Errors   RC_CONF: a NUL byte, a line beyond LINES_MAX_BYTES
 */
#pragma once

#include "base/buf.h"
#include "base/fault.h"

enum { LINES_MAX_BYTES = 1 << 20, LINES_FILE_MAX_BYTES = 16 << 20 };

struct lines {
	struct span rest;
	int line; /* number of the next physical line, from 1 */
	const char *path;
	/* "-o" at the beginning of a line continues one too: no service is
	 * called so, and blanks get lost when people copy. */
	bool dash_continues;
};

void lines_init(struct lines *lines, struct span text, const char *path);
/* The next logical line into *out (cleared first), and the number of its first
 * physical line. RC_NONE at the end. *ret_orphan: it begins with a blank and
 * there is nothing to continue. */
MUST_CHECK enum rc lines_next(struct lines *lines, struct buf *out,
			      int *ret_line, bool *ret_orphan,
			      struct fault *fault);
/* A whole file; child of mem. RC_CONF with the path when it cannot be read. */
MUST_CHECK enum rc lines_read_file(TALLOC_CTX *mem, const char *path,
				   struct span *ret_text, struct fault *fault);
