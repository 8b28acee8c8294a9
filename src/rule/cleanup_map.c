/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/address_list.h"
#include "rule/cleanup_priv.h"
#include "rule/rule_priv.h"

enum { CANONICAL_ROUNDS_MAX = 10 };

/* "@other" stands for the user at the other domain. */
static struct span user_keep(TALLOC_CTX *mem, struct span value,
			     struct span address)
{
	return span_from(mem_printf(mem, "%.*s%.*s",
				    SPAN_FMT(address_split(address).local),
				    SPAN_FMT(value)));
}

/* jo@a.test and "+x" is jo+x@a.test. */
static struct span extension_add(TALLOC_CTX *mem, struct span address,
				 struct span extension)
{
	struct address_parts parts = address_split(address);

	if (extension.len == 0)
		return address;
	return span_from(mem_printf(mem, "%.*s%.*s%s%.*s", SPAN_FMT(parts.local),
				    SPAN_FMT(extension),
				    parts.has_domain ? "@" : "",
				    SPAN_FMT(parts.domain)));
}

static struct span complete(struct cleanup_service *s, TALLOC_CTX *mem,
			    struct span address)
{
	return span_from(rewrite_address(mem, s->conf, REWRITE_LOCAL, address));
}

/* One address of a table's answer, made whole. */
static struct span answer_address(struct cleanup_service *s, TALLOC_CTX *mem,
				  const struct address_item *item,
				  struct span asked, struct span extension)
{
	struct span address = item->address;

	if (address.len > 1 && address.ptr[0] == '@')
		address = user_keep(mem, address, asked);
	else
		address = extension_add(mem, address, extension);
	return complete(s, mem, address);
}

/* "@other" is no address, so the list reader does not give it. */
static bool answer_next(TALLOC_CTX *mem, struct span *rest,
			struct address_item *ret_item)
{
	struct span head, copy;

	while (rest->len > 0 &&
	       (ascii_is_space(rest->ptr[0]) || rest->ptr[0] == ','))
		*rest = span_skip(*rest, 1);
	copy = *rest;
	if (copy.len > 1 && copy.ptr[0] == '@' &&
	    span_token(&copy, ", \t\r\n", &head) && span_find(head, ':') < 0) {
		*ret_item = (struct address_item){ .spec = head,
						   .address = head };
		*rest = copy;
		return true;
	}
	return address_list_next(mem, rest, ret_item);
}

static enum rc table_map(struct cleanup_service *s, TALLOC_CTX *mem,
			 struct maps *maps, struct span *address,
			 bool *ret_changed, struct fault *fault)
{
	struct span value, extension, mapped;
	struct address_item item;
	enum rc rc = address_find(maps, s->resolver, s->conf, mem, *address,
				  FIND_DEFAULT, &value, &extension, fault);

	*ret_changed = false;
	if (rc != RC_OK)
		return rc == RC_NONE ? RC_OK : rc;
	if (!answer_next(mem, &value, &item) || item.address.len == 0)
		return RC_OK; /* an empty answer maps nothing */
	if (!s->propagate_canonical)
		extension = SPAN_OF("");
	mapped = answer_address(s, mem, &item, *address, extension);
	*ret_changed = !span_eq(mapped, *address);
	*address = mapped;
	return RC_OK;
}

/* Until the table has nothing new to say. */
static enum rc table_map_all(struct cleanup_service *s, TALLOC_CTX *mem,
			     const char *name, struct maps *maps,
			     struct span *address, struct fault *fault)
{
	bool changed = true;
	enum rc rc = RC_OK;
	int round = 0;

	if (maps_is_empty(maps))
		return RC_OK;
	while (rc == RC_OK && changed && round++ < CANONICAL_ROUNDS_MAX)
		rc = table_map(s, mem, maps, address, &changed, fault);
	if (rc == RC_OK && changed)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "unreasonable %s map nesting for %.*s", name,
				 SPAN_FMT(*address));
	return rc == RC_OK ? RC_OK :
			     fault_add(fault, "%s map lookup problem for %.*s",
				       name, SPAN_FMT(*address));
}

/* jo@host.example.test is jo@example.test; "!sub" keeps sub as it is. */
static enum rc masquerade(struct cleanup_service *s, TALLOC_CTX *mem,
			  struct span *address, struct fault *fault)
{
	struct span rest = span_from(s->conf->v.masquerade_domains), word;
	struct address_parts parts = address_split(*address);
	enum rc rc;

	if (rest.len == 0 || parts.domain.len == 0)
		return RC_OK;
	if (!match_list_is_empty(s->masquerade_exceptions)) {
		rc = match_list_domain(s->masquerade_exceptions, parts.local,
				       fault);
		if (rc != RC_NONE)
			return rc;
	}
	while (span_token(&rest, ", \t\r\n", &word)) {
		bool keep = false;
		size_t gap;

		while (word.len > 0 && word.ptr[0] == '!') {
			keep = !keep;
			word = span_skip(word, 1);
		}
		if (word.len == 0 || parts.domain.len < word.len)
			continue;
		gap = parts.domain.len - word.len;
		if (!span_eq_nocase(span_skip(parts.domain, gap), word) ||
		    (gap > 0 && parts.domain.ptr[gap - 1] != '.'))
			continue;
		if (gap > 0 && !keep)
			*address = span_from(mem_printf(
				mem, "%.*s@%.*s", SPAN_FMT(parts.local),
				SPAN_FMT(span_skip(parts.domain, gap))));
		return RC_OK;
	}
	return RC_OK;
}

enum rc cleanup_map_address(struct cleanup_service *s, TALLOC_CTX *mem,
			    int class, struct span *address,
			    struct fault *fault)
{
	bool sender = class & (CLASS_ENVELOPE_SENDER | CLASS_HEADER_SENDER);
	struct maps *maps = sender ? s->sender_canonical :
				     s->recipient_canonical;
	int classes = sender ? s->sender_canonical_classes :
			       s->recipient_canonical_classes;
	enum rc rc = RC_OK;

	if (address->len == 0)
		return RC_OK;
	if (classes & class)
		rc = table_map_all(s, mem,
				   sender ? "sender_canonical_maps" :
					    "recipient_canonical_maps",
				   maps, address, fault);
	if (rc == RC_OK && (s->canonical_classes & class))
		rc = table_map_all(s, mem, "canonical_maps", s->canonical,
				   address, fault);
	if (rc == RC_OK && (s->masquerade_classes & class))
		rc = masquerade(s, mem, address, fault);
	return rc;
}

struct expansion {
	struct cleanup_service *service;
	TALLOC_CTX *mem;
	struct span asked;
	struct span *addresses;
	size_t count;
	struct fault *fault;
};

static enum rc expansion_too_big(struct expansion *e, const char *what)
{
	return fault_set(e->fault, RC_TEMP, "4.6.0",
			 "unreasonable virtual_alias_maps map %s for %.*s",
			 what, SPAN_FMT(e->asked));
}

static enum rc expansion_keep(struct expansion *e, struct span address)
{
	const struct conf_values *v = &e->service->conf->v;

	if (e->count >= (size_t)v->virtual_alias_expansion_limit)
		return expansion_too_big(e, "expansion size");
	if (e->count % 16 == 0)
		e->addresses = mem_resize(e->mem, e->addresses, struct span,
					  e->count + 16);
	e->addresses[e->count++] = address;
	return RC_OK;
}

static enum rc expand(struct expansion *e, struct span address, int depth);

static enum rc expand_answer(struct expansion *e, struct span address,
			     struct span value, struct span extension,
			     int depth)
{
	struct cleanup_service *s = e->service;
	struct address_item item;
	bool any = false;
	enum rc rc = RC_OK;

	while (rc == RC_OK && answer_next(e->mem, &value, &item)) {
		struct span next;

		if (item.address.len == 0)
			continue;
		any = true;
		next = answer_address(s, e->mem, &item, address, extension);
		if (next.len >
		    (size_t)s->conf->v.virtual_alias_address_length_limit)
			return expansion_too_big(e, "address length");
		/* An alias of itself is final. */
		rc = span_eq_nocase(next, address) ? expansion_keep(e, next) :
						     expand(e, next, depth + 1);
	}
	if (rc == RC_OK && !any)
		rc = expansion_keep(e, address);
	return rc;
}

static enum rc expand(struct expansion *e, struct span address, int depth)
{
	struct cleanup_service *s = e->service;
	struct span value, extension;
	enum rc rc;

	if (depth > s->conf->v.virtual_alias_recursion_limit)
		return expansion_too_big(e, "nesting");
	rc = address_find(s->virtual_alias, s->resolver, s->conf, e->mem,
			  address, FIND_DEFAULT, &value, &extension, e->fault);
	if (rc == RC_NONE)
		return expansion_keep(e, address);
	if (rc != RC_OK)
		return fault_add(e->fault,
				 "virtual_alias_maps map lookup problem for "
				 "%.*s",
				 SPAN_FMT(address));
	if (!s->propagate_virtual)
		extension = SPAN_OF("");
	return expand_answer(e, address, value, extension, depth);
}

enum rc cleanup_map_virtual(struct cleanup_service *s, TALLOC_CTX *mem,
			    struct span address, struct span **ret_addresses,
			    size_t *ret_count, struct fault *fault)
{
	struct expansion e = { .service = s, .mem = mem, .asked = address,
			       .fault = fault };
	enum rc rc = maps_is_empty(s->virtual_alias) ?
			     expansion_keep(&e, address) :
			     expand(&e, address, 0);

	if (rc != RC_OK)
		return rc;
	*ret_addresses = e.addresses;
	*ret_count = e.count;
	return RC_OK;
}
