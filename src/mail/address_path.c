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
		return address_literal_ip(parts.domain, &ip) ?
			       NULL :
			       "bad address literal";
	if (span_ends(parts.domain, "."))
		parts.domain.len--;
	return domain_is_valid(parts.domain, true) ? NULL : "bad domain name";
}

enum rc address_parse_path(TALLOC_CTX *mem, struct span path, int flags,
			   struct span *ret_address, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	bool strict = (flags & ADDRESS_STRICT) != 0;
	struct address_spec_check check;
	struct span spec;
	struct buf out;
	const char *why;

	why = unwrap(path, strict, &spec);
	if (why != NULL)
		return refuse(fault, why);
	buf_init(&out, tmp, ADDRESS_MAX_BYTES);
	if (!address_spec_add(&out, spec, &check))
		return refuse(fault, "address too long");
	why = spec_problem(&check, strict);
	if (why == NULL)
		why = address_problem(buf_span(&out), flags);
	if (why != NULL)
		return refuse(fault, why);
	*ret_address = mem_span_copy(mem, buf_span(&out));
	return RC_OK;
}
