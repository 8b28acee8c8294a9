/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/loop.h"

#include "mail/address.h"
#include "mail/header.h"

static bool was_here(TALLOC_CTX *mem, struct span header, const char *address)
{
	struct header field;

	while (header_next(&header, &field)) {
		char *value;

		if (!span_is_nocase(field.name, "Delivered-To"))
			continue;
		value = header_unfold(mem, field.value);
		if (span_is_nocase(span_from(address_unquote(
				       mem, span_trim(span_from(value)))),
				   address))
			return true;
	}
	return false;
}

enum rc loop_check(struct delivery *d, size_t recipient, struct fault *fault)
{
	const char *address = d->request->recipients[recipient].address;
	struct span header;

	if (image_header(d, d->image, &header, fault) != RC_OK)
		return fault->rc;
	if (was_here(d, header, address))
		return fault_set(fault, RC_PERM, "5.4.6",
				 "mail forwarding loop for %s", address);
	return RC_OK;
}

/* An address on a line of its own; a line end in it would begin another. */
static void line_add(struct buf *out, TALLOC_CTX *mem, const char *name,
		     const char *before, const char *address, const char *after)
{
	char *text = *address == '\0' ? mem_strdup(mem, "")
				      : address_quote(mem, span_from(address));

	for (char *p = text; *p != '\0'; p++)
		if (*p == '\r' || *p == '\n')
			*p = '?';
	buf_addf(out, "%s: %s%s%s\n", name, before, text, after);
}

const char *loop_lines(TALLOC_CTX *mem, const char *sender,
		       const struct recipient *to, int lines)
{
	struct buf out;

	buf_init(&out, mem, 16 * 1024);
	if (lines & LINE_RETURN_PATH)
		line_add(&out, mem, "Return-Path", "<", sender, ">");
	if ((lines & LINE_ORIGINAL_TO) && to->original != NULL &&
	    *to->original != '\0')
		line_add(&out, mem, "X-Original-To", "", to->original, "");
	if (lines & LINE_DELIVERED_TO)
		line_add(&out, mem, "Delivered-To", "", to->address, "");
	return buf_text(&out);
}

struct mail_text loop_mail_text(struct delivery *d, size_t recipient, int flags)
{
	const char *sender = d->image->env->sender;

	return (struct mail_text){
	    .image = d->image,
	    .flags = flags,
	    .sender =
		*sender != '\0' ? address_quote(d, span_from(sender)) : "",
	    .prepend = loop_lines(d, sender, &d->request->recipients[recipient],
				  LINES_ALL),
	    .arrival_us = d->request->env->arrival_us,
	};
}
