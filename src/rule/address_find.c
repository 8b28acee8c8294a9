/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/address.h"
#include "rule/rewrite.h"
#include "rule/rule_priv.h"

enum rc maps_lookup_key(struct maps *maps, TALLOC_CTX *mem, struct span key,
			bool partial, struct span *ret_value,
			struct fault *fault)
{
	for (size_t i = 0; i < maps_count(maps); i++) {
		struct map *map = maps_at(maps, i);
		enum rc rc;

		if (partial && map_is_pattern(map))
			continue;
		rc = map_lookup(map, mem, key, ret_value, fault);
		if (rc != RC_NONE)
			return rc;
	}
	return RC_NONE;
}

struct find {
	struct maps *maps;
	struct resolver *resolver;
	const struct conf *conf;
	TALLOC_CTX *mem, *scratch;
	struct span *ret_value;
	struct fault *fault;
};

/* The key as tables are written, quoted where it must be; then as it is. */
static enum rc key_try(struct find *find, struct span key, bool partial)
{
	enum rc rc;

	if (address_needs_quotes(key)) {
		char *quoted = address_quote(find->scratch, key);

		rc = maps_lookup_key(find->maps, find->mem, span_from(quoted),
				     partial, find->ret_value, find->fault);
		if (rc != RC_NONE)
			return rc;
	}
	return maps_lookup_key(find->maps, find->mem, key, partial,
			       find->ret_value, find->fault);
}

static struct span join(TALLOC_CTX *mem, struct span local, struct span domain)
{
	char *text = mem_printf(mem, "%.*s@%.*s", SPAN_FMT(local),
				SPAN_FMT(domain));

	return span_from(text);
}

/* RC_OK when mail for this domain is addressed to this host by name. */
static enum rc domain_is_own(struct find *find, struct span domain)
{
	if (span_is_nocase(domain, find->conf->v.myorigin))
		return RC_OK;
	return resolve_is_local(find->resolver, domain, find->fault);
}

static enum rc localpart_try(struct find *find, struct address_parts parts,
			     struct span base, bool *ret_used_base)
{
	enum rc rc = parts.has_domain ? domain_is_own(find, parts.domain) :
					RC_OK;

	if (rc != RC_OK)
		return rc;
	if (parts.has_domain) {
		rc = key_try(find, parts.local, true);
		if (rc != RC_NONE)
			return rc;
	}
	if (base.len == 0)
		return RC_NONE;
	*ret_used_base = true;
	return key_try(find, base, true);
}

static enum rc address_find_keys(struct find *find, struct span address,
				 int strategy, struct span *extension)
{
	struct address_parts parts = address_split(address);
	struct span base = { NULL, 0 };
	bool stripped = false;
	enum rc rc = RC_NONE;

	*extension = SPAN_OF("");
	if (!address_split_extension(
		    parts.local, find->conf->v.recipient_delimiter,
		    find->conf->v.owner_request_special, &base, extension))
		base = (struct span){ NULL, 0 };
	else /* with its delimiter */
		*extension = span_skip(parts.local, base.len);
	if (strategy & FIND_FULL)
		rc = key_try(find, address, false);
	if (rc == RC_NONE && (strategy & FIND_NO_EXTENSION) && base.len > 0 &&
	    parts.has_domain) {
		stripped = true;
		rc = key_try(find, join(find->scratch, base, parts.domain),
			     true);
	}
	if (rc == RC_NONE && (strategy & FIND_LOCALPART)) {
		stripped = false;
		rc = localpart_try(find, parts, base, &stripped);
	}
	if (rc == RC_NONE && (strategy & FIND_AT_DOMAIN) && parts.has_domain &&
	    parts.domain.len > 0) {
		stripped = false;
		rc = maps_lookup_key(find->maps, find->mem,
				     join(find->scratch, SPAN_OF(""),
					  parts.domain),
				     true, find->ret_value, find->fault);
	}
	if (!stripped)
		*extension = SPAN_OF("");
	return rc;
}

enum rc address_find(struct maps *maps, struct resolver *resolver,
		     const struct conf *conf, TALLOC_CTX *mem,
		     struct span address, int strategy, struct span *ret_value,
		     struct span *ret_extension, struct fault *fault)
{
	SCRATCH TALLOC_CTX *scratch = NULL;
	struct find find = {
		.maps = maps, .resolver = resolver, .conf = conf, .mem = mem,
		.ret_value = ret_value, .fault = fault,
	};
	struct span extension;
	enum rc rc;

	if (maps == NULL || maps_is_empty(maps) || address.len == 0)
		return RC_NONE;
	scratch = talloc_new(mem);
	find.scratch = scratch;
	rc = address_find_keys(&find, address, strategy, &extension);
	if (rc == RC_OK && ret_extension != NULL)
		*ret_extension = extension;
	return rc;
}
