/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query - templates with %s, %u, %d and so on, and what all tables that ask
 * with them have in common: the settings domain, result_format and
 * expansion_limit.
 *
 * Shape    %% a percent sign; %s the text, %u and %d what is before and behind
 *          its last @ (%u of a text without @ is all of it); %S %U %D the same
 *          of the key; %1 to %9 the labels of the key's domain, from the right.
 *          In a query the text is the key, in a result format the result.
 * Errors   RC_NONE: a part is missing that the template needs, so there is
 *          nothing to ask or to add; RC_CONF another letter after %
 * Threads  immutable after open; any thread may expand
 */
#pragma once

#include "map/match_list.h"

#include "map/map_priv.h"

struct query_template;

/* ret_template is a child of mem; text is copied. */
MUST_CHECK enum rc query_template_parse(TALLOC_CTX *mem, const char *text,
					struct query_template **ret_template,
					struct fault *fault);
/* The whole key is in it (%s, or %u and %d). Without, callers that ask for
 * parts of an address cannot tell what they ask. */
bool query_template_has_key(const struct query_template *t);
/* Nothing is replaced in it. */
bool query_template_is_fixed(const struct query_template *t);

/* Append raw so that it cannot be anything but text where it stands. false: it
 * has no such form, so nothing can be found under it. */
typedef bool query_quote_fn(void *arg, struct span raw, struct buf *out);
struct query_quote {
	query_quote_fn *fn; /* NULL: as it is */
	void *arg;
};

/* Append to out; RC_NONE and whatever was appended, when a part is missing.
 * Look at out->full afterwards. */
MUST_CHECK enum rc query_template_expand(const struct query_template *t,
					 struct span key, struct span text,
					 const struct query_quote *quote,
					 struct buf *out);

struct query_settings {
	const char *domain;	   /* NULL: none */
	const char *result_format; /* NULL: "%s" */
	int expansion_limit;	   /* 0: none */
};

struct query_rules;

MUST_CHECK enum rc query_rules_open(TALLOC_CTX *mem, const struct map *map,
				    const struct query_settings *settings,
				    struct query_rules **ret_rules,
				    struct fault *fault);
/* May there be something under this key? RC_OK: ask; RC_NONE: do not (empty,
 * not of `domain`, a NUL byte, not UTF-8 where all texts are, too short for
 * result_format); RC_TEMP: a table in `domain` failed. */
MUST_CHECK enum rc query_rules_allow(const struct query_rules *rules,
				     struct span key, struct fault *fault);

/* The results of one lookup, joined with ",". */
enum { QUERY_ANSWER_MAX_BYTES = 1024 * 1024 };
struct query_answer {
	struct buf text;
	int count;
};

void query_answer_init(struct query_answer *answer, TALLOC_CTX *mem);
/* Format and append one; an empty one, or one without what the format needs, is
 * skipped. RC_TEMP: more than expansion_limit, or too long. */
MUST_CHECK enum rc query_answer_add(const struct query_rules *rules,
				    struct span key, struct span value,
				    struct query_answer *answer,
				    struct fault *fault);
/* RC_NONE when nothing was added; RC_TEMP when it is not UTF-8 where all texts
 * are. */
MUST_CHECK enum rc query_answer_end(const struct query_rules *rules,
				    const struct query_answer *answer,
				    struct span *ret_value,
				    struct fault *fault);
