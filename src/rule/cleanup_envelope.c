/* SPDX-License-Identifier: Apache-2.0 */
#include <uthash.h>

#include "mail/address.h"
#include "rule/cleanup_priv.h"
#include "rule/rule_priv.h"

struct duplicate {
	UT_hash_handle hh;
	char key[]; /* recipient and original, lower case */
};

enum { DUPLICATES_LINEAR_MAX = 16 }; /* from here on a hash table pays */

static size_t key_len(const struct cleanup *c, struct span address,
		      struct span original)
{
	return address.len + 1 +
	       (c->service->conf->v.enable_original_recipient ? original.len :
								0);
}

static struct duplicate *key_new(struct cleanup *c, struct span address,
				 struct span original, size_t len)
{
	struct duplicate *entry =
		mem_zero(c, sizeof(struct duplicate) + len, "duplicate");

	for (size_t i = 0; i < address.len; i++)
		entry->key[i] = ascii_lower(address.ptr[i]);
	for (size_t i = address.len + 1; i < len; i++)
		entry->key[i] =
			ascii_lower(original.ptr[i - address.len - 1]);
	return entry;
}

static bool hash_note(struct cleanup *c, struct span address,
		      struct span original)
{
	size_t len = key_len(c, address, original);
	struct duplicate *found = NULL;
	struct duplicate *entry = key_new(c, address, original, len);

	HASH_FIND(hh, c->duplicates, entry->key, len, found);
	if (found != NULL) {
		talloc_free(entry);
		return false;
	}
	HASH_ADD(hh, c->duplicates, key, len, entry);
	return true;
}

static bool linear_has(const struct cleanup *c, struct span address,
		       struct span original)
{
	bool both = c->service->conf->v.enable_original_recipient;

	for (size_t i = 0; i < c->env->recipient_count; i++) {
		const struct recipient *r = &c->env->recipients[i];

		if (span_is_nocase(address, r->address) &&
		    (!both || span_is_nocase(original, r->original)))
			return true;
	}
	return false;
}

/* Remember this pair; false when it was there already. With
 * enable_original_recipient both count, so that each way to a mailbox is seen. */
static bool duplicate_note(struct cleanup *c, struct span address,
			   struct span original)
{
	if (c->env->recipient_count < DUPLICATES_LINEAR_MAX)
		return !linear_has(c, address, original);
	if (c->duplicates == NULL)
		for (size_t i = 0; i < c->env->recipient_count; i++)
			hash_note(c, span_from(c->env->recipients[i].address),
				  span_from(c->env->recipients[i].original));
	return hash_note(c, address, original);
}

void cleanup_duplicates_done(struct cleanup *c)
{
	HASH_CLEAR(hh, c->duplicates); /* the table; entries are children of c */
}

static void utf8_note(struct cleanup *c, struct span address)
{
	if ((c->flags & CLEANUP_DETECT_UTF8) && !text_is_ascii(address) &&
	    text_is_utf8(address))
		c->env->flags |= ENVELOPE_SMTPUTF8;
}

struct incoming {
	struct span original;
	const char *dsn_orcpt;
	uint8_t notify;
};

static void recipient_add(struct cleanup *c, struct span address,
			  const struct incoming *in)
{
	struct recipient *recipient;

	if (!duplicate_note(c, address, in->original))
		return;
	utf8_note(c, address);
	recipient = envelope_add_recipient(c->env, address);
	recipient->original = mem_span_dup(c->env, in->original);
	if (in->dsn_orcpt != NULL)
		recipient->dsn_orcpt = mem_strdup(c->env, in->dsn_orcpt);
	recipient->notify = in->notify;
}

static enum rc recipient_expand(struct cleanup *c, TALLOC_CTX *scratch,
				struct span address, const struct incoming *in,
				struct fault *fault)
{
	struct span *all;
	size_t count;
	enum rc rc;

	if (!(c->flags & CLEANUP_MAP) ||
	    maps_is_empty(c->service->virtual_alias)) {
		recipient_add(c, address, in);
		return RC_OK;
	}
	rc = cleanup_map_virtual(c->service, scratch, address, &all, &count,
				 fault);
	for (size_t i = 0; rc == RC_OK && i < count; i++)
		recipient_add(c, all[i], in);
	return rc;
}

/* A copy nobody is told about. */
static enum rc copy_add(struct cleanup *c, TALLOC_CTX *scratch,
			struct span address, struct fault *fault)
{
	struct incoming in = { .notify = DSN_NOTIFY_NEVER };

	address = span_from(rewrite_address(scratch, c->service->conf,
					    REWRITE_LOCAL, address));
	if (address.len == 0)
		return RC_OK;
	in.original = address;
	return recipient_expand(c, scratch, address, &in, fault);
}

/* The first address of an answer in a bcc table; "@other" keeps the user. */
static enum rc bcc_find(struct cleanup *c, TALLOC_CTX *scratch,
			struct maps *maps, struct span address,
			struct span *ret_copy, struct fault *fault)
{
	struct cleanup_service *s = c->service;
	struct span value;
	enum rc rc = address_find(maps, s->resolver, s->conf, scratch, address,
				  FIND_DEFAULT, &value, NULL, fault);

	if (rc != RC_OK)
		return rc;
	value = span_trim(value);
	if (value.len > 1 && value.ptr[0] == '@')
		*ret_copy = span_from(
			mem_printf(scratch, "%.*s%.*s",
				   SPAN_FMT(address_split(address).local),
				   SPAN_FMT(value)));
	else
		*ret_copy = span_from(address_unquote(scratch, value));
	return ret_copy->len > 0 ? RC_OK : RC_NONE;
}

static enum rc sender_map(struct cleanup *c, TALLOC_CTX *scratch,
			  struct span *address, struct fault *fault)
{
	struct span copy;
	enum rc rc;

	if (!(c->flags & CLEANUP_MAP))
		return RC_OK;
	rc = cleanup_map_address(c->service, scratch, CLASS_ENVELOPE_SENDER,
				 address, fault);
	if (rc != RC_OK || maps_is_empty(c->service->sender_bcc))
		return rc;
	rc = bcc_find(c, scratch, c->service->sender_bcc, *address, &copy,
		      fault);
	if (rc == RC_OK)
		c->bcc = mem_span_dup(c, copy);
	return rc == RC_NONE ? RC_OK : rc;
}

enum rc cleanup_sender(struct cleanup *c, struct span address,
		       struct fault *fault)
{
	SCRATCH TALLOC_CTX *scratch = NULL;
	enum rc rc;

	if (address.len == 0) {
		c->env->sender = mem_strdup(c->env, "");
		return RC_OK;
	}
	scratch = talloc_new(NULL);
	address = span_from(rewrite_address(scratch, c->service->conf,
					    REWRITE_LOCAL, address));
	rc = sender_map(c, scratch, &address, fault);
	utf8_note(c, address);
	if (rc == RC_OK)
		envelope_set_text(c->env, &c->env->sender, address);
	return cleanup_fault_plain(c, rc, fault);
}

/* "rfc822;jo@example.test" where the client did not say. */
static const char *orcpt_make(TALLOC_CTX *mem, const char *given,
			      struct span original)
{
	if (given != NULL && given[0] != '\0')
		return given;
	return mem_printf(mem, "rfc822;%s", address_quote(mem, original));
}

static enum rc recipient_take(struct cleanup *c, struct span address,
			      struct span original, const char *dsn_orcpt,
			      uint8_t notify, struct fault *fault)
{
	SCRATCH TALLOC_CTX *scratch = talloc_new(NULL);
	struct cleanup_service *s = c->service;
	struct incoming in = { .notify = notify };
	struct span copy, whole;
	enum rc rc = RC_OK;

	if (address.len == 0)
		address = span_from(s->conf->v.empty_address_recipient);
	in.original = original.len > 0 ? original : address;
	in.dsn_orcpt = orcpt_make(scratch, dsn_orcpt, in.original);
	whole = span_from(
		rewrite_address(scratch, s->conf, REWRITE_LOCAL, address));
	if (c->flags & CLEANUP_MAP)
		rc = cleanup_map_address(s, scratch, CLASS_ENVELOPE_RECIPIENT,
					 &whole, fault);
	if (rc == RC_OK)
		rc = recipient_expand(c, scratch, whole, &in, fault);
	if (rc != RC_OK || !(c->flags & CLEANUP_MAP) ||
	    maps_is_empty(s->recipient_bcc))
		return rc;
	rc = bcc_find(c, scratch, s->recipient_bcc, whole, &copy, fault);
	if (rc == RC_OK)
		return copy_add(c, scratch, copy, fault);
	return rc == RC_NONE ? RC_OK : rc;
}

enum rc cleanup_recipient(struct cleanup *c, struct span address,
			  struct span original, const char *dsn_orcpt,
			  uint8_t notify, struct fault *fault)
{
	struct fault own;

	if (fault == NULL)
		fault = &own;
	return cleanup_fault_plain(c,
				   recipient_take(c, address, original,
						  dsn_orcpt, notify, fault),
				   fault);
}

static enum rc extracted_add(struct cleanup *c, struct fault *fault)
{
	bool resent = c->resent_extracted_count > 0;
	const struct span *list = resent ? c->resent_extracted : c->extracted;
	size_t count = resent ? c->resent_extracted_count : c->extracted_count;
	enum rc rc = RC_OK;

	for (size_t i = 0; rc == RC_OK && i < count; i++)
		rc = recipient_take(c, list[i], list[i], NULL,
				    DSN_NOTIFY_DEFAULT, fault);
	return rc;
}

enum rc cleanup_recipients_end(struct cleanup *c)
{
	SCRATCH TALLOC_CTX *scratch = talloc_new(NULL);
	const char *always = c->service->conf->v.always_bcc;
	struct fault fault = { 0 };
	enum rc rc = RC_OK;

	if (c->flags & CLEANUP_EXTRACT_RECIPIENTS)
		rc = extracted_add(c, &fault);
	if (rc == RC_OK && c->bcc != NULL)
		rc = copy_add(c, scratch, span_from(c->bcc), &fault);
	if (rc == RC_OK && (c->flags & CLEANUP_MAP) && always[0] != '\0')
		rc = copy_add(c, scratch,
			      span_from(address_unquote(scratch,
							span_from(always))),
			      &fault);
	if (rc == RC_OK)
		return RC_OK;
	return cleanup_fail(c, cleanup_fault_plain(c, rc, &fault), &fault);
}
