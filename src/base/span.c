/* SPDX-License-Identifier: Apache-2.0 */
#include "base/span.h"

char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

char ascii_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
}

bool ascii_is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

bool ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool ascii_is_alnum(char c)
{
	return ascii_is_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

bool ascii_is_print(char c)
{
	return c >= ' ' && c <= '~';
}

void ascii_lower_text(char *text)
{
	for (; *text != '\0'; text++)
		*text = ascii_lower(*text);
}

bool span_eq_nocase(struct span a, struct span b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
			return false;
	return true;
}

bool span_is(struct span span, const char *text)
{
	return span_eq(span, span_from(text));
}

bool span_is_nocase(struct span span, const char *text)
{
	return span_eq_nocase(span, span_from(text));
}

bool span_starts(struct span span, const char *prefix)
{
	struct span want = span_from(prefix);

	return span.len >= want.len && span_eq(span_take(span, want.len), want);
}

bool span_starts_nocase(struct span span, const char *prefix)
{
	struct span want = span_from(prefix);

	return span.len >= want.len &&
	       span_eq_nocase(span_take(span, want.len), want);
}

bool span_ends(struct span span, const char *suffix)
{
	struct span want = span_from(suffix);

	return span.len >= want.len &&
	       span_eq(span_skip(span, span.len - want.len), want);
}

bool span_ends_nocase(struct span span, const char *suffix)
{
	struct span want = span_from(suffix);

	return span.len >= want.len &&
	       span_eq_nocase(span_skip(span, span.len - want.len), want);
}

ssize_t span_find(struct span span, char byte)
{
	const char *hit = span.len > 0 ? memchr(span.ptr, byte, span.len) : NULL;

	return hit == NULL ? -1 : hit - span.ptr;
}

ssize_t span_rfind(struct span span, char byte)
{
	const char *hit = span.len > 0 ? memrchr(span.ptr, byte, span.len) : NULL;

	return hit == NULL ? -1 : hit - span.ptr;
}

struct span span_skip(struct span span, size_t from)
{
	from = MIN_OF(from, span.len);
	if (from == 0)
		return span;
	return (struct span){ span.ptr + from, span.len - from };
}

struct span span_take(struct span span, size_t count)
{
	return (struct span){ span.ptr, MIN_OF(count, span.len) };
}

struct span span_trim(struct span span)
{
	while (span.len > 0 && ascii_is_space(span.ptr[0]))
		span = span_skip(span, 1);
	while (span.len > 0 && ascii_is_space(span.ptr[span.len - 1]))
		span.len--;
	return span;
}

bool span_cut(struct span *rest, char separator, struct span *ret_head)
{
	ssize_t at;

	if (rest->ptr == NULL)
		return false;
	at = span_find(*rest, separator);
	if (at < 0) {
		*ret_head = *rest;
		*rest = (struct span){ NULL, 0 };
		return true;
	}
	*ret_head = span_take(*rest, (size_t)at);
	*rest = span_skip(*rest, (size_t)at + 1);
	return true;
}

bool span_token(struct span *rest, const char *separators,
		struct span *ret_token)
{
	struct span seps = span_from(separators);
	size_t n = 0;

	while (rest->len > 0 && span_find(seps, rest->ptr[0]) >= 0)
		*rest = span_skip(*rest, 1);
	if (rest->len == 0)
		return false;
	while (n < rest->len && span_find(seps, rest->ptr[n]) < 0)
		n++;
	*ret_token = span_take(*rest, n);
	*rest = span_skip(*rest, n);
	return true;
}

bool span_to_u64(struct span span, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (span.len == 0)
		return false;
	for (size_t i = 0; i < span.len; i++) {
		uint64_t digit;

		if (!ascii_is_digit(span.ptr[i]))
			return false;
		digit = (uint64_t)(span.ptr[i] - '0');
		if (value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (value > max)
		return false;
	*ret_value = value;
	return true;
}
