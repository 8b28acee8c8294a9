/* SPDX-License-Identifier: Apache-2.0 */
/*
 * span - bytes that somebody else owns: a pointer and a length. NUL is a byte.
 *
 * Everything that comes from outside travels as a span. A span never owns.
 * Case folding is ASCII only; it never depends on the locale.
 */
#pragma once

#include <string.h>
#include <sys/types.h>

#include "base/compiler.h"

struct span {
	const char *ptr;
	size_t len;
};

/* A span of a string literal, usable in static initialisers. */
#define SPAN(literal) { (literal), sizeof(literal) - 1 }
/* The same as a value. */
#define SPAN_OF(literal) ((struct span)SPAN(literal))
/* For "%.*s". */
#define SPAN_FMT(s) (int)MIN_OF((s).len, (size_t)INT32_MAX), (s).ptr

static inline struct span span_from(const char *text)
{
	return (struct span){ text, text == NULL ? 0 : strlen(text) };
}

static inline bool span_eq(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool span_eq_nocase(struct span a, struct span b);
bool span_is(struct span span, const char *text);
bool span_is_nocase(struct span span, const char *text);
bool span_starts(struct span span, const char *prefix);
bool span_starts_nocase(struct span span, const char *prefix);
bool span_ends(struct span span, const char *suffix);
bool span_ends_nocase(struct span span, const char *suffix);

/* Offset of the first or last such byte, or -1. */
ssize_t span_find(struct span span, char byte);
ssize_t span_rfind(struct span span, char byte);

/* The part from `from` on; the first `count` bytes. Both clamp to the span. */
struct span span_skip(struct span span, size_t from);
struct span span_take(struct span span, size_t count);
/* Without blanks, tabs, CR and LF at both ends. */
struct span span_trim(struct span span);

/* Take the text up to the separator, or all of it, off the front of *rest; the
 * separator is dropped. false, with *ret_head untouched, when *rest is used up
 * (ptr NULL after the last part, so that "a," has two parts). */
bool span_cut(struct span *rest, char separator, struct span *ret_head);
/* The next run of bytes that are not in `separators`; false at the end. */
bool span_token(struct span *rest, const char *separators,
		struct span *ret_token);

/* A decimal number with nothing around it, at most `max`. */
MUST_CHECK bool span_to_u64(struct span span, uint64_t max, uint64_t *ret_value);

char ascii_lower(char c);
char ascii_upper(char c);
bool ascii_is_space(char c);
bool ascii_is_digit(char c);
bool ascii_is_alnum(char c);
bool ascii_is_print(char c);
/* Fold a NUL-terminated text of ours in place. */
void ascii_lower_text(char *text);
