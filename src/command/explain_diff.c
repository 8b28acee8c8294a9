/* SPDX-License-Identifier: Apache-2.0 */
/* Many sessions, under one configuration or two: what ends differently. */
#include "command/explain_priv.h"

#include <stdlib.h>

enum { GROUPS_MAX = 1000, EXAMPLES_MAX = 3 };

/* How a session ends. */
struct ending {
	enum explain_outcome outcome;
	const char *reply;
	const char *rule, *place; /* what decided; "" */
};

struct example {
	const char *id, *session;
	struct ending ends[2];
};

struct group {
	struct ending ends[2]; /* outcome, rule and place count */
	size_t count, example_count;
	struct example examples[EXAMPLES_MAX];
};

struct explain_diff {
	const struct explain_player *players[2]; /* [1] NULL: only one */
	struct group *groups;
	size_t group_count;
	size_t sessions, same, other_words, different, unknown, ungrouped;
	size_t logged, as_logged;
	size_t outcomes[EXPLAIN_OPEN + 1];
};

struct explain_diff *explain_diff_new(TALLOC_CTX *mem,
				      const struct explain_player *now,
				      const struct explain_player *then)
{
	struct explain_diff *diff = mem_new(mem, struct explain_diff);

	diff->players[0] = now;
	diff->players[1] = then;
	return diff;
}

static void ending_of(TALLOC_CTX *mem, const struct explain_result *result,
		      struct ending *ret)
{
	const struct explain_step *rule = result->decided;

	*ret = (struct ending){ .outcome = result->outcome,
				.reply = mem_strdup(mem, result->last->reply),
				.rule = "",
				.place = "" };
	if (rule != NULL) {
		ret->rule = mem_printf(mem, "%s%s%.*s", rule->name,
				       rule->value.len > 0 ? " " : "",
				       SPAN_FMT(rule->value));
		ret->place = rule->source_is_table
				     ? mem_strdup(mem, rule->source)
				     : explain_place_text(mem, result->conf,
							  &rule->place, false);
	} else if (result->own != NULL) {
		ret->rule = mem_strdup(mem, result->own);
		ret->place = explain_place_text(mem, result->conf,
						&result->own_place, false);
	}
}

static struct ending ending_copy(TALLOC_CTX *mem, const struct ending *from)
{
	return (struct ending){ from->outcome, mem_strdup(mem, from->reply),
				mem_strdup(mem, from->rule),
				mem_strdup(mem, from->place) };
}

static bool is_alike(const struct ending *a, const struct ending *b)
{
	return a->outcome == b->outcome && strcmp(a->rule, b->rule) == 0 &&
	       strcmp(a->place, b->place) == 0;
}

static struct group *group_of(struct explain_diff *diff,
			      const struct ending ends[2])
{
	struct group *group;

	for (size_t i = 0; i < diff->group_count; i++)
		if (is_alike(&diff->groups[i].ends[0], &ends[0]) &&
		    is_alike(&diff->groups[i].ends[1], &ends[1]))
			return &diff->groups[i];
	if (diff->group_count == GROUPS_MAX)
		return NULL;
	diff->groups = mem_resize(diff, diff->groups, struct group,
				  diff->group_count + 1);
	group = &diff->groups[diff->group_count++];
	*group = (struct group){ 0 };
	for (int i = 0; i < 2; i++)
		group->ends[i] = ending_copy(diff, &ends[i]);
	return group;
}

static void remember(struct explain_diff *diff,
		     const struct explain_session *session,
		     const struct ending ends[2])
{
	struct group *group = group_of(diff, ends);
	struct example *example;

	if (group == NULL) {
		diff->ungrouped++;
		return;
	}
	if (group->count++ >= EXAMPLES_MAX)
		return;
	example = &group->examples[group->example_count++];
	example->id = mem_strdup(diff, session->id == NULL ? "" : session->id);
	example->session = explain_session_format(diff, session);
	for (int i = 0; i < 2; i++)
		example->ends[i] = ending_copy(diff, &ends[i]);
}

/* Two replies to the same recipients, all of the same kind? */
static bool is_same_for_all(const struct explain_result *a,
			    const struct explain_result *b)
{
	if (a->stage_count != b->stage_count || a->outcome != b->outcome)
		return a->outcome == b->outcome &&
		       a->session->recipient_count < 2;
	for (size_t i = 0; i < a->stage_count; i++)
		if (a->stages[i].code / 100 != b->stages[i].code / 100)
			return false;
	return true;
}

static void compare_with_log(struct explain_diff *diff,
			     const struct explain_result *result)
{
	const char *was = result->session->was;

	if (was == NULL)
		return;
	diff->logged++;
	diff->as_logged += result->last->reply[0] == was[0];
}

static void compare(struct explain_diff *diff, TALLOC_CTX *tmp,
		    struct explain_result *const results[2])
{
	struct ending ends[2];

	ending_of(tmp, results[0], &ends[0]);
	ending_of(tmp, results[1], &ends[1]);
	if (!is_same_for_all(results[0], results[1])) {
		diff->different++;
		remember(diff, results[0]->session, ends);
	} else if (strcmp(ends[0].reply, ends[1].reply) != 0) {
		diff->other_words++;
	} else {
		diff->same++;
	}
}

void explain_diff_session(void *arg, struct explain_session *session)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct explain_result *results[2] = { NULL, NULL };
	struct explain_diff *diff = arg;
	struct ending ends[2];
	struct fault fault;

	for (int i = 0; i < 2 && diff->players[i] != NULL; i++)
		if (explain_play(tmp, diff->players[i], session, &results[i],
				 &fault) != RC_OK)
			return;
	diff->sessions++;
	diff->outcomes[results[0]->outcome]++;
	compare_with_log(diff, results[0]);
	diff->unknown += results[0]->unknown_count > 0 ||
			 (results[1] != NULL && results[1]->unknown_count > 0);
	if (results[1] != NULL) {
		compare(diff, tmp, results);
		return;
	}
	ending_of(tmp, results[0], &ends[0]);
	ends[1] = ends[0];
	remember(diff, session, ends);
}

/* ---- printing ---- */

static int by_count(const void *a, const void *b)
{
	size_t x = ((const struct group *)a)->count;
	size_t y = ((const struct group *)b)->count;

	return x < y ? 1 : x > y ? -1 : 0;
}

static void ending_json(struct json *json, const char *key,
			const struct ending *ending, bool with_reply)
{
	json_begin(json, key, '{');
	json_text(json, "outcome", explain_outcome_name(ending->outcome));
	json_text(json, "rule", ending->rule);
	json_text(json, "place", ending->place);
	if (with_reply)
		json_text(json, "reply", ending->reply);
	json_end(json, '}');
}

static void group_json(const struct explain_diff *diff, struct json *json,
		       const struct group *group)
{
	bool two = diff->players[1] != NULL;

	json_begin(json, NULL, '{');
	json_number(json, "count", (long long)group->count);
	ending_json(json, "now", &group->ends[0], false);
	if (two)
		ending_json(json, "then", &group->ends[1], false);
	json_begin(json, "examples", '[');
	for (size_t i = 0; i < group->example_count; i++) {
		const struct example *example = &group->examples[i];

		json_begin(json, NULL, '{');
		json_text(json, "id", example->id);
		json_text(json, "session", example->session);
		ending_json(json, "now", &example->ends[0], true);
		if (two)
			ending_json(json, "then", &example->ends[1], true);
		json_end(json, '}');
	}
	json_end(json, ']');
	json_end(json, '}');
}

static void print_json(const struct explain_diff *diff, FILE *to)
{
	const struct {
		const char *key;
		size_t value;
	} numbers[] = {
		{ "sessions", diff->sessions },
		{ "same", diff->same },
		{ "other_words", diff->other_words },
		{ "different", diff->different },
		{ "needed_unknown_answers", diff->unknown },
		{ "refused_in_log", diff->logged },
		{ "refused_in_log_and_now", diff->as_logged },
		{ "accepted_now", diff->outcomes[EXPLAIN_ACCEPTED] },
		{ "refused_now", diff->outcomes[EXPLAIN_REFUSED] },
		{ "deferred_now", diff->outcomes[EXPLAIN_DEFERRED] },
	};
	struct json json;

	json_init(&json, to, false);
	json_begin(&json, NULL, '{');
	json_number(&json, "version", 1);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		json_number(&json, numbers[i].key, (long long)numbers[i].value);
	json_begin(&json, "groups", '[');
	for (size_t i = 0; i < diff->group_count; i++)
		group_json(diff, &json, &diff->groups[i]);
	json_end(&json, ']');
	json_end(&json, '}');
}

static void ending_text(FILE *to, const char *what, const struct ending *ending)
{
	fprintf(to, "      %s%s", what, ending->reply);
	if (ending->rule[0] != '\0')
		fprintf(to, "  (%s%s%s)", ending->rule,
			ending->place[0] == '\0' ? "" : ", ", ending->place);
	fputc('\n', to);
}

static void group_text(const struct explain_diff *diff, FILE *to,
		       const struct group *group)
{
	bool two = diff->players[1] != NULL;

	fprintf(to, "\n%8zu  %s", group->count,
		explain_outcome_name(group->ends[0].outcome));
	if (two)
		fprintf(to, " -> %s",
			explain_outcome_name(group->ends[1].outcome));
	fprintf(to, "%s%s\n", group->ends[two].rule[0] == '\0' ? "" : "  by ",
		group->ends[two].rule);
	for (size_t i = 0; i < group->example_count; i++) {
		const struct example *example = &group->examples[i];

		fprintf(to, "    %s%s%s\n", example->id,
			example->id[0] == '\0' ? "" : ": ", example->session);
		ending_text(to, two ? "now:  " : "", &example->ends[0]);
		if (two)
			ending_text(to, "then: ", &example->ends[1]);
	}
}

static void print_text(const struct explain_diff *diff, FILE *to)
{
	fprintf(to, "%zu sessions", diff->sessions);
	if (diff->players[1] != NULL)
		fprintf(to,
			": %zu end the same, %zu the same in other words, %zu "
			"differently\n",
			diff->same, diff->other_words, diff->different);
	else
		fprintf(to,
			": %zu accepted, %zu refused, %zu refused for now\n",
			diff->outcomes[EXPLAIN_ACCEPTED],
			diff->outcomes[EXPLAIN_REFUSED],
			diff->outcomes[EXPLAIN_DEFERRED]);
	if (diff->logged > 0)
		fprintf(to,
			"%zu were refused when the log was written; %zu of "
			"them are so now\n",
			diff->logged, diff->as_logged);
	if (diff->unknown > 0)
		fprintf(to,
			"%zu need answers that are not known here, which were "
			"taken for granted\n",
			diff->unknown);
	for (size_t i = 0; i < diff->group_count; i++)
		group_text(diff, to, &diff->groups[i]);
	if (diff->ungrouped > 0)
		fprintf(to, "\n%8zu  in other ways\n", diff->ungrouped);
}

int explain_diff_print(struct explain_diff *diff, bool as_json, FILE *to)
{
	if (diff->group_count > 0)
		qsort(diff->groups, diff->group_count, sizeof(struct group),
		      by_count);
	if (as_json)
		print_json(diff, to);
	else
		print_text(diff, to);
	return diff->players[1] != NULL && diff->different > 0 ? 1 : 0;
}

size_t explain_diff_count(const struct explain_diff *diff)
{
	return diff->sessions;
}
