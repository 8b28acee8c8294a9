/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/smtp/generic.h"

#include "mail/address_list.h"
#include "mail/header.h"
#include "rule/rewrite.h"

enum { HEADER_GROWN_MAX_BYTES = 4 * 1024 * 1024 };

static enum rc generic_find(void *arg, TALLOC_CTX *mem, struct span address,
			    struct span *ret_address, struct fault *fault)
{
	struct smtp_client *client = arg;
	const struct conf *conf = client->settings.conf;
	const char *propagate = conf->v.propagate_unmatched_extensions;
	struct span value, extension = SPAN_OF(""), rest, word;
	struct address_parts found, given;
	bool keep = false;
	enum rc rc;

	if (address.len == 0)
		return RC_NONE;
	rc = address_find(client->generic, client->resolver, conf, mem, address,
			  FIND_DEFAULT, &value, &extension, fault);
	if (rc != RC_OK)
		return rc;
	value = span_from(
	    rewrite_address(mem, conf, REWRITE_LOCAL,
			    span_from(address_unquote(mem, span_trim(value)))));
	found = address_split(value);
	given = address_split(address);
	if (found.local.len == 0) /* "@domain": the user stays */
		found.local = given.local;
	for (rest = span_from(propagate); span_token(&rest, ", \t\r\n", &word);)
		keep |= span_is_nocase(word, "generic");
	*ret_address =
	    span_from(mem_printf(mem, "%.*s%.*s@%.*s", SPAN_FMT(found.local),
				 keep ? (int)extension.len : 0, extension.ptr,
				 SPAN_FMT(found.domain)));
	return RC_OK;
}

static bool table_failed(TALLOC_CTX *mem, const struct fault *fault,
			 struct outcome *why)
{
	*why = (struct outcome){
	    .action = DELIVERY_DEFERRED,
	    .dsn = "4.3.0",
	    .text = mem_printf(mem, "smtp_generic_maps: %s", fault->text)};
	return false;
}

bool generic_address(struct smtp_client *client, TALLOC_CTX *mem,
		     const char *address, const char **ret_address,
		     struct outcome *why)
{
	struct span found;
	struct fault fault;
	enum rc rc;

	*ret_address = address;
	if (client->generic == NULL)
		return true;
	rc = generic_find(client, mem, span_from(address), &found, &fault);
	if (rc == RC_OK)
		*ret_address = mem_span_dup(mem, found);
	return rc == RC_OK || rc == RC_NONE || table_failed(mem, &fault, why);
}

static enum rc field_rewrite(struct smtp_client *client,
			     const struct header *field, struct buf *out,
			     bool *ret_changed, struct fault *fault)
{
	const int traits = header_traits(field->name);
	const size_t before = (size_t)(field->value.ptr - field->whole.ptr);
	bool changed = false;
	enum rc rc;

	if ((traits & (HEADER_SENDER | HEADER_RECIPIENT)) == 0) {
		buf_add(out, field->whole);
		return RC_OK;
	}
	buf_add(out, span_take(field->whole, before));
	rc = address_list_rewrite(field->value, generic_find, client, out,
				  &changed, fault);
	buf_add(out, span_skip(field->whole, before + field->value.len));
	*ret_changed |= changed;
	return rc;
}

bool generic_header(struct smtp_client *client, struct delivery *d,
		    struct span **ret_header, struct outcome *why)
{
	struct span header, rest;
	struct header field;
	struct fault fault;
	bool changed = false;
	struct buf out;

	if (client->generic == NULL)
		return true;
	if (image_header(d, d->image, &header, &fault) != RC_OK)
		return table_failed(d, &fault, why);
	buf_init(&out, d, HEADER_GROWN_MAX_BYTES);
	rest = header;
	while (header_next(&rest, &field))
		if (field_rewrite(client, &field, &out, &changed, &fault) !=
		    RC_OK)
			return table_failed(d, &fault, why);
	buf_add(&out, rest);
	if (changed && !out.full) {
		*ret_header = mem_new(d, struct span);
		**ret_header = buf_span(&out);
	}
	return true;
}
