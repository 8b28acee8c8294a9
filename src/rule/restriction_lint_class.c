/* SPDX-License-Identifier: Apache-2.0 */
/* Restriction classes: loops, empty ones, ones that nothing uses. */
#include "rule/restriction_lint_priv.h"

static const char separators[] = ", \t\r\n";

static bool has_word(const char *text, struct span want)
{
	struct span rest = span_from(text == NULL ? "" : text), word;

	while (span_token(&rest, separators, &word))
		if (span_eq(word, want))
			return true;
	return false;
}

static const char *classes_of(const struct lint *lint)
{
	return lint->conf->v.smtpd_restriction_classes;
}

static const char *text_of(const struct lint *lint, struct span name)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	return conf_text(lint->conf, mem_span_dup(tmp, name));
}

/* Does the way from `name` lead to `target`? */
static bool leads_to(struct lint *lint, struct span name, struct span target,
		     int depth)
{
	const char *text = text_of(lint, name);
	struct span rest = span_from(text == NULL ? "" : text), word;

	while (depth < 20 && span_token(&rest, separators, &word)) {
		if (!has_word(classes_of(lint), word))
			continue;
		if (span_eq(word, target) ||
		    leads_to(lint, word, target, depth + 1))
			return true;
	}
	return false;
}

static bool is_named_by_tables(struct lint *lint,
			       const struct rule_items *items,
			       const char *class_name, int depth)
{
	for (size_t i = 0; i < items->count && depth < 20; i++) {
		const struct rule_item *item = &items->items[i];

		if (item->maps != NULL &&
		    lint_table_names(lint, item, class_name))
			return true;
		if (item->nested != NULL &&
		    is_named_by_tables(lint, item->nested, class_name,
				       depth + 1))
			return true;
	}
	return false;
}

static bool has_policy(const struct rule_items *items)
{
	for (size_t i = 0; i < items->count; i++)
		if (lint_is(&items->items[i], "check_policy_service") ||
		    (items->items[i].nested != NULL &&
		     has_policy(items->items[i].nested)))
			return true;
	return false;
}

/* In a list, in another class, in a table; or nobody can say. */
static bool may_be_used(struct lint *lint, struct span name)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *text = mem_span_dup(tmp, name);
	struct span rest = span_from(classes_of(lint)), other;

	for (int i = 0; i < LIST_COUNT; i++) {
		if (lint->lists[i] == NULL || has_policy(lint->lists[i]) ||
		    has_word(conf_text(lint->conf,
				       rule_list_name((enum rule_list)i)),
			     name) ||
		    is_named_by_tables(lint, lint->lists[i], text, 0))
			return true;
	}
	while (span_token(&rest, separators, &other))
		if (!span_eq(other, name) &&
		    has_word(text_of(lint, other), name))
			return true;
	return lint->unlistable;
}

void lint_classes(struct lint *lint)
{
	struct span rest = span_from(classes_of(lint)), name;

	lint->list = "smtpd_restriction_classes";
	while (span_token(&rest, separators, &name)) {
		const char *text = text_of(lint, name);

		if (text == NULL)
			lint_say(lint, NULL, NULL,
				 "the class %.*s has no value: write %.*s = "
				 "restrictions, or take it out",
				 SPAN_FMT(name), SPAN_FMT(name));
		else if (leads_to(lint, name, name, 0))
			lint_say(lint, NULL, NULL,
				 "the class %.*s leads back to itself: clients "
				 "that get to it could never be answered; "
				 "break the circle",
				 SPAN_FMT(name));
		else if (!may_be_used(lint, name))
			lint_say(lint, NULL, NULL,
				 "nothing uses the class %.*s, no list, class "
				 "or table: name it where it is meant, or take "
				 "it out",
				 SPAN_FMT(name));
	}
}
