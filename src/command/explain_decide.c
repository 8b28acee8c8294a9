/* SPDX-License-Identifier: Apache-2.0 */
/* What the client gets in the end, and what decided it. */
#include "command/explain_priv.h"

/* Refusals of smtpd itself, and the parameter behind each. */
static const struct {
	const char *part; /* of the reply */
	const char *parameter;
} own_refusals[] = {
	{ "Message size exceeds fixed limit", "message_size_limit" },
	{ "message file too big", "message_size_limit" },
	{ "send HELO/EHLO first", "smtpd_helo_required" },
	{ "Must issue a STARTTLS command first", "smtpd_tls_security_level" },
	{ "Must declare SMTPUTF8", "strict_smtputf8" },
	{ "too many recipients", "smtpd_recipient_limit" },
	{ "DSN support is disabled", "smtpd_discard_ehlo_keywords" },
	{ "Bad sender address syntax", "strict_rfc821_envelopes" },
	{ "Bad recipient address syntax", "strict_rfc821_envelopes" },
	{ "too many errors", "smtpd_hard_error_limit" },
	{ "service unavailable", "fast_flush_domains" },
	{ "Unable to queue messages", "fast_flush_domains" },
};

const char *explain_outcome_name(enum explain_outcome outcome)
{
	static const char *const names[] = {
		[EXPLAIN_ACCEPTED] = "accepted",
		[EXPLAIN_REFUSED] = "refused",
		[EXPLAIN_DEFERRED] = "deferred",
		[EXPLAIN_OPEN] = "open",
	};

	return names[outcome];
}

int explain_outcome_status(enum explain_outcome outcome)
{
	static const int statuses[] = {
		[EXPLAIN_ACCEPTED] = 0,
		[EXPLAIN_REFUSED] = 1,
		[EXPLAIN_DEFERRED] = 75,
		[EXPLAIN_OPEN] = 3,
	};

	return statuses[outcome];
}

static bool says(const struct explain_step *rule, const char *what,
		 struct span text)
{
	for (const struct explain_step *s = rule->first; s != NULL; s = s->next)
		if (s->type == STEP_SAYS && strcmp(s->name, what) == 0 &&
		    (text.ptr == NULL || span_eq(s->value, text)))
			return true;
	return false;
}

/* The first rule, in the order in which they were asked, that says so. */
static const struct explain_step *
find_saying(const struct explain_step *step, const char *what, struct span text)
{
	for (const struct explain_step *s = step->first; s != NULL;
	     s = s->next) {
		const struct explain_step *found = find_saying(s, what, text);

		if (found == NULL && s->type == STEP_RULE &&
		    says(s, what, text))
			found = s;
		if (found != NULL)
			return found;
	}
	return NULL;
}

static const struct explain_step *list_of(const struct explain_step *step)
{
	while (step != NULL && (step->type != STEP_LIST || step->name == NULL))
		step = step->parent;
	return step;
}

/* The text of a refusal that was put off before. */
static struct span put_off(const struct explain_step *step, const char *what)
{
	struct span text = { NULL, 0 };

	for (const struct explain_step *s = step->first;
	     s != NULL && text.ptr == NULL; s = s->next) {
		if (s->type == STEP_SAYS && strcmp(s->name, what) == 0)
			return s->value;
		text = put_off(s, what);
	}
	return text;
}

static void find_refuser(struct explain_result *result)
{
	static const struct {
		const char *put_off, *by;
	} kinds[] = {
		{ "deferred permit", "defer_if_permit" },
		{ "deferred reject", "defer_if_reject" },
	};
	const struct explain_step *root = &result->last->root;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct span text = put_off(root, kinds[i].put_off);

		if (text.ptr == NULL)
			continue;
		/* it may have been put off at an earlier command */
		for (size_t at = 0;
		     at < result->stage_count && result->decided == NULL; at++)
			result->decided = find_saying(&result->stages[at].root,
						      kinds[i].by, text);
		return;
	}
	result->decided = find_saying(root, "reject", (struct span){ NULL, 0 });
}

/* The innermost rule that said yes. */
static const struct explain_step *permitter(const struct explain_step *step)
{
	for (const struct explain_step *s = step->first; s != NULL; s = s->next)
		if (s->type == STEP_RULE && s->reached &&
		    s->result == TRACE_OK) {
			const struct explain_step *inner = permitter(s);

			return inner != NULL ? inner : s;
		}
	return NULL;
}

/* Who let the mail in: what permitted it where relaying is decided, or else the
 * list that decided last. */
static void find_permitter(struct explain_result *result)
{
	static const char *const lists[] = { "smtpd_relay_restrictions",
					     "smtpd_recipient_restrictions" };

	for (size_t at = result->stage_count; at-- > 0;) {
		const struct explain_step *root = &result->stages[at].root;

		if (strcmp(result->stages[at].name, "RCPT") != 0)
			continue;
		for (size_t i = 0; i < ARRAY_LEN(lists); i++)
			for (const struct explain_step *s = root->first;
			     s != NULL && result->decided == NULL; s = s->next)
				if (s->type == STEP_LIST &&
				    strcmp(s->name, lists[i]) == 0)
					result->decided = permitter(s);
		return;
	}
}

static void find_own(struct explain_result *result)
{
	for (size_t i = 0; i < ARRAY_LEN(own_refusals); i++)
		if (strstr(result->last->reply, own_refusals[i].part) != NULL) {
			result->own = own_refusals[i].parameter;
			conf_locate(result->conf, result->own, 0,
				    &result->own_place);
			return;
		}
}

/* Refused for good counts more than for now. */
static int weight(const struct explain_stage *stage)
{
	return stage->code >= 500 || stage->code == 0 ? 2
	       : stage->code >= 400		      ? 1
						      : 0;
}

void explain_decide(struct explain_result *result)
{
	int worst = 0;

	result->last = &result->stages[result->stage_count - 1];
	for (size_t i = 0; i < result->stage_count; i++) {
		/* that DATA has no recipients says nothing new */
		if (weight(&result->stages[i]) <= worst)
			continue;
		worst = weight(&result->stages[i]);
		result->last = &result->stages[i];
	}
	result->outcome = worst == 2   ? EXPLAIN_REFUSED
			  : worst == 1 ? EXPLAIN_DEFERRED
				       : EXPLAIN_ACCEPTED;
	if (result->outcome == EXPLAIN_ACCEPTED)
		find_permitter(result);
	else
		find_refuser(result);
	if (result->decided == NULL && result->outcome != EXPLAIN_ACCEPTED)
		find_own(result);
	result->decided_list = list_of(result->decided);
}
