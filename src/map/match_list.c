/* SPDX-License-Identifier: Apache-2.0 */
#include "map/match_list.h"

#include "base/clock.h"
#include "map/match_list_priv.h"
#include "sys/log.h"
#include "sys/trace.h"

enum { NAME_MAX_BYTES = 512, CHECK_EVERY_MS = 250 };

struct match_list {
	struct match_state *state;
};

static const char *const string_lists[] = {
	"mydestination",
	"virtual_alias_domains",
	"virtual_mailbox_domains",
	"authorized_flush_users",
	"authorized_mailq_users",
	"authorized_submit_users",
	"defer_transports",
	"smtpd_forbidden_commands",
	"smtpd_noop_commands",
	"smtpd_log_access_permit_actions",
	"masquerade_exceptions",
	"smtp_sasl_mechanism_filter",
	"smtpd_sasl_mechanism_filter",
	"lmtp_sasl_mechanism_filter",
};

static enum match_style style_of(const struct conf *conf, const char *parameter)
{
	struct span rest = span_from(conf->v.parent_domain_matches_subdomains);
	struct span word;

	for (size_t i = 0; i < ARRAY_LEN(string_lists); i++)
		if (strcmp(parameter, string_lists[i]) == 0)
			return MATCH_STRING;
	while (span_token(&rest, ", \t\r\n", &word))
		if (span_is(word, parameter))
			return MATCH_PARENT;
	return MATCH_DOT;
}

static int state_close(struct match_state *state)
{
	pthread_mutex_destroy(&state->check);
	pthread_mutex_destroy(&state->lock);
	talloc_free(state->items);
	return 0;
}

enum rc match_list_open(TALLOC_CTX *mem, const struct conf *conf,
			const char *parameter, const char *text,
			struct match_list **ret_list, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct match_list *list = mem_new(tmp, struct match_list);
	struct match_state *state = mem_new(list, struct match_state);
	struct fault unused;
	enum rc rc;

	if (fault == NULL)
		fault = &unused;
	*fault = (struct fault){ 0 };
	list->state = state;
	state->conf = conf;
	state->owner = mem_new(state, struct map);
	state->parameter = mem_strdup(state, parameter);
	state->text = mem_strdup(state, text == NULL ? "" : text);
	state->style = style_of(conf, parameter);
	state->next_check_ms = clock_mono_ms() + CHECK_EVERY_MS;
	pthread_mutex_init(&state->check, NULL);
	pthread_mutex_init(&state->lock, NULL);
	talloc_set_destructor(state, state_close);
	rc = match_items_read(state, &state->items, fault);
	if (rc != RC_OK)
		return rc;
	state->items->uses = 1;
	*ret_list = talloc_steal(mem, list);
	return RC_OK;
}

static void items_drop(struct match_state *state, struct match_items *items)
{
	bool last;

	pthread_mutex_lock(&state->lock);
	last = --items->uses == 0;
	pthread_mutex_unlock(&state->lock);
	if (last)
		talloc_free(items);
}

/* Read the list again. What cannot be read is said, and the old list stays. */
static void items_renew(struct match_state *state)
{
	struct match_items *items, *old;
	struct fault fault = { 0 };

	if (!match_items_are_old(state, state->items))
		return;
	if (match_items_read(state, &items, &fault) != RC_OK) {
		log_warning("%s: the list stays as it was", fault.text);
		return;
	}
	if (fault.text[0] != '\0')
		log_warning("%s", fault.text);
	items->uses = 1;
	pthread_mutex_lock(&state->lock);
	old = state->items;
	state->items = items;
	pthread_mutex_unlock(&state->lock);
	items_drop(state, old);
}

static void state_check(struct match_state *state)
{
	uint64_t now_ms = clock_mono_ms();

	if (now_ms < atomic_load_explicit(&state->next_check_ms,
					  memory_order_relaxed) ||
	    pthread_mutex_trylock(&state->check) != 0)
		return;
	atomic_store(&state->next_check_ms, now_ms + CHECK_EVERY_MS);
	items_renew(state);
	pthread_mutex_unlock(&state->check);
}

static struct match_items *items_hold(const struct match_list *list)
{
	struct match_state *state = list->state;
	struct match_items *items;

	/* Without files it is as it was read, for good. */
	if (!atomic_load_explicit(&state->has_files, memory_order_relaxed))
		return state->items;
	state_check(state);
	pthread_mutex_lock(&state->lock);
	items = state->items;
	items->uses++;
	pthread_mutex_unlock(&state->lock);
	return items;
}

static void items_release(const struct match_list *list,
			  struct match_items *items)
{
	if (atomic_load_explicit(&list->state->has_files, memory_order_relaxed))
		items_drop(list->state, items);
}

/* The part of a domain that is looked up next: its parent, with the dot in
 * front or without it, as the style has it. false after the last. */
static bool parent_next(struct span *part, enum match_style style)
{
	ssize_t dot;

	if (style == MATCH_STRING || part->len == 0)
		return false;
	dot = span_find(span_skip(*part, 1), '.');
	if (dot < 0)
		return false;
	*part = span_skip(*part, (size_t)dot + 1);
	if (style == MATCH_PARENT)
		*part = span_skip(*part, 1);
	return part->len > 0;
}

static bool name_is_listed(const struct match_items *list, struct span name,
			   struct span *ret_part)
{
	struct span part = name, unused;

	do {
		if (mem_table_find(list->names, part, &unused)) {
			*ret_part = part;
			return true;
		}
	} while (parent_next(&part, list->style));
	return false;
}

static bool name_matches(const struct match_items *list,
			 const struct match_item *item, struct span name)
{
	struct span part = name;

	do {
		if (span_eq(part, item->name))
			return true;
	} while (parent_next(&part, list->style));
	return false;
}

static enum rc table_ask(const struct match_items *list,
			 const struct match_item *item, struct span name,
			 bool parents, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct span part = name, value;
	enum rc rc;

	do {
		rc = map_lookup(item->table, tmp, part, &value, fault);
		if (rc == RC_CONF || rc == RC_TEMP || rc == RC_PERM) {
			fault_add(fault, "parameter %s", list->parameter);
			return RC_TEMP;
		}
	} while (rc == RC_NONE && parents && !map_is_pattern(item->table) &&
		 parent_next(&part, list->style));
	return rc;
}

/* Who asks: a domain, or a client with name and address. */
struct subject {
	struct span name;    /* folded, may be empty */
	struct span address; /* as text, may be empty */
	bool has_ip;
	struct net_address ip;
};

static enum rc item_match(const struct match_items *list,
			  const struct match_item *item,
			  const struct subject *subject, struct fault *fault)
{
	enum rc rc = RC_NONE;

	switch (item->type) {
	case ITEM_NET:
		return subject->has_ip && net_pattern_match(&item->net,
							    &subject->ip)
			       ? RC_OK
			       : RC_NONE;
	case ITEM_NAME:
		return subject->name.len > 0 &&
				       name_matches(list, item, subject->name)
			       ? RC_OK
			       : RC_NONE;
	case ITEM_TABLE:
		if (subject->name.len > 0)
			rc = table_ask(list, item, subject->name, true, fault);
		if (rc == RC_NONE && subject->address.len > 0)
			rc = table_ask(list, item, subject->address, false,
				       fault);
		return rc;
	}
	return rc;
}

static enum rc list_search(const struct match_items *list,
			   const struct subject *subject,
			   struct span *ret_element, struct fault *fault)
{
	if (!list->ordered && subject->name.len > 0 &&
	    name_is_listed(list, subject->name, ret_element))
		return RC_OK;
	for (size_t i = 0; i < list->count; i++) {
		const struct match_item *item = &list->items[i];
		enum rc rc;

		if (!list->ordered && item->type == ITEM_NAME)
			continue;
		rc = item_match(list, item, subject, fault);
		*ret_element = item->shown;
		if (rc == RC_OK)
			return item->negated ? RC_NONE : RC_OK;
		if (rc != RC_NONE)
			return rc;
	}
	*ret_element = SPAN_OF("");
	return RC_NONE;
}

static enum rc list_match(const struct match_items *list,
			  const struct subject *subject, struct fault *fault)
{
	struct span element = SPAN_OF("");
	enum rc rc = list_search(list, subject, &element, fault);

	if (trace_current() != NULL)
		trace_answer(TRACE_MATCH, list->parameter,
			     subject->address.len > 0 ? subject->address
						      : subject->name,
			     rc, element, false);
	return rc;
}

bool match_list_is_empty(const struct match_list *list)
{
	struct match_items *items;
	bool empty;

	if (list == NULL)
		return true;
	items = items_hold(list);
	empty = items->count == 0;
	items_release(list, items);
	return empty;
}

static enum rc subject_match(const struct match_list *list,
			     const struct subject *subject, struct fault *fault)
{
	struct match_items *items = items_hold(list);
	enum rc rc = list_match(items, subject, fault);

	items_release(list, items);
	return rc;
}

enum rc match_list_domain(const struct match_list *list, struct span domain,
			  struct fault *fault)
{
	struct subject subject = { .address = SPAN_OF("") };
	char small[2 * NAME_MAX_BYTES];

	if (list == NULL || domain.len == 0 || domain.len > NAME_MAX_BYTES)
		return RC_NONE;
	subject.name = map_fold(NULL, domain, small, sizeof(small));
	return subject_match(list, &subject, fault);
}

enum rc match_list_client(const struct match_list *list, struct span name,
			  struct span address, struct fault *fault)
{
	struct subject subject = { .address = address };
	char small[2 * NAME_MAX_BYTES];

	if (list == NULL)
		return RC_NONE;
	if (name.len > NAME_MAX_BYTES)
		name = SPAN_OF("");
	subject.name = map_fold(NULL, name, small, sizeof(small));
	subject.has_ip = net_pattern_address_parse(address, &subject.ip);
	return subject_match(list, &subject, fault);
}
