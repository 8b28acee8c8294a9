/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/address_lex.h"

enum { COMMENT_DEPTH_MAX = 100 };

static bool is_special(char c)
{
	return c != '\0' && strchr("<>@,;:", c) != NULL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool ends_atom(char c)
{
	return is_special(c) || is_blank(c) || c == '"' || c == '(' || c == '[';
}

/* Length up to and including `close`, or 0 when it is missing. */
static size_t enclosed_len(struct span text, char close)
{
	for (size_t i = 1; i < text.len; i++) {
		if (text.ptr[i] == '\\')
			i++;
		else if (text.ptr[i] == close)
			return i + 1;
	}
	return 0;
}

static size_t comment_len(struct span text)
{
	int depth = 0;

	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '\\')
			i++;
		else if (text.ptr[i] == '(' && ++depth > COMMENT_DEPTH_MAX)
			return 0;
		else if (text.ptr[i] == ')' && --depth == 0)
			return i + 1;
	}
	return 0;
}

static size_t atom_len(struct span text)
{
	size_t i = 0;

	while (i < text.len && !ends_atom(text.ptr[i]))
		i += text.ptr[i] == '\\' ? 2 : 1;
	return MIN_OF(i, text.len);
}

static size_t token_len(struct span text, enum address_token_kind *ret_kind)
{
	switch (text.ptr[0]) {
	case '"':
		*ret_kind = ADDRESS_QUOTED;
		return enclosed_len(text, '"');
	case '(':
		*ret_kind = ADDRESS_COMMENT;
		return comment_len(text);
	case '[':
		*ret_kind = ADDRESS_LITERAL;
		return enclosed_len(text, ']');
	default:
		*ret_kind = ADDRESS_ATOM;
		return atom_len(text);
	}
}

bool address_token_next(struct span *rest, struct address_token *ret_token)
{
	struct address_token token = { .kind = ADDRESS_SPECIAL };
	size_t len;

	while (rest->len > 0 && is_blank(rest->ptr[0])) {
		*rest = span_skip(*rest, 1);
		token.blank_before = true;
	}
	if (rest->len == 0)
		return false;
	len = is_special(rest->ptr[0]) ? 1 : token_len(*rest, &token.kind);
	token.broken = len == 0;
	token.text = span_take(*rest, token.broken ? rest->len : len);
	*rest = span_skip(*rest, token.text.len);
	*ret_token = token;
	return true;
}

bool address_token_is(const struct address_token *token, char special)
{
	return token->kind == ADDRESS_SPECIAL && token->text.ptr[0] == special;
}

bool address_token_add(struct buf *out, const struct address_token *token)
{
	struct span text = token->text;

	if (token->kind == ADDRESS_COMMENT)
		return true;
	if (token->kind == ADDRESS_LITERAL)
		return buf_add(out, text);
	if (token->kind == ADDRESS_QUOTED) {
		text = span_skip(text, 1);
		if (!token->broken)
			text.len--;
	}
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '\\' && i + 1 < text.len)
			i++;
		if (!buf_add_char(out, text.ptr[i]))
			return false;
	}
	return true;
}

static bool is_word(const struct address_token *token)
{
	return token->kind == ADDRESS_ATOM || token->kind == ADDRESS_QUOTED;
}

/* Do these two, side by side, make one local part? "jo".smith does. */
static bool joined(const struct address_token *left,
		   const struct address_token *right)
{
	struct span a = left->text, b = right->text;

	return (left->kind == ADDRESS_ATOM && a.ptr[a.len - 1] == '.') ||
	       (right->kind == ADDRESS_ATOM && b.ptr[0] == '.');
}

/* Past the route of "@a,@b:jo@c". */
static struct span without_route(struct span spec)
{
	struct span rest = spec;
	struct address_token token;
	bool first = true;

	while (address_token_next(&rest, &token)) {
		if (token.kind == ADDRESS_COMMENT)
			continue;
		if (first && !address_token_is(&token, '@'))
			return spec;
		first = false;
		if (address_token_is(&token, ':'))
			return rest;
	}
	return spec;
}

bool address_spec_add(struct buf *out, struct span spec,
		      struct address_spec_check *ret_check)
{
	struct address_spec_check check = { 0 };
	struct span rest = without_route(spec);
	struct address_token token, last = { .kind = ADDRESS_SPECIAL };

	while (address_token_next(&rest, &token)) {
		check.broken |= token.broken;
		if (token.kind == ADDRESS_COMMENT) {
			check.comments = true;
			continue;
		}
		if (token.kind == ADDRESS_SPECIAL &&
		    memchr("<>,;", token.text.ptr[0], 4) != NULL)
			check.list = true;
		if (is_word(&last) && is_word(&token) &&
		    !joined(&last, &token)) {
			check.words = true;
			if (token.blank_before)
				buf_add_char(out, ' ');
		}
		if (!address_token_add(out, &token))
			return false;
		last = token;
	}
	*ret_check = check;
	return true;
}
