/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/master_cf.h"
#include "rule/resolve_priv.h"

static const char *const slow_types[] = {
	"ldap:", "ldaps:", "mysql:",	 "pgsql:",    "mongodb:", "memcache:",
	"tcp:",	 "nis:",   "nisplus:", "socketmap:", "netinfo:",
};

static bool text_is_quick(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(slow_types); i++) {
		const char *at = text;

		while ((at = strstr(at, slow_types[i])) != NULL) {
			if (at == text || !ascii_is_alnum(at[-1]))
				return false;
			at++;
		}
	}
	return true;
}

static bool word_in_list(const char *list, const char *word)
{
	struct span rest = span_from(list), item;

	while (span_token(&rest, ", \t\r\n", &item))
		if (span_is_nocase(item, word))
			return true;
	return false;
}

static enum rc lists_open(struct resolver *r, struct fault *fault)
{
	const struct conf_values *v = &r->conf->v;
	const struct {
		const char *name, *text;
		struct match_list **list;
	} lists[] = {
		{ "mydestination", v->mydestination, &r->mydestination },
		{ "virtual_alias_domains", v->virtual_alias_domains,
		  &r->virtual_alias_domains },
		{ "virtual_mailbox_domains", v->virtual_mailbox_domains,
		  &r->virtual_mailbox_domains },
		{ "relay_domains", v->relay_domains, &r->relay_domains },
	};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		enum rc rc = rule_list_open(r, r->conf, lists[i].name,
					     lists[i].text, lists[i].list,
					     fault);

		if (rc != RC_OK)
			return rc;
		r->quick = r->quick && text_is_quick(lists[i].text);
	}
	return RC_OK;
}

static enum rc tables_open(struct resolver *r, struct fault *fault)
{
	const struct conf_values *v = &r->conf->v;
	const struct {
		const char *name, *text;
		int flags;
		struct maps **maps;
	} tables[] = {
		{ "transport_maps", v->transport_maps, MAP_FOLD | MAP_SECURE,
		  &r->transports },
		{ "relocated_maps", v->relocated_maps, MAP_FOLD,
		  &r->relocated },
		{ "sender_dependent_relayhost_maps",
		  v->sender_dependent_relayhost_maps, MAP_FOLD,
		  &r->sender_relayhosts },
		{ "sender_dependent_default_transport_maps",
		  v->sender_dependent_default_transport_maps, MAP_FOLD,
		  &r->sender_transports },
	};

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		enum rc rc = rule_maps_open(r, r->conf, tables[i].name,
				       tables[i].text, tables[i].flags,
				       tables[i].maps, fault);

		if (rc != RC_OK)
			return rc;
		r->quick = r->quick && text_is_quick(tables[i].text);
	}
	return RC_OK;
}

static enum rc relay_note(struct resolver *r, const struct master_entry *entry,
			  struct fault *fault)
{
	struct transport_relay *relay;
	char *text = NULL;

	for (size_t i = 0; i < entry->override_count; i++) {
		if (!span_starts(span_from(entry->overrides[i]), "relayhost="))
			continue;
		if (conf_expand(r, r->conf,
				entry->overrides[i] + strlen("relayhost="),
				&text, fault) != RC_OK)
			return fault_add(fault, "master.cf, line %d",
					 entry->line);
	}
	if (text == NULL || text[0] == '\0')
		return RC_OK;
	r->relays = mem_resize(r, r->relays, struct transport_relay,
			       r->relay_count + 1);
	relay = &r->relays[r->relay_count++];
	relay->transport = mem_strdup(r, entry->name);
	relay->relayhost = text;
	return RC_OK;
}

/* No master.cf is no reason not to resolve: tools run without one. */
static enum rc relays_open(struct resolver *r, struct fault *fault)
{
	SCRATCH TALLOC_CTX *scratch = talloc_new(r);
	struct master_table *table;
	struct fault ignored;

	if (master_cf_load(scratch, r->conf, &table, &ignored) != RC_OK)
		return RC_OK;
	for (size_t i = 0; i < table->count; i++) {
		enum rc rc;

		if (table->entries[i].type != SERVICE_UNIX)
			continue;
		rc = relay_note(r, &table->entries[i], fault);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

static int resolver_close(struct resolver *r)
{
	conf_unref(r->conf);
	return 0;
}

enum rc resolver_open(TALLOC_CTX *mem, struct conf *conf,
		      struct resolver **ret_resolver, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct resolver *r = mem_new(tmp, struct resolver);
	enum rc rc;

	r->conf = conf_ref(conf);
	talloc_set_destructor(r, resolver_close);
	r->quick = true;
	r->own = own_ips_new(r, conf);
	r->bare_parents = word_in_list(conf->v.parent_domain_matches_subdomains,
				       "transport_maps");
	rc = lists_open(r, fault);
	if (rc == RC_OK)
		rc = tables_open(r, fault);
	if (rc == RC_OK)
		rc = relays_open(r, fault);
	if (rc != RC_OK)
		return rc;
	*ret_resolver = talloc_steal(mem, r);
	return RC_OK;
}

bool resolver_is_quick(const struct resolver *resolver)
{
	return resolver->quick;
}
