/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/address_list.h"

#include "mail/address_lex.h"

/* One element of a list as far as it was read: from the last comma to the next.
 * In front of < it is a display name, without < it is the address. */
struct element {
	const char *begin, *end; /* of its words; NULL: none yet */
	bool has_at;
	bool angle; /* <spec> was seen */
	struct span spec;
};

static void element_grow(struct element *e, const struct address_token *token)
{
	if (e->begin == NULL)
		e->begin = token->text.ptr;
	e->end = token->text.ptr + token->text.len;
	e->has_at |= address_token_is(token, '@');
}

static struct span element_words(const struct element *e)
{
	if (e->begin == NULL)
		return SPAN_OF("");
	return (struct span){ e->begin, (size_t)(e->end - e->begin) };
}

/* After '<': the text up to '>', or to a comma when '>' is missing. A comma in
 * a route, <@a,@b:jo@c>, is part of it. */
static struct span angle_take(struct span *rest)
{
	struct span start = *rest, at_comma = *rest;
	struct address_token token;
	bool comma = false;

	while (address_token_next(rest, &token)) {
		size_t used = (size_t)(token.text.ptr - start.ptr);

		if (address_token_is(&token, '>'))
			return span_trim(span_take(start, used));
		if (!comma && address_token_is(&token, ',')) {
			comma = true;
			at_comma = span_skip(start, used);
		}
	}
	if (!comma)
		return span_trim(start);
	*rest = at_comma;
	return span_trim(span_take(start, (size_t)(at_comma.ptr - start.ptr)));
}

/* Read one element. false: the text is used up. */
static bool element_take(struct span *rest, struct element *ret_element)
{
	struct element e = { 0 };
	struct address_token token;
	bool any = false;

	while (address_token_next(rest, &token)) {
		any = true;
		if (address_token_is(&token, ',') ||
		    address_token_is(&token, ';'))
			break;
		if (address_token_is(&token, '<') && !e.angle) {
			e.angle = true;
			e.spec = angle_take(rest);
		} else if (address_token_is(&token, ':') && !e.has_at) {
			e = (struct element){ 0 }; /* the name of a group */
		} else if (token.kind != ADDRESS_COMMENT && !e.angle) {
			element_grow(&e, &token);
		}
	}
	*ret_element = e;
	return any;
}

/* The internal form, or false when there is none or it is too long. */
static bool element_address(TALLOC_CTX *mem, const struct element *e,
			    struct address_item *ret_item)
{
	struct address_spec_check check;
	struct buf out;

	buf_init(&out, mem, ADDRESS_MAX_BYTES);
	ret_item->spec = e->angle ? e->spec : element_words(e);
	ret_item->phrase = e->angle ? element_words(e) : SPAN_OF("");
	if (!address_spec_add(&out, ret_item->spec, &check) || check.broken) {
		buf_done(&out);
		return false;
	}
	ret_item->address = buf_span(&out);
	return true;
}

bool address_list_next(TALLOC_CTX *mem, struct span *rest,
		       struct address_item *ret_item)
{
	struct element e;
	struct address_item item;

	while (element_take(rest, &e)) {
		if (!e.angle && e.begin == NULL)
			continue;
		if (!element_address(mem, &e, &item))
			continue;
		*ret_item = item;
		return true;
	}
	return false;
}

static void copy_until(struct buf *out, struct span *from, const char *until)
{
	size_t len = (size_t)(until - from->ptr);

	buf_add(out, span_take(*from, len));
	*from = span_skip(*from, len);
}

enum rc address_list_rewrite(struct span text, address_change_fn *change,
			     void *arg, struct buf *out, bool *ret_changed,
			     struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(out->mem);
	struct span rest = text, uncopied = text, changed_to;
	struct address_item item;
	bool changed = false;

	for (int n = 0; n < ADDRESS_LIST_MAX; n++) {
		enum rc rc;

		if (!address_list_next(tmp, &rest, &item))
			break;
		if (item.address.len == 0)
			continue;
		rc = change(arg, tmp, item.address, &changed_to, fault);
		if (rc != RC_OK && rc != RC_NONE)
			return rc;
		if (rc == RC_NONE || span_eq(changed_to, item.address))
			continue;
		copy_until(out, &uncopied, item.spec.ptr);
		address_quote_add(out, changed_to);
		uncopied = span_skip(uncopied, item.spec.len);
		changed = true;
	}
	buf_add(out, uncopied);
	if (out->full)
		return fault_set(fault, RC_PERM, "5.3.4", "header too long");
	if (ret_changed != NULL)
		*ret_changed = changed;
	return RC_OK;
}
