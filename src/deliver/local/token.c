/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/local/token.h"

#include "mail/address_list.h"

/* The length of the first item: up to a comma or line end outside of quotes,
 * comments and <>. */
static size_t item_len(struct span text)
{
	bool quoted = false;
	int comments = 0, angles = 0;
	size_t i;

	for (i = 0; i < text.len; i++) {
		const char c = text.ptr[i];

		if (c == '\\' && quoted && i + 1 < text.len)
			i++;
		else if (c == '"' && comments == 0)
			quoted = !quoted;
		else if (quoted)
			continue;
		else if (c == '(')
			comments++;
		else if (c == ')' && comments > 0)
			comments--;
		else if (comments > 0)
			continue;
		else if (c == '<' || c == '>')
			angles = c == '<';
		else if ((c == ',' && angles == 0) || c == '\n')
			break;
	}
	return i;
}

/* "..." around the whole item: what is inside, escapes resolved. */
static bool item_unquote(TALLOC_CTX *mem, struct span item,
			 struct span *ret_inside)
{
	char *out;
	size_t len = 0;

	if (item.len < 2 || item.ptr[0] != '"' || item.ptr[item.len - 1] != '"')
		return false;
	item = span_take(span_skip(item, 1), item.len - 2);
	out = mem_array(mem, char, item.len + 1);
	for (size_t i = 0; i < item.len; i++) {
		if (item.ptr[i] == '"')
			return false; /* "a"@"b" */
		if (item.ptr[i] == '\\' && i + 1 < item.len)
			i++;
		out[len++] = item.ptr[i];
	}
	*ret_inside = (struct span){out, len};
	return true;
}

static bool special(TALLOC_CTX *mem, struct span text, struct token *ret_token)
{
	if (span_starts(text, "|"))
		*ret_token = (struct token){
		    TOKEN_COMMAND,
		    mem_span_dup(mem, span_trim(span_skip(text, 1)))};
	else if (span_starts(text, "/"))
		*ret_token =
		    (struct token){TOKEN_FILE, mem_span_dup(mem, text)};
	else if (span_starts_nocase(text, ":include:"))
		*ret_token = (struct token){
		    TOKEN_INCLUDE,
		    mem_span_dup(mem, span_trim(span_skip(text, 9)))};
	else
		return false;
	return true;
}

static bool item_read(TALLOC_CTX *mem, struct span item,
		      struct token *ret_token)
{
	struct address_item address;
	struct span inside;
	const bool quoted = item_unquote(mem, item, &inside);

	if (special(mem, quoted ? inside : item, ret_token))
		return true;
	if (span_starts(item, "\\") && item.len > 1) {
		*ret_token =
		    (struct token){TOKEN_ADDRESS, mem_span_dup(mem, item)};
		return true;
	}
	if (!address_list_next(mem, &item, &address) ||
	    address.address.len == 0)
		return false;
	*ret_token =
	    (struct token){TOKEN_ADDRESS, mem_span_dup(mem, address.address)};
	return true;
}

bool token_next(TALLOC_CTX *mem, struct span *rest, struct token *ret_token)
{
	while (rest->len > 0) {
		size_t len = 0;
		struct span item;

		if (rest->ptr[0] == '#') {
			ssize_t end = span_find(*rest, '\n');

			*rest = end < 0 ? SPAN_OF("")
					: span_skip(*rest, (size_t)end + 1);
			continue;
		}
		len = item_len(*rest);
		item = span_trim(span_take(*rest, len));
		*rest = span_skip(*rest, len + 1);
		if (item.len > 0 && item_read(mem, item, ret_token))
			return true;
	}
	return false;
}
