/* SPDX-License-Identifier: Apache-2.0 */
#include "rule/restriction_lint_priv.h"

#include <stdarg.h>

#include "base/buf.h"
#include "conf/show.h"

void lint_say(struct lint *lint, const struct rule_items *items,
	      const struct rule_item *item, const char *format, ...)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct conf_place place;
	struct buf text;
	va_list args;

	conf_locate(lint->conf, items != NULL ? items->source : lint->list,
		    item != NULL ? item->offset : 0, &place);
	buf_init(&text, tmp, 8192);
	if (place.file != NULL)
		buf_addf(&text, "%s, line %d: ", place.file, place.line);
	else if (place.is_override)
		buf_addf(&text, "-o %s: ", place.parameter);
	buf_addf(&text, "%s: ", lint->list);
	va_start(args, format);
	buf_vaddf(&text, format, args);
	va_end(args);
	lint->say(lint->arg, buf_text(&text));
	lint->count++;
}

bool lint_is(const struct rule_item *item, const char *name)
{
	return item->def != NULL && strcmp(item->def->name, name) == 0;
}

/* ---- what is never reached ---- */

static bool warns(const struct rule_item *item)
{
	return item->def != NULL && (item->def->traits & NEXT_ONLY_WARNS);
}

/* The word that ends the list whatever comes, from `at` on; NULL: none. */
static const struct rule_item *find_end(const struct rule_items *items,
					size_t *at)
{
	for (; *at < items->count; ++*at) {
		const struct rule_item *item = &items->items[*at];
		size_t inside = 0;

		if (warns(item)) {
			++*at;
			continue;
		}
		if (lint_is(item, "permit") || lint_is(item, "reject") ||
		    lint_is(item, "defer"))
			return item;
		if (item->nested != NULL && find_end(item->nested, &inside))
			return item;
	}
	return NULL;
}

static void look_for_dead(struct lint *lint, const struct rule_items *items)
{
	size_t at = 0;
	const struct rule_item *end = find_end(items, &at);

	if (end == NULL || at + 1 >= items->count)
		return;
	lint_say(lint, items, &items->items[at + 1],
		 "%s is never reached, because %s before it ends the list for "
		 "everybody: move it in front, or remove it",
		 items->items[at + 1].word, end->word);
}

/* ---- what a word needs ---- */

enum { NEEDS_HELO = 1, NEEDS_SENDER = 2, NEEDS_RECIPIENT = 4, NEEDS_ETRN = 8 };

/* The first part that is in the word decides. */
static const struct {
	const char *part;
	int needs;
} need_table[] = {
	{ "multi_recipient", 0 },
	{ "login_mismatch", NEEDS_SENDER },
	{ "etrn", NEEDS_ETRN },
	{ "recipient", NEEDS_RECIPIENT },
	{ "destination", NEEDS_RECIPIENT },
	{ "mx_backup", NEEDS_RECIPIENT },
	{ "sender", NEEDS_SENDER },
	{ "unknown_address", NEEDS_SENDER },
	{ "helo", NEEDS_HELO },
	{ "invalid_hostname", NEEDS_HELO },
	{ "fqdn_hostname", NEEDS_HELO },
	{ "reject_unknown_hostname", NEEDS_HELO },
};

static int needs_of(const struct rule_item *item)
{
	if (item->def == NULL)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(need_table); i++)
		if (strstr(item->def->name, need_table[i].part) != NULL)
			return need_table[i].needs;
	return 0;
}

static int known_in(const struct conf *conf, enum rule_list list)
{
	static const int early[] = {
		[LIST_CLIENT] = 0,
		[LIST_HELO] = NEEDS_HELO,
		[LIST_SENDER] = NEEDS_HELO | NEEDS_SENDER,
	};
	const int all = NEEDS_HELO | NEEDS_SENDER | NEEDS_RECIPIENT;

	switch (list) {
	case LIST_CLIENT:
	case LIST_HELO:
	case LIST_SENDER:
		return conf->v.smtpd_delay_reject ? all : early[list];
	case LIST_DATA:
	case LIST_END_OF_DATA:
		return NEEDS_HELO | NEEDS_SENDER;
	case LIST_ETRN:
		return NEEDS_HELO | NEEDS_ETRN;
	default:
		return all;
	}
}

static void look_for_data(struct lint *lint, const struct rule_items *items,
			  const struct rule_item *item, enum rule_list list)
{
	static const struct {
		int needs;
		const char *what, *where;
	} data[] = {
		{ NEEDS_HELO, "the HELO name", "smtpd_helo_restrictions" },
		{ NEEDS_SENDER, "the sender", "smtpd_sender_restrictions" },
		{ NEEDS_RECIPIENT, "a recipient",
		  "smtpd_recipient_restrictions" },
		{ NEEDS_ETRN, "the domain of ETRN", "smtpd_etrn_restrictions" },
	};
	int missing = needs_of(item) & ~known_in(lint->conf, list);

	for (size_t i = 0; i < ARRAY_LEN(data); i++) {
		if (!(missing & data[i].needs))
			continue;
		if (list == LIST_DATA || list == LIST_END_OF_DATA)
			lint_say(lint, items, item,
				 "%s needs %s, and here only mail with a "
				 "single recipient has one: it does nothing "
				 "for other mail; put it into %s",
				 item->word, data[i].what, data[i].where);
		else
			lint_say(lint, items, item,
				 "%s needs %s, which is not known yet%s: it "
				 "does nothing here; put it into %s",
				 item->word, data[i].what,
				 data[i].needs != NEEDS_ETRN &&
						 list != LIST_ETRN
					 ? " while smtpd_delay_reject = no"
					 : "",
				 data[i].where);
	}
}

/* ---- words ---- */

static void say_unknown(struct lint *lint, const struct rule_items *items,
			const struct rule_item *item)
{
	struct span word = span_from(item->word);
	const struct rule_def *def;
	const char *best = NULL;
	int limit = conf_name_distance_limit(word);
	int best_distance = limit + 1;

	for (size_t i = 0; (def = rule_def_at(i)) != NULL; i++) {
		int distance = conf_name_distance(word, def->name, limit);

		if (distance < best_distance) {
			best_distance = distance;
			best = def->name;
		}
	}
	if (span_find(word, '/') >= 0)
		lint_say(lint, items, item,
			 "%s looks like a table, but has no type and no "
			 "restriction: write check_..._access hash:%s; so "
			 "clients get \"451 4.3.5 Server configuration error\"",
			 item->word, item->word);
	else
		lint_say(lint, items, item,
			 "there is no restriction \"%s\"%s%s%s: clients get "
			 "\"451 4.3.5 Server configuration error\"",
			 item->word, best != NULL ? "; did you mean \"" : "",
			 best != NULL ? best : "", best != NULL ? "\"?" : "");
}

/* type:table with nothing before it. */
static void say_bare_table(struct lint *lint, const struct rule_items *items,
			   const struct rule_item *item)
{
	static const char *const about[] = {
		[LIST_CLIENT] = "client",	[LIST_HELO] = "helo",
		[LIST_SENDER] = "sender",	[LIST_RELAY] = "recipient",
		[LIST_RECIPIENT] = "recipient", [LIST_DATA] = NULL,
		[LIST_END_OF_DATA] = NULL,	[LIST_ETRN] = "etrn",
	};

	for (int i = 0; i < LIST_COUNT; i++) {
		if (strcmp(rule_list_name((enum rule_list)i), lint->list) != 0)
			continue;
		if (about[i] != NULL)
			lint_say(lint, items, item,
				 "the table %s has no restriction before it, "
				 "and is asked about the %s: say so with "
				 "check_%s_access %s",
				 item->arg, about[i], about[i], item->arg);
		else
			lint_say(lint, items, item,
				 "the table %s has no restriction before it, "
				 "and there is nothing that it could be asked "
				 "about: write check_..._access",
				 item->arg);
	}
}

static void look_at_warning(struct lint *lint, const struct rule_items *items,
			    size_t i)
{
	const struct rule_item *item = &items->items[i];
	const struct rule_item *next = i + 1 < items->count ? item + 1 : NULL;

	if (!warns(item))
		return;
	if (next == NULL)
		lint_say(lint, items, item,
			 "%s is the last word and warns of nothing: it goes in "
			 "front of the restriction that shall only warn",
			 item->word);
	else if (next->def != NULL &&
		 span_starts(span_from(next->def->name), "permit"))
		lint_say(lint, items, item,
			 "%s in front of %s, which never refuses anything, "
			 "does nothing",
			 item->word, next->word);
}

static void look_for_twins(struct lint *lint, const struct rule_items *items,
			   size_t i)
{
	const struct rule_item *item = &items->items[i];

	if (warns(item) || lint_is(item, "sleep"))
		return;
	for (size_t k = 0; k < i; k++) {
		const struct rule_item *other = &items->items[k];

		if (strcasecmp(other->word, item->word) != 0 ||
		    (other->arg == NULL) != (item->arg == NULL) ||
		    (item->arg != NULL && strcmp(other->arg, item->arg) != 0))
			continue;
		/* first to warn, then in earnest, or the other way round */
		if ((k > 0 && warns(other - 1)) != (warns(item - 1)))
			continue;
		lint_say(lint, items, item,
			 "%s%s%s is in the list twice; the second time it has "
			 "nothing new to say: remove one",
			 item->word, item->arg != NULL ? " " : "",
			 item->arg != NULL ? item->arg : "");
		return;
	}
}

static void look_at_items(struct lint *lint, const struct rule_items *items,
			  enum rule_list list, int depth)
{
	look_for_dead(lint, items);
	for (size_t i = 0; i < items->count; i++) {
		const struct rule_item *item = &items->items[i];

		look_at_warning(lint, items, i);
		if (i > 0)
			look_for_twins(lint, items, i);
		look_for_data(lint, items, item, list);
		if (item->nested != NULL && depth < RULE_DEPTH_MAX)
			look_at_items(lint, item->nested, list, depth + 1);
		else if (item->def == NULL && item->nested == NULL)
			say_unknown(lint, items, item);
		else if (lint_is(item, "type:table"))
			say_bare_table(lint, items, item);
		if (item->def != NULL && (item->def->traits & TAKES_TABLE))
			lint_table(lint, items, item);
	}
}

static void look_at_list(struct lint *lint, enum rule_list list)
{
	struct fault fault = { 0 };
	const char *text;

	lint->list = rule_list_name(list);
	text = conf_text(lint->conf, lint->list);
	if (text == NULL ||
	    rule_items_compile(lint->mem, lint->conf, lint->list, text, 0,
			       &lint->lists[list], &fault) != RC_OK) {
		lint->lists[list] = NULL;
		lint_say(lint, NULL, NULL, "%s", fault.text);
		return;
	}
	look_at_items(lint, lint->lists[list], list, 0);
}

int restriction_lint(struct conf *conf, restriction_lint_fn *say, void *arg)
{
	SCRATCH TALLOC_CTX *mem = talloc_new(NULL);
	struct lint lint = { .mem = mem, .conf = conf, .say = say, .arg = arg };

	for (int i = 0; i < LIST_COUNT; i++)
		look_at_list(&lint, (enum rule_list)i);
	lint_relay(&lint);
	lint_classes(&lint);
	return lint.count;
}
