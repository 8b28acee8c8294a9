/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terminal - colours and progress for people; plain text for everything else.
 *
 * Holds    escape sequences and progress go only to a terminal that wants
 *          them: not with NO_COLOR, not with TERM=dumb, never into a pipe
 * Threads  one at a time
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "base/compiler.h"

struct terminal {
	FILE *to;
	bool is_terminal, colours;
	bool utf8; /* the locale's characters: lines and marks may be drawn */
	bool progress_shown;
	uint64_t progress_ms; /* when it was last drawn */
};

enum paint {
	PAINT_PLAIN,
	PAINT_BOLD,
	PAINT_DIM,
	PAINT_GOOD, /* green */
	PAINT_BAD,  /* red */
	PAINT_WARN, /* yellow */
};

void terminal_init(struct terminal *terminal, FILE *to);
/* What switches to this paint, or back with PAINT_PLAIN; "" without colours. */
const char *terminal_paint(const struct terminal *terminal, enum paint paint);
int terminal_width(const struct terminal *terminal); /* 80 when not known */

/* One line that is drawn over, at most five times a second; nothing without a
 * terminal. */
void terminal_progress(struct terminal *terminal, const char *format, ...)
	PRINTF(2, 3);
/* Take the line away, before other output and at the end. */
void terminal_progress_end(struct terminal *terminal);
