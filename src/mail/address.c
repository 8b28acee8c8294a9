/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/address.h"

#include "mail/address_lex.h"

struct address_parts address_split(struct span address)
{
	ssize_t at = span_rfind(address, '@');

	if (at < 0)
		return (struct address_parts){ .local = address };
	return (struct address_parts){ span_take(address, (size_t)at),
				       span_skip(address, (size_t)at + 1),
				       true };
}

static bool is_atext(char c)
{
	return ascii_is_alnum(c) || (unsigned char)c >= 128 ||
	       (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool is_dot_atom(struct span local)
{
	if (local.len == 0)
		return false;
	for (size_t i = 0; i < local.len; i++) {
		if (is_atext(local.ptr[i]))
			continue;
		if (local.ptr[i] != '.' || i == 0 || i + 1 == local.len ||
		    local.ptr[i + 1] == '.')
			return false;
	}
	return true;
}

bool address_needs_quotes(struct span internal)
{
	return internal.len > 0 && !is_dot_atom(address_split(internal).local);
}

bool address_quote_add(struct buf *out, struct span internal)
{
	struct address_parts parts = address_split(internal);

	if (!address_needs_quotes(internal))
		return buf_add(out, internal);
	buf_add_char(out, '"');
	for (size_t i = 0; i < parts.local.len; i++) {
		char c = parts.local.ptr[i];

		if (c == '"' || c == '\\' || c == '\r')
			buf_add_char(out, '\\');
		buf_add_char(out, c);
	}
	buf_add_char(out, '"');
	if (parts.has_domain)
		buf_add_char(out, '@');
	return buf_add(out, parts.domain);
}

char *address_quote(TALLOC_CTX *mem, struct span internal)
{
	struct buf out;

	if (!address_needs_quotes(internal))
		return mem_span_dup(mem, internal);
	buf_init(&out, mem, 2 * internal.len + 4);
	address_quote_add(&out, internal);
	return out.data;
}

char *address_unquote(TALLOC_CTX *mem, struct span external)
{
	struct address_spec_check check;
	struct buf out;

	buf_init(&out, mem, external.len + 1);
	address_spec_add(&out, external, &check);
	return out.data == NULL ? mem_strdup(mem, "") : out.data;
}

static bool is_protected(struct span local)
{
	return span_is_nocase(local, "double-bounce") ||
	       span_is_nocase(local, "mailer-daemon");
}

bool address_split_extension(struct span local, const char *delimiters,
			     bool owner_special, struct span *ret_base,
			     struct span *ret_extension)
{
	bool special = owner_special && (span_starts_nocase(local, "owner-") ||
					 span_ends_nocase(local, "-request"));

	if (*delimiters == '\0' || is_protected(local))
		return false;
	for (size_t i = 1; i < local.len; i++) {
		if (local.ptr[i] == '\0' ||
		    strchr(delimiters, local.ptr[i]) == NULL)
			continue;
		if (special && local.ptr[i] == '-')
			return false;
		*ret_base = span_take(local, i);
		*ret_extension = span_skip(local, i + 1);
		return true;
	}
	return false;
}
