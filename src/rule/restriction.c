/* SPDX-License-Identifier: Apache-2.0 */
#include "rule/restriction_priv.h"

static const struct list_def {
	const char *parameter;
	size_t value; /* offset in struct conf_values */
	enum rule_class class;
} list_defs[LIST_COUNT] = {
#define LIST(id, name, about)                                                 \
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

/* ---- compiling ---- */

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
			*ret_word = span_trim(
				span_skip(span_take(*rest, i), 1));
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

static enum rc compile_argument(TALLOC_CTX *mem, struct conf *conf,
				const char *parameter, struct span *rest,
				struct rule_item *item, struct fault *fault)
{
	struct span word;

	if (!(item->def->traits & (TAKES_TABLE | TAKES_WORD)))
		return RC_OK;
	if (!next_table(rest, &word))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "parameter %s: restriction %s needs %s",
				 parameter, item->word,
				 item->def->traits & TAKES_TABLE ?
					 "a type:table" :
					 "an argument");
	if (item->def->traits & TAKES_TABLE)
		return open_table(mem, conf, parameter, word, item, fault);
	item->arg = mem_span_dup(mem, word);
	return RC_OK;
}

static enum rc compile_word(TALLOC_CTX *mem, struct conf *conf,
			    const char *parameter, struct span word, int depth,
			    struct span *rest, struct rule_item *item,
			    struct fault *fault)
{
	static const struct rule_def table_alone = {
		"type:table", TAKES_TABLE, rule_check_default, 0
	};

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
		list->items[list->count] = (struct rule_item){ 0 };
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

static enum rc open_lists(struct restrictions *set, struct conf *conf,
			  struct fault *fault)
{
	for (int i = 0; i < LIST_COUNT; i++) {
		const struct list_def *def = &list_defs[i];
		const char *text = *(const char *const *)
			((const char *)&conf->v + def->value);
		enum rc rc = rule_items_compile(set, conf, def->parameter, text,
						0, &set->lists[i], fault);

		if (rc != RC_OK)
			return rc;
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
	rc = match_list_open(set, conf, "mynetworks", conf->v.mynetworks,
			     &set->mynetworks, fault);
	if (rc == RC_OK)
		rc = maps_open(set, conf, "relay_clientcerts",
			       conf->v.relay_clientcerts, MAP_FOLD,
			       &set->relay_clientcerts, fault);
	if (rc == RC_OK)
		rc = open_lists(set, conf, fault);
	if (rc != RC_OK)
		return rc;
	*ret_restrictions = talloc_steal(mem, set);
	return RC_OK;
}

/* ---- asking ---- */

enum rule_result rule_items_run(struct evaluation *ev,
				const struct rule_items *items)
{
	enum rule_result result = RULE_DUNNO;

	if (++ev->depth > RULE_DEPTH_MAX) {
		ev->depth--;
		return rule_error(ev, 451, "4.3.5",
				  "Server configuration error");
	}
	for (size_t i = 0; i < items->count && result == RULE_DUNNO; i++) {
		const struct rule_item *item = &items->items[i];
		bool warns = false;

		/* both kinds of deferring are decided: nothing can change */
		if (ev->defer_if_reject != NULL &&
		    ev->state->defer_if_permit[ev->defer_stage] != NULL)
			break;
		if (item->def != NULL && item->def->traits & NEXT_ONLY_WARNS &&
		    i + 1 < items->count) {
			warns = true;
			item = &items->items[++i];
		}
		ev->warn_depth += warns;
		if (item->nested != NULL) {
			result = rule_items_run(ev, item->nested);
		} else if (item->def == NULL) {
			rule_note(ev, "warning",
				  "unknown smtpd restriction: \"%s\"",
				  item->word);
			result = rule_error(ev, 451, "4.3.5",
					    "Server configuration error");
		} else {
			result = item->def->run(ev, item);
		}
		ev->warn_depth -= warns;
		if (ev->state->discard)
			break;
	}
	ev->depth--;
	return result;
}

static enum rule_result run_list(struct evaluation *ev, enum rule_list list)
{
	ev->list = list;
	ev->defer_if_reject = NULL;
	if (ev->state->discard)
		return RULE_OK;
	return rule_items_run(ev, ev->set->lists[list]);
}

/* A would-be permit that must wait after all. */
static enum rule_result settle_deferred(struct evaluation *ev)
{
	for (int i = 0; i < RESTRICTION_DEFER_STAGES; i++) {
		const char *text = ev->state->defer_if_permit[i];

		if (text == NULL)
			continue;
		ev->verdict->code = 450;
		ev->verdict->text = text;
		ev->rc = RC_TEMP;
		return RULE_REJECT;
	}
	return RULE_DUNNO;
}

enum {
	DEFER_OF_CLIENT,
	DEFER_OF_HELO,
	DEFER_OF_SENDER,
	DEFER_OF_RECIPIENT,
};

static enum rule_result ask_early_lists(struct evaluation *ev, bool with_sender)
{
	static const struct {
		enum rule_list list;
		int stage;
	} order[] = {
		{ LIST_CLIENT, DEFER_OF_CLIENT },
		{ LIST_HELO, DEFER_OF_HELO },
		{ LIST_SENDER, DEFER_OF_SENDER },
	};

	for (size_t i = 0; i < ARRAY_LEN(order) - !with_sender; i++) {
		ev->defer_stage = order[i].stage;
		ev->state->defer_if_permit[order[i].stage] = NULL;
		if (order[i].list == LIST_HELO && ev->request->helo == NULL)
			continue;
		if (order[i].list == LIST_SENDER && ev->request->sender == NULL)
			continue;
		if (run_list(ev, order[i].list) == RULE_REJECT)
			return RULE_REJECT;
	}
	return RULE_DUNNO;
}

static enum rule_result ask_recipient(struct evaluation *ev)
{
	const struct conf *conf = ev->set->conf;
	const char *recipient = ev->request->recipient;
	bool relay_first = conf->v.smtpd_relay_before_recipient_restrictions;
	enum rule_list first = relay_first ? LIST_RELAY : LIST_RECIPIENT;
	enum rule_list second = relay_first ? LIST_RECIPIENT : LIST_RELAY;

	if (span_is_nocase(span_from(recipient), "postmaster"))
		return RULE_DUNNO;
	if (conf->v.smtpd_delay_reject &&
	    ask_early_lists(ev, true) == RULE_REJECT)
		return RULE_REJECT;
	ev->defer_stage = DEFER_OF_RECIPIENT;
	ev->state->defer_if_permit[DEFER_OF_RECIPIENT] = NULL;
	if (run_list(ev, first) == RULE_REJECT ||
	    run_list(ev, second) == RULE_REJECT)
		return RULE_REJECT;
	ev->list = LIST_RECIPIENT;
	if (ev->state->discard)
		return RULE_OK;
	if (conf->v.smtpd_reject_unlisted_recipient && !ev->unlisted_done &&
	    rule_unlisted_recipient(ev, NULL) == RULE_REJECT)
		return RULE_REJECT;
	return settle_deferred(ev);
}

static enum rule_result ask_sender(struct evaluation *ev)
{
	const struct conf *conf = ev->set->conf;

	ev->defer_stage = DEFER_OF_SENDER;
	ev->state->defer_if_permit[DEFER_OF_SENDER] = NULL;
	ev->list = LIST_SENDER;
	if (!conf->v.smtpd_delay_reject &&
	    run_list(ev, LIST_SENDER) == RULE_REJECT)
		return RULE_REJECT;
	if (conf->v.smtpd_reject_unlisted_sender)
		return rule_unlisted_sender(ev, NULL);
	return RULE_DUNNO;
}

/* DATA, end of data, ETRN: a list of its own, then what was deferred. */
static enum rule_result ask_late(struct evaluation *ev, enum rule_list list)
{
	ev->defer_stage = DEFER_OF_RECIPIENT;
	ev->state->defer_if_permit[DEFER_OF_RECIPIENT] = NULL;
	if (run_list(ev, list) == RULE_REJECT)
		return RULE_REJECT;
	return ev->state->discard ? RULE_OK : settle_deferred(ev);
}

static enum rule_result ask(struct evaluation *ev, enum restriction_stage stage)
{
	bool delay = ev->set->conf->v.smtpd_delay_reject;

	switch (stage) {
	case AT_CONNECT:
		ev->defer_stage = DEFER_OF_CLIENT;
		return delay ? RULE_DUNNO : run_list(ev, LIST_CLIENT);
	case AT_HELO:
		ev->defer_stage = DEFER_OF_HELO;
		ev->state->defer_if_permit[DEFER_OF_HELO] = NULL;
		return delay ? RULE_DUNNO : run_list(ev, LIST_HELO);
	case AT_MAIL:
		return ask_sender(ev);
	case AT_RCPT:
		return ask_recipient(ev);
	case AT_DATA:
		for (int i = 0; i < RESTRICTION_DEFER_STAGES; i++)
			ev->state->defer_if_permit[i] = NULL;
		return ask_late(ev, LIST_DATA);
	case AT_END_OF_DATA:
		return ask_late(ev, LIST_END_OF_DATA);
	case AT_ETRN:
		if (delay && ask_early_lists(ev, false) == RULE_REJECT)
			return RULE_REJECT;
		return ask_late(ev, LIST_ETRN);
	}
	return RULE_DUNNO;
}

enum rc restrictions_ask(struct restrictions *restrictions, TALLOC_CTX *mem,
			 enum restriction_stage stage,
			 const struct restriction_request *request,
			 struct restriction_state *state,
			 struct restriction_verdict *ret_verdict)
{
	struct evaluation ev = {
		.set = restrictions,
		.mem = mem,
		.request = request,
		.state = state,
		.verdict = ret_verdict,
		.rc = RC_PERM,
	};

	*ret_verdict = (struct restriction_verdict){ 0 };
	return ask(&ev, stage) == RULE_REJECT ? ev.rc : RC_OK;
}

void restriction_state_reset(struct restriction_state *state)
{
	state->defer_if_permit[DEFER_OF_SENDER] = NULL;
	state->defer_if_permit[DEFER_OF_RECIPIENT] = NULL;
	state->filter = state->redirect = NULL;
	state->hold = state->discard = false;
}
