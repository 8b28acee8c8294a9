/* SPDX-License-Identifier: Apache-2.0 */
/* The explanation for programs: postern-explain(1) describes the shape. */
#include "command/explain_priv.h"

static const char *const step_names[] = {
	[STEP_LIST] = "list",	  [STEP_RULE] = "rule",
	[STEP_TABLE] = "table",	  [STEP_MATCH] = "match",
	[STEP_DNS] = "dns",	  [STEP_POLICY] = "policy",
	[STEP_VERIFY] = "verify", [STEP_SAYS] = "says",
};

static const char *result_name(enum trace_result result)
{
	static const char *const names[] = {
		[TRACE_DUNNO] = "dunno",
		[TRACE_OK] = "ok",
		[TRACE_REJECT] = "reject",
		[TRACE_WAIT] = "wait",
	};

	return names[result];
}

static const char *rc_name(enum rc rc)
{
	return rc == RC_OK ? "found" : rc == RC_NONE ? "none" : "error";
}

static void place_print(struct json *json, const struct conf_place *place,
			const char *source, bool is_table)
{
	if (source == NULL && place->parameter == NULL)
		return;
	json_begin(json, "place", '{');
	if (is_table) {
		json_text(json, "table", source);
	} else {
		json_text_or_null(json, "parameter", place->parameter);
		json_text_or_null(json, "file", place->file);
		json_number(json, "line", place->line);
		json_bool(json, "override", place->is_override);
	}
	json_end(json, '}');
}

static void steps_print(struct json *json, const struct explain_step *parent);

static void step_print(struct json *json, const struct explain_step *step)
{
	json_begin(json, NULL, '{');
	json_text(json, "type", step_names[step->type]);
	json_text(json, step->type == STEP_SAYS ? "what" : "name", step->name);
	switch (step->type) {
	case STEP_LIST:
		json_text(json, "verdict", result_name(step->result));
		break;
	case STEP_RULE:
		json_span(json, "argument", step->value);
		json_text_or_null(json, "input", step->input);
		json_bool(json, "reached", step->reached);
		json_bool(json, "warn_if_reject", step->warns);
		if (step->reached)
			json_text(json, "verdict", result_name(step->result));
		place_print(json, &step->place, step->source,
			    step->source_is_table);
		break;
	case STEP_SAYS:
		json_span(json, "text", step->value);
		break;
	default:
		json_span(json, "key", step->key);
		json_text(json, "answer", rc_name(step->rc));
		json_span(json, "value", step->value);
		json_bool(json, "known", !step->unknown);
	}
	if (step->type == STEP_LIST || step->type == STEP_RULE)
		steps_print(json, step);
	json_end(json, '}');
}

static void steps_print(struct json *json, const struct explain_step *parent)
{
	json_begin(json, "steps", '[');
	/* a level of ours is two of JSON */
	if (json->depth < JSON_DEPTH_MAX - 4)
		for (const struct explain_step *s = parent->first; s != NULL;
		     s = s->next)
			step_print(json, s);
	json_end(json, ']');
}

static void stage_print(struct json *json, const struct explain_stage *stage)
{
	json_begin(json, NULL, '{');
	json_text(json, "stage", stage->name);
	json_text_or_null(json, "command", stage->command);
	json_text_or_null(json, "recipient", stage->recipient);
	json_number(json, "code", stage->code);
	json_text(json, "reply", stage->reply);
	steps_print(json, &stage->root);
	json_begin(json, "log", '[');
	for (size_t i = 0; i < stage->log_count; i++)
		json_text(json, NULL, stage->log[i]);
	json_end(json, ']');
	json_end(json, '}');
}

static void decision_print(struct json *json,
			   const struct explain_result *result)
{
	const struct explain_step *rule = result->decided;

	if (rule == NULL && result->own == NULL) {
		json_null(json, "decided_by");
		return;
	}
	json_begin(json, "decided_by", '{');
	json_text_or_null(json, "rule", rule == NULL ? NULL : rule->name);
	json_span(json, "argument",
		  rule == NULL ? (struct span){ "", 0 } : rule->value);
	json_text_or_null(json, "list",
			  result->decided_list == NULL
				  ? NULL
				  : result->decided_list->name);
	json_text_or_null(json, "own", result->own);
	if (rule != NULL)
		place_print(json, &rule->place, rule->source,
			    rule->source_is_table);
	else
		place_print(json, &result->own_place, NULL, false);
	json_end(json, '}');
}

static void unknown_print(struct json *json, const struct explain_unknown *u)
{
	static const char *const kinds[] = {
		[TRACE_TABLE] = "table",
		[TRACE_DNS] = "dns",
		[TRACE_POLICY] = "policy",
		[TRACE_VERIFY] = "verify",
	};

	json_begin(json, NULL, '{');
	json_text(json, "type", kinds[u->kind]);
	json_text(json, "name", u->name);
	json_text(json, "key", u->key);
	json_text(json, "rule", u->rule);
	json_text(json, "assumed_answer", rc_name(u->assumed_rc));
	json_span(json, "assumed", u->assumed);
	json_text(json, "otherwise_answer", rc_name(u->otherwise_rc));
	json_span(json, "otherwise", u->otherwise);
	json_text_or_null(json, "otherwise_reply", u->other_reply);
	json_end(json, '}');
}

void explain_json_print(const struct explain_result *result, FILE *to)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct json json;

	json_init(&json, to, false);
	json_begin(&json, NULL, '{');
	json_number(&json, "version", 1);
	json_text(&json, "config_directory", result->conf->config_directory);
	json_text(&json, "service", result->service);
	json_text(&json, "session",
		  explain_session_format(tmp, result->session));
	json_begin(&json, "stages", '[');
	for (size_t i = 0; i < result->stage_count; i++)
		stage_print(&json, &result->stages[i]);
	json_end(&json, ']');
	json_begin(&json, "unknown", '[');
	for (size_t i = 0; i < result->unknown_count; i++)
		unknown_print(&json, &result->unknowns[i]);
	json_end(&json, ']');
	json_text(&json, "outcome", explain_outcome_name(result->outcome));
	json_text(&json, "stage", result->last->name);
	json_number(&json, "code", result->last->code);
	json_text(&json, "reply", result->last->reply);
	decision_print(&json, result);
	json_number(&json, "exit_status",
		    explain_outcome_status(result->outcome));
	json_end(&json, '}');
}
