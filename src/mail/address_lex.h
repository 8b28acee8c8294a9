/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address_lex - the words that addresses are made of; for this folder only.
 *
 * Shape    atom, "quoted", [literal], (comment), one special of <>@,;:
 *          a dot is part of an atom; what has no end runs to the end of the
 *          text and is marked broken
 * Owner    tokens point into the text
 */
#pragma once

#include "base/buf.h"

enum address_token_kind {
	ADDRESS_ATOM,
	ADDRESS_QUOTED,
	ADDRESS_LITERAL,
	ADDRESS_COMMENT,
	ADDRESS_SPECIAL,
};

struct address_token {
	enum address_token_kind kind;
	struct span text; /* as written, quotes and brackets included */
	bool blank_before, broken;
};

bool address_token_next(struct span *rest, struct address_token *ret_token);
bool address_token_is(const struct address_token *token, char special);
/* The token in internal form: quotes and backslashes taken off. */
bool address_token_add(struct buf *out, const struct address_token *token);

/* What is between < and > or between commas, in internal form; a route in front
 * is dropped, comments too. Words with only a blank between them stay words,
 * `words` says so. */
struct address_spec_check {
	bool broken;   /* something had no end */
	bool comments; /* there were comments */
	bool words;    /* words that no dot or @ joins */
	bool list;     /* a comma, semicolon, < or > inside */
};
bool address_spec_add(struct buf *out, struct span spec,
		      struct address_spec_check *ret_check);
