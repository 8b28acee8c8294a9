/* SPDX-License-Identifier: Apache-2.0 */
/* From the text of a list to its items; opening of the tables. */
#include "rule/policy_client.h"
#include "rule/restriction_priv.h"
#include "rule/rule_priv.h"
#include "rule/verify_client.h"

static const struct list_def {
	const char *parameter;
	size_t value; /* offset in struct conf_values */
	enum rule_class class;
} list_defs[LIST_COUNT] = {
#define LIST(id, name, about) \
	[id] = { #name, offsetof(struct conf_values, name), about }
	LIST(LIST_CLIENT, smtpd_client_restrictions, CLASS_OF_CLIENT),
	LIST(LIST_HELO, smtpd_helo_restrictions, CLASS_OF_HELO),
	LIST(LIST_SENDER, smtpd_sender_restrictions, CLASS_OF_SENDER),
	LIST(LIST_RELAY, smtpd_relay_restrictions, CLASS_OF_RECIPIENT),
	LIST(LIST_RECIPIENT, smtpd_recipient_restrictions, CLASS_OF_RECIPIENT),
	LIST(LIST_DATA, smtpd_data_restrictions, CLASS_OF_DATA),
	LIST(LIST_END_OF_DATA, smtpd_end_of_data_restrictions,
	     CLASS_OF_END_OF_DATA),
	LIST(LIST_ETRN, smtpd_etrn_restrictions, CLASS_OF_ETRN),
#undef LIST
};

enum rule_class rule_list_class(enum rule_list list)
{
	return list_defs[list].class;
}

const char *rule_list_name(enum rule_list list)
{
	return list_defs[list].parameter;
}

/* Does the list refuse mail for strangers somewhere where it is reached? */
static bool items_guard_relay(const struct rule_items *items)
{
	for (size_t i = 0; i < items->count; i++) {
		const struct rule_item *item = &items->items[i];

		if (item->nested != NULL && items_guard_relay(item->nested))
			return true;
		if (item->def == NULL)
			continue;
		if (item->def->traits & NEXT_ONLY_WARNS)
			i++;
		else if (item->def->traits & GUARDS_RELAY)
			return true;
		else if (item->def->traits & ENDS_LIST)
			return false;
	}
	return false;
}

static bool is_class_name(const struct conf *conf, struct span word)
{
	struct span rest = span_from(conf->v.smtpd_restriction_classes), name;

	while (span_token(&rest, ", \t\r\n", &name))
		if (span_eq(name, word))
			return true;
	return false;
}

/* The next word, or the inside of a { } group. */
static bool next_word(struct span *rest, struct span *ret_word)
{
	size_t depth = 0;

	while (rest->len > 0 && strchr(", \t\r\n", rest->ptr[0]) != NULL)
		*rest = span_skip(*rest, 1);
	if (rest->len == 0)
		return false;
	if (rest->ptr[0] != '{')
		return span_token(rest, ", \t\r\n", ret_word);
	for (size_t i = 0; i < rest->len; i++) {
		depth += rest->ptr[i] == '{';
		if (rest->ptr[i] == '}' && --depth == 0) {
			*ret_word =
				span_trim(span_skip(span_take(*rest, i), 1));
			*rest = span_skip(*rest, i + 1);
			return true;
		}
	}
	*ret_word = *rest;
	*rest = span_skip(*rest, rest->len);
	return true;
}

/* type:table, also when the table is written as inline:{ a=b, c=d }: the whole
 * of it is one word. */
static bool next_table(struct span *rest, struct span *ret_word)
{
	struct span start = *rest;
	size_t depth = 0, i = 0;

	while (start.len > 0 && strchr(", \t\r\n", start.ptr[0]) != NULL)
		start = span_skip(start, 1);
	if (start.len > 0 && start.ptr[0] == '{')
		return next_word(rest, ret_word);
	for (; i < start.len; i++) {
		char c = start.ptr[i];

		depth += c == '{';
		depth -= c == '}' && depth > 0;
		if (depth == 0 && strchr(", \t\r\n", c) != NULL)
			break;
	}
	*ret_word = span_take(start, i);
	*rest = span_skip(start, i);
	return i > 0;
}

static enum rc open_table(TALLOC_CTX *mem, struct conf *conf,
			  const char *parameter, struct span word,
			  struct rule_item *item, struct fault *fault)
{
	struct span table;

	if (!next_table(&word, &table))
		table = word;
	item->arg = mem_span_dup(mem, table);
	return maps_open(mem, conf, parameter, item->arg, MAP_FOLD, &item->maps,
			 fault);
}

/* type:table, or { type:table, { search_order = cert_fingerprint } } */
static enum rc open_ordered_table(TALLOC_CTX *mem, struct conf *conf,
				  const char *parameter, struct span word,
				  struct rule_item *item, struct fault *fault)
{
	struct span rest = word, table, option, name;

	if (!next_table(&rest, &table))
		table = word;
	while (next_word(&rest, &option)) {
		struct span order = option;

		if (!span_cut(&order, '=', &name) ||
		    !span_is(span_trim(name), "search_order"))
			return fault_set(fault, RC_CONF, "4.3.5",
					 "parameter %s: %s: unexpected option "
					 "\"%.*s\"",
					 parameter, item->word,
					 SPAN_FMT(option));
		item->order = mem_span_dup(mem, span_trim(order));
		while (span_token(&order, ", \t", &name))
			if (!span_is_nocase(name, "cert_fingerprint") &&
			    !span_is_nocase(name, "pubkey_fingerprint"))
				return fault_set(fault, RC_CONF, "4.3.5",
						 "parameter %s: %s: unknown "
						 "search_order \"%.*s\"",
						 parameter, item->word,
						 SPAN_FMT(name));
	}
	return open_table(mem, conf, parameter, table, item, fault);
}

static enum rc compile_argument(TALLOC_CTX *mem, struct conf *conf,
				const char *parameter, struct span *rest,
				struct rule_item *item, struct fault *fault)
{
	int traits = item->def->traits;
	struct span word;

	if (!(traits & (TAKES_TABLE | TAKES_WORD | TAKES_POLICY)))
		return RC_OK;
	if (!next_table(rest, &word))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "parameter %s: restriction %s needs %s",
				 parameter, item->word,
				 traits & TAKES_TABLE	 ? "a type:table"
				 : traits & TAKES_POLICY ? "a policy service"
							 : "an argument");
	if (traits & TAKES_TABLE)
		return open_ordered_table(mem, conf, parameter, word, item,
					  fault);
	item->arg = mem_span_dup(mem, word);
	if (traits & TAKES_POLICY)
		return policy_client_open(mem, conf, item->arg, &item->policy,
					  fault);
	return RC_OK;
}

static enum rc compile_word(TALLOC_CTX *mem, struct conf *conf,
			    const char *parameter, struct span word, int depth,
			    struct span *rest, struct rule_item *item,
			    struct fault *fault)
{
	static const struct rule_def table_alone = { "type:table", TAKES_TABLE,
						     rule_check_default, 0,
						     NULL };

	item->word = mem_span_dup(mem, word);
	if (is_class_name(conf, word)) {
		const char *text = conf_text(conf, item->word);

		if (text == NULL)
			text = "";
		return rule_items_compile(mem, conf, item->word, text,
					  depth + 1, &item->nested, fault);
	}
	if (span_find(word, ':') > 0) {
		item->def = &table_alone;
		return open_table(mem, conf, parameter, word, item, fault);
	}
	item->def = rule_def_find(word);
	if (item->def == NULL) /* said when it is reached, as the reference */
		return RC_OK;
	if (item->def->run == NULL)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "parameter %s: restriction %s is not "
				 "implemented here yet",
				 parameter, item->word);
	return compile_argument(mem, conf, parameter, rest, item, fault);
}

enum rc rule_items_compile(TALLOC_CTX *mem, struct conf *conf,
			   const char *parameter, const char *text, int depth,
			   struct rule_items **ret_items, struct fault *fault)
{
	struct rule_items *list = mem_new(mem, struct rule_items);
	struct span rest = span_from(text), before, word;
	enum rc rc;

	if (depth > RULE_DEPTH_MAX)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "parameter %s: restriction classes nest too "
				 "deep",
				 parameter);
	list->source = mem_strdup(list, parameter);
	for (before = rest; next_word(&rest, &word); before = rest) {
		if (list->count == RULE_ITEMS_MAX)
			return fault_set(fault, RC_CONF, "4.3.5",
					 "parameter %s: too many restrictions",
					 parameter);
		if (span_find(word, ':') > 0) { /* take inline:{...} whole */
			rest = before;
			if (!next_table(&rest, &word))
				break;
		}
		list->items = mem_resize(list, list->items, struct rule_item,
					 list->count + 1);
		list->items[list->count] = (struct rule_item){
			.offset = (size_t)(word.ptr - text)
		};
		rc = compile_word(list, conf, parameter, word, depth, &rest,
				  &list->items[list->count], fault);
		if (rc != RC_OK)
			return rc;
		list->count++;
	}
	*ret_items = list;
	return RC_OK;
}

/* Are access tables to match subdomains by "example.test"? */
static bool parents_match(const struct conf *conf)
{
	struct span rest = span_from(conf->v.parent_domain_matches_subdomains);
	struct span name;

	while (span_token(&rest, ", \t\r\n", &name))
		if (span_is(name, "smtpd_access_maps"))
			return true;
	return false;
}

/* One client, and its connections, for all rules that name a service alike. */
struct policy_link {
	struct policy_client *client;
	const char *text;
	struct policy_link *next;
};

static void share_policies(TALLOC_CTX *mem, struct policy_link **seen,
			   struct rule_items *items)
{
	for (size_t i = 0; i < items->count; i++) {
		struct rule_item *item = &items->items[i];
		struct policy_link *link = *seen;

		if (item->nested != NULL)
			share_policies(mem, seen, item->nested);
		if (item->policy == NULL)
			continue;
		while (link != NULL && strcmp(link->text, item->arg) != 0)
			link = link->next;
		if (link != NULL) {
			talloc_free(item->policy);
			item->policy = link->client;
			continue;
		}
		link = mem_new(mem, struct policy_link);
		*link = (struct policy_link){ item->policy, item->arg, *seen };
		*seen = link;
	}
}

static enum rc open_lists(struct restrictions *set, struct conf *conf,
			  struct fault *fault)
{
	struct policy_link *policies = NULL;

	for (int i = 0; i < LIST_COUNT; i++) {
		const struct list_def *def = &list_defs[i];
		const char *text =
			*(const char *const *)((const char *)&conf->v +
					       def->value);
		enum rc rc = rule_items_compile(set, conf, def->parameter, text,
						0, &set->lists[i], fault);

		if (rc != RC_OK)
			return rc;
		share_policies(set, &policies, set->lists[i]);
	}
	if (!items_guard_relay(set->lists[LIST_RELAY]) &&
	    !items_guard_relay(set->lists[LIST_RECIPIENT]))
		return fault_set(
			fault, RC_CONF, "4.3.5",
			"in parameter smtpd_relay_restrictions or "
			"smtpd_recipient_restrictions, specify at least one "
			"working instance of: reject_unauth_destination, "
			"defer_unauth_destination, reject, defer, "
			"defer_if_permit or check_relay_domains");
	return RC_OK;
}

static enum rc open_tables(struct restrictions *set, struct conf *conf,
			   struct fault *fault)
{
	const struct conf_values *v = &conf->v;
	const struct {
		const char *name, *text;
		struct match_list **list;
		struct maps **maps;
	} tables[] = {
		{ "mynetworks", v->mynetworks, &set->mynetworks, NULL },
		{ "permit_mx_backup_networks", v->permit_mx_backup_networks,
		  &set->mx_backup_networks, NULL },
		{ "smtpd_log_access_permit_actions",
		  v->smtpd_log_access_permit_actions, &set->log_permit, NULL },
		{ "relay_clientcerts", v->relay_clientcerts, NULL,
		  &set->relay_clientcerts },
		{ "smtpd_sender_login_maps", v->smtpd_sender_login_maps, NULL,
		  &set->sender_logins },
		{ "rbl_reply_maps", v->rbl_reply_maps, NULL,
		  &set->rbl_replies },
	};

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		enum rc rc = tables[i].list != NULL
				     ? rule_list_open(set, conf, tables[i].name,
						      tables[i].text,
						      tables[i].list, fault)
				     : rule_maps_open(set, conf, tables[i].name,
						      tables[i].text, MAP_FOLD,
						      tables[i].maps, fault);

		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

enum rc restrictions_open(TALLOC_CTX *mem, struct conf *conf,
			  struct resolver *resolver,
			  struct recipient_lists *lists,
			  struct restrictions **ret_restrictions,
			  struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct restrictions *set = mem_new(tmp, struct restrictions);
	enum rc rc;

	set->conf = conf; /* outlives us */
	set->resolver = resolver;
	set->recipients = lists;
	set->parent_domains = parents_match(conf);
	set->own = own_ips_new(set, conf);
	set->verify = verify_client_new(
		set, mem_printf(tmp, "private/%s",
				conf->v.address_verify_service_name));
	rc = open_tables(set, conf, fault);
	if (rc == RC_OK)
		rc = open_lists(set, conf, fault);
	if (rc != RC_OK)
		return rc;
	*ret_restrictions = talloc_steal(mem, set);
	return RC_OK;
}
