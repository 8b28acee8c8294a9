/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table_source - the text that tables are made of, one logical line at a time.
 *
 * Shape    # comment and blank lines are skipped, in between too; a line that
 *          starts with a blank goes on with the one before it
 * Units    at most TABLE_LINE_MAX_BYTES a logical line
 * Owner    a source is a child of mem; a line is good until the next one
 */
#pragma once

#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"

enum { TABLE_LINE_MAX_BYTES = 16 * 1024 * 1024 };

struct table_source;

/* The file stays the caller's; it is read from where it stands. */
struct table_source *table_source_new(TALLOC_CTX *mem, const char *name,
				      int fd);
/* The elements of "{ {line}, {line} }", without the outer braces, as lines. */
struct table_source *table_source_inline(TALLOC_CTX *mem, const char *name,
					 struct span text);
const char *table_source_name(const struct table_source *source);
/* *ret_number: where the line starts. RC_NONE at the end. */
MUST_CHECK enum rc table_source_next(struct table_source *source,
				     struct span *ret_line,
				     unsigned int *ret_number,
				     struct fault *fault);

/* Told about lines that are skipped. */
typedef void table_warn_fn(void *arg, const char *text);
struct table_warn {
	table_warn_fn *fn; /* NULL: tell nobody */
	void *arg;
};
void table_warn(const struct table_warn *warn, const char *format, ...)
	PRINTF(2, 3);

/* To the log, each of them: whoever opens a table, or opens it again because
 * the file has changed, is far from anybody who could say it. */
struct table_warn table_warn_to_log(void);

/* "key value" of a line, the key as it is written, quotes too. false: the line
 * is none, and *warn has heard why. */
MUST_CHECK bool table_line_split(const struct table_warn *warn,
				 const char *name, unsigned int number,
				 struct span line, struct span *ret_key,
				 struct span *ret_value);
/* Text with what is not printable as '?', short enough for a log line. */
char *table_text_shown(TALLOC_CTX *mem, struct span text);
