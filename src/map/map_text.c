/* SPDX-License-Identifier: Apache-2.0 */
#include "map/map_priv.h"

static bool is_separator(char c)
{
	return c == ',' || ascii_is_space(c);
}

enum rc map_text_next(struct span *rest, struct span *ret_element,
		      struct fault *fault)
{
	size_t n = 0;
	int depth = 0;

	while (rest->len > 0 && is_separator(rest->ptr[0]))
		*rest = span_skip(*rest, 1);
	if (rest->len == 0)
		return RC_NONE;
	for (; n < rest->len; n++) {
		if (rest->ptr[n] == '{')
			depth++;
		else if (rest->ptr[n] == '}' && --depth < 0)
			break;
		else if (depth == 0 && is_separator(rest->ptr[n]))
			break;
	}
	if (depth != 0)
		return fault_set(
			fault, RC_CONF, "4.3.5", "unbalanced { } in \"%.*s\"",
			(int)MIN_OF(rest->len, (size_t)200), rest->ptr);
	*ret_element = span_take(*rest, n);
	*rest = span_skip(*rest, n);
	return RC_OK;
}

struct span map_text_unbrace(struct span text)
{
	text = span_trim(text);
	if (text.len < 2 || text.ptr[0] != '{' || !span_ends(text, "}"))
		return text;
	return span_trim((struct span){ text.ptr + 1, text.len - 2 });
}

bool map_text_braces_are_whole(struct span text)
{
	int depth = 0;

	if (text.len == 0 || text.ptr[0] != '{')
		return true;
	for (size_t n = 0; n < text.len; n++) {
		if (text.ptr[n] == '{')
			depth++;
		else if (text.ptr[n] == '}' && --depth == 0)
			return n + 1 == text.len;
	}
	return false;
}

bool map_name_split(struct span text, struct span *ret_type,
		    struct span *ret_name)
{
	ssize_t colon = span_find(text, ':');
	size_t n = 0;

	while (n < text.len && (ascii_is_alnum(text.ptr[n]) ||
				text.ptr[n] == '_' || text.ptr[n] == '-'))
		n++;
	if (colon <= 0 || n != (size_t)colon)
		return false;
	*ret_type = span_take(text, n);
	*ret_name = span_skip(text, n + 1);
	return true;
}
