/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token - the right-hand side of an alias, a .forward or an :include: file,
 * one destination at a time.
 *
 * Shape    jo, "jo smith"@example.test, Jo <jo@example.test>, \jo,
 *          /file/name, |command, "|command with blanks", :include:/file/name;
 *          separated by commas and line ends; # begins a comment line
 * Owner    answers are children of mem
 * See      aliases(5)
 */
#pragma once

#include "base/mem.h"

enum token_kind {
	TOKEN_ADDRESS, /* internal form, \ at the front kept */
	TOKEN_COMMAND, /* without the | */
	TOKEN_FILE,
	TOKEN_INCLUDE, /* without :include: */
};

struct token {
	enum token_kind kind;
	const char *text;
};

/* Take the next one off the front of *rest; false at the end. */
MUST_CHECK bool token_next(TALLOC_CTX *mem, struct span *rest,
			   struct token *ret_token);
