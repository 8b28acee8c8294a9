/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/address.h"

#include "mail/address_lex.h"

static enum rc refuse(struct fault *fault, const char *why)
{
	return fault_set(fault, RC_PERM, "5.1.3", "%s", why);
}

/* Take < and > off, doubled ones and one that is missing in front too, unless
 * strict. Commas around it go as well. */
static const char *unwrap(struct span path, bool strict, struct span *ret_spec)
{
	path = span_trim(path);
	if (strict && (!span_starts(path, "<") || !span_ends(path, ">")))
		return "address without <>";
	while (!strict && path.len > 0 && path.ptr[0] == ',')
		path = span_trim(span_skip(path, 1));
	while (span_starts(path, "<")) {
		if (!span_ends(path, ">") || path.len < 2)
			return "no > at the end";
		path = span_trim((struct span){ path.ptr + 1, path.len - 2 });
		if (strict)
			break;
	}
	while (!strict && path.len > 0 &&
	       (path.ptr[path.len - 1] == '>' || path.ptr[path.len - 1] == ','))
		path = span_trim(span_take(path, path.len - 1));
	*ret_spec = path;
	return NULL;
}

static const char *spec_problem(const struct address_spec_check *check,
				bool strict)
{
	if (check->broken)
		return "a quote, comment or bracket has no end";
	if (check->list)
		return "more than one address";
	if (check->words)
		return "a blank that is not quoted";
	if (strict && check->comments)
		return "comment in an address";
	return NULL;
}

static bool has_control(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 127)
			return true;
	return false;
}

static const char *address_problem(struct span address, int flags)
{
	struct address_parts parts = address_split(address);
	struct span ip;

	if (address.len == 0)
		return flags & ADDRESS_NULL_OK ? NULL : "empty address";
	if (has_control(address))
		return "control character in an address";
	if ((flags & ADDRESS_UTF8) && !text_is_utf8(address))
		return "address is not UTF-8";
	if (address.ptr[0] == '-' && !(flags & ADDRESS_MINUS_OK))
		return "address starts with -";
	if (!parts.has_domain)
		return NULL;
	if (parts.domain.len > 0 && parts.domain.ptr[0] == '[')
		return address_literal_ip(parts.domain, &ip)
			       ? NULL
			       : "bad address literal";
	if (span_ends(parts.domain, "."))
		parts.domain.len--;
	return domain_is_valid(parts.domain, true) ? NULL : "bad domain name";
}

/* The common case, <jo.smith@example.test>: nothing in it needs reading. */
static bool plain_path(struct span path, struct span *ret_address)
{
	int at_signs = 0;

	if (path.len < 3 || path.ptr[0] != '<' || path.ptr[path.len - 1] != '>')
		return false;
	for (size_t i = 1; i < path.len - 1; i++) {
		char c = path.ptr[i];

		at_signs += c == '@';
		if (!ascii_is_alnum(c) && c != '.' && c != '-' && c != '_' &&
		    c != '+' && c != '=' && c != '@')
			return false;
	}
	*ret_address = (struct span){ path.ptr + 1, path.len - 2 };
	return at_signs == 1 && path.ptr[1] != '@' &&
	       ret_address->len <= ADDRESS_MAX_BYTES;
}

static enum rc address_take(TALLOC_CTX *mem, struct span address, int flags,
			    struct span *ret_address, struct fault *fault)
{
	const char *why = address_problem(address, flags);

	if (why != NULL)
		return refuse(fault, why);
	*ret_address = mem_span_copy(mem, address);
	return RC_OK;
}

enum rc address_parse_path(TALLOC_CTX *mem, struct span path, int flags,
			   struct span *ret_address, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = NULL;
	bool strict = (flags & ADDRESS_STRICT) != 0;
	struct address_spec_check check;
	struct span spec;
	struct buf out;
	const char *why;

	if (plain_path(path, &spec))
		return address_take(mem, spec, flags, ret_address, fault);
	tmp = talloc_new(mem);
	why = unwrap(path, strict, &spec);
	if (why != NULL)
		return refuse(fault, why);
	buf_init(&out, tmp, ADDRESS_MAX_BYTES);
	if (!address_spec_add(&out, spec, &check))
		return refuse(fault, "address too long");
	why = spec_problem(&check, strict);
	if (why != NULL)
		return refuse(fault, why);
	return address_take(mem, buf_span(&out), flags, ret_address, fault);
}
