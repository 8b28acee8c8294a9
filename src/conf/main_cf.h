/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main_cf - the syntax of main.cf: "name = value" lines, in order.
 *
 * Errors   RC_CONF with file and line
 * Owner    everything is a child of mem
 */
#pragma once

#include "base/fault.h"
#include "base/mem.h"

struct main_cf_line {
	const char *name;
	const char *value; /* not expanded; no blanks at its ends */
	int line;
};

struct main_cf {
	struct main_cf_line *lines;
	size_t count;
	/* A first line that begins with a blank continues nothing and is left
	 * out; its number, or 0. */
	int orphan_line;
};

MUST_CHECK enum rc main_cf_parse(TALLOC_CTX *mem, struct span text,
				 const char *path, struct main_cf **ret_main,
				 struct fault *fault);
/* "name=value" with blanks allowed around both. */
MUST_CHECK enum rc main_cf_split(struct span text, struct span *ret_name,
				 struct span *ret_value, struct fault *fault);
