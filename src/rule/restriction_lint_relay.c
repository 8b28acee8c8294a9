/* SPDX-License-Identifier: Apache-2.0 */
/* Who may send mail through this host to the rest of the world? */
#include "rule/restriction_lint_priv.h"

#include "rule/resolve.h"

/* A place where a list lets strangers through before it looks at where their
 * mail goes. */
struct leak {
	const struct rule_items *items;
	const struct rule_item *item;
	const char *key; /* of the entry that says OK; NULL: no table */
};

enum guard { GUARD_NONE, GUARD_LEAKS, GUARD_SAFE };

static bool trusts_everybody(const struct lint *lint)
{
	struct span rest = span_from(lint->conf->v.mynetworks), word;

	while (span_token(&rest, ", \t\r\n", &word))
		if (span_is(word, "0.0.0.0/0") || span_is(word, "[::]/0") ||
		    span_is(word, "static:all"))
			return true;
	return false;
}

/* Mail to this key of a recipient table would leave this host. */
static bool is_elsewhere(struct lint *lint, struct span key)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct resolver *resolver;
	struct route *route = NULL;
	struct fault fault = { 0 };
	ssize_t at = span_rfind(key, '@');
	const char *address;

	if (span_ends(key, "@")) /* user@ of any domain */
		return true;
	if (span_starts(key, "/") || span_starts(key, "!") ||
	    span_starts(key, "if "))
		return false; /* a pattern: nobody can say */
	if (resolver_open(tmp, lint->conf, &resolver, &fault) != RC_OK)
		return false;
	address = at >= 0 ? mem_span_dup(tmp, key)
			  : mem_printf(tmp, "postmaster@%.*s",
				       SPAN_FMT(span_starts(key, ".")
							? span_skip(key, 1)
							: key));
	if (resolve(resolver, tmp, SPAN_OF(""), span_from(address), &route,
		    &fault) != RC_OK)
		return false;
	return route->class == CLASS_DEFAULT;
}

static bool is_everybody(struct lint *lint, struct span key)
{
	return span_is(key, "*") || span_is(key, "0.0.0.0/0") ||
	       span_is(key, "/./") || span_is(key, "/.*/") ||
	       span_is(key, "/^/") || span_is(key, "//");
}

/* Tables about what a client only says of itself. A client's address and proved
 * name are as good as mynetworks; a recipient counts when it is elsewhere. */
static const struct {
	const char *name;
	bool (*wanted)(struct lint *lint, struct span key);
} claims[] = {
	{ "check_client_access", is_everybody },
	{ "check_helo_access", NULL },
	{ "check_sender_access", NULL },
	{ "check_recipient_access", is_elsewhere },
	{ "check_reverse_client_hostname_access", NULL },
};

static bool item_leaks(struct lint *lint, const struct rule_item *item,
		       struct leak *leak)
{
	struct lint_entry entry = { 0 };

	if (lint_is(item, "permit_mynetworks") && trusts_everybody(lint)) {
		leak->key = NULL;
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(claims); i++) {
		if (!lint_is(item, claims[i].name))
			continue;
		entry.wanted = claims[i].wanted;
		if (!lint_table_permits(lint, item, &entry))
			return false;
		leak->key = entry.key;
		return true;
	}
	return false;
}

/* What comes first: a guard, or a way around it? */
static enum guard look(struct lint *lint, const struct rule_items *items,
		       struct leak *leak, int depth)
{
	for (size_t i = 0; i < items->count && depth < 20; i++) {
		const struct rule_item *item = &items->items[i];
		enum guard inside;

		if (item->def != NULL &&
		    (item->def->traits & NEXT_ONLY_WARNS)) {
			i++;
			continue;
		}
		if (item->nested != NULL) {
			inside = look(lint, item->nested, leak, depth + 1);
			if (inside != GUARD_NONE)
				return inside;
			continue;
		}
		if (item->def == NULL)
			continue;
		if (leak->item == NULL && item_leaks(lint, item, leak)) {
			leak->items = items;
			leak->item = item;
		}
		if (item->def->traits & ENDS_LIST)
			return GUARD_NONE;
		if (item->def->traits & GUARDS_RELAY)
			return leak->item == NULL ? GUARD_SAFE : GUARD_LEAKS;
	}
	return GUARD_NONE;
}

static void say_leak(struct lint *lint, const struct leak *leak)
{
	if (leak->key == NULL)
		lint_say(lint, leak->items, leak->item,
			 "%s lets everybody relay, because mynetworks = %s: "
			 "name only networks of your own there",
			 leak->item->word, lint->conf->v.mynetworks);
	else
		lint_say(lint, leak->items, leak->item,
			 "%s lets strangers relay: the entry \"%s\" of %s says "
			 "OK, a client can claim what it likes, and "
			 "reject_unauth_destination comes later; put "
			 "reject_unauth_destination in front of it, or into "
			 "smtpd_relay_restrictions",
			 leak->item->word, leak->key, leak->item->arg);
}

void lint_relay(struct lint *lint)
{
	static const enum rule_list lists[] = { LIST_RELAY, LIST_RECIPIENT };
	struct leak leaks[ARRAY_LEN(lists)] = { 0 };
	enum guard guards[ARRAY_LEN(lists)];

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		if (lint->lists[lists[i]] == NULL)
			return; /* said already */
		guards[i] = look(lint, lint->lists[lists[i]], &leaks[i], 0);
		if (guards[i] == GUARD_SAFE)
			return;
	}
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		if (guards[i] != GUARD_LEAKS)
			continue;
		lint->list = rule_list_name(lists[i]);
		say_leak(lint, &leaks[i]);
	}
	if (guards[0] != GUARD_NONE || guards[1] != GUARD_NONE)
		return;
	lint->list = "smtpd_relay_restrictions";
	lint_say(lint, NULL, NULL,
		 "neither this list nor smtpd_recipient_restrictions keeps "
		 "strangers from relaying: smtpd does not start so; add "
		 "reject_unauth_destination");
}
