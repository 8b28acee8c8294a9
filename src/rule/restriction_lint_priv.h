/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restriction_lint_priv - one look at the lists of a configuration.
 *
 *   restriction_lint.c        words: never reached, without data, twice,
 * unknown restriction_lint_class.c  restriction classes: loops, empty, not used
 *   restriction_lint_relay.c  who may relay that should not
 *   restriction_lint_table.c  tables: missing ones, entries that say OK
 */
#pragma once

#include "rule/restriction_lint.h"
#include "rule/restriction_priv.h"

struct lint {
	TALLOC_CTX *mem;
	struct conf *conf;
	restriction_lint_fn *say;
	void *arg;
	int count;
	const char *list; /* that is looked at: its parameter */
	struct rule_items *lists[LIST_COUNT]; /* NULL: cannot be read */
	bool unlistable; /* some table keeps its entries to itself */
};

/* About a word of a list; item NULL: about the whole parameter. */
void lint_say(struct lint *lint, const struct rule_items *items,
	      const struct rule_item *item, const char *format, ...)
	PRINTF(4, 5);

/* Is the word of this name? */
bool lint_is(const struct rule_item *item, const char *name);

void lint_classes(struct lint *lint);
void lint_relay(struct lint *lint);

/* Is it asked over the network, or not to be opened here? */
bool lint_is_remote(struct span type_and_name);
void lint_table(struct lint *lint, const struct rule_items *items,
		const struct rule_item *item);
/* The first entry that permits and that `wanted` (NULL: any) agrees to; its
 * key. false: none, or nobody can say. */
struct lint_entry {
	bool (*wanted)(struct lint *lint, struct span key);
	const char *key;
};
bool lint_table_permits(struct lint *lint, const struct rule_item *item,
			struct lint_entry *entry);
/* Does an entry name this class? */
bool lint_table_names(struct lint *lint, const struct rule_item *item,
		      const char *class_name);
