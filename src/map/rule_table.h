/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rule_table - tables of rules tried in order: cidr, regexp, pcre.
 *
 * Shape    [!]PATTERN result        if [!]PATTERN        endif
 * Errors   a bad rule is skipped; the log says so, with file and line
 * Threads  immutable once read
 */
#pragma once

#include "map/map_watch.h"
#include "map/net_pattern.h"

enum { RULE_CAPTURES_MAX = 100 };

struct rule_captures {
	struct span spans[RULE_CAPTURES_MAX]; /* [0]: all of the match */
	size_t count;
};

struct rule {
	enum rule_type { RULE_MATCH, RULE_IF, RULE_ENDIF } type;
	bool negated;
	unsigned int line;
	void *pattern;	 /* the kind's; NULL for endif */
	size_t captures; /* how many the pattern has */
	size_t endif;	 /* RULE_IF: index of its endif */
	const char *result;
};

/* What is asked for, and what a kind keeps with it during one lookup. */
struct rule_key {
	struct span text;
	struct net_address address;
	void *room;
};

/* What makes a kind of table. */
struct rule_kind {
	const char *name; /* "regexp" */
	bool substitutes; /* $1 in results; a result may be empty */
	/* Read a pattern off the front of *rest. NULL, or what is wrong. */
	const char *(*read)(TALLOC_CTX *mem, const struct map *map,
			    struct span *rest, struct rule *rule);
	/* Before and after the rules are asked. false: no rule can match. */
	bool (*begin)(struct rule_key *key);
	void (*end)(struct rule_key *key);
	/* RC_OK matches (before negation), RC_NONE does not, RC_PERM this rule
	 * does not apply to such a key, RC_TEMP */
	enum rc (*match)(const struct rule *rule, struct rule_key *key,
			 struct rule_captures *ret_captures,
			 struct fault *fault);
};

enum rc rule_map_open(struct map *map, const struct rule_kind *kind,
		      struct fault *fault);
enum rc rule_map_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
			struct span *ret_value, struct fault *fault);
bool rule_map_needs_restart(const struct map *map);
