/* SPDX-License-Identifier: Apache-2.0 */
/* The explanation for people: a tree on a terminal, indentation elsewhere. */
#include "command/explain_priv.h"

enum { PREFIX_MAX_BYTES = 1024, LINE_MAX_BYTES = 16 * 1024 };

struct page {
	FILE *to;
	const struct explain_look *look;
	const struct explain_result *result;
	char prefix[PREFIX_MAX_BYTES];
};

/* ---- words ---- */

const char *explain_place_text(TALLOC_CTX *mem, const struct conf *conf,
			       const struct conf_place *place, bool whole)
{
	const char *file = place->file, *slash;

	if (place->parameter == NULL)
		return "";
	if (file == NULL && place->is_override)
		return mem_printf(mem, "-o %s", place->parameter);
	if (file == NULL)
		return mem_printf(mem, "default of %s", place->parameter);
	slash = strrchr(file, '/');
	if (!whole && slash != NULL)
		file = slash + 1;
	return mem_printf(mem, whole ? "%s, line %d%s%s" : "%s:%d%s%s", file,
			  place->line, place->is_override ? ", -o " : "",
			  place->is_override ? place->parameter : "");
}

static struct span one_line(TALLOC_CTX *mem, struct span text)
{
	char *copy = mem_span_dup(mem, text);

	for (size_t i = 0; i < text.len; i++)
		if (copy[i] == '\n')
			copy[i] = ',';
	return (struct span){ copy, text.len };
}

static const char *answer_text(TALLOC_CTX *mem, const struct explain_step *step)
{
	struct span value = one_line(mem, step->value);

	if (step->type == STEP_MATCH && step->rc == RC_OK)
		return mem_printf(mem, "yes: %.*s", SPAN_FMT(value));
	if (step->type == STEP_MATCH && step->rc == RC_NONE)
		return value.len > 0
			       ? mem_printf(mem, "no: %s%.*s",
					    span_starts(value, "!") ? "" : "!",
					    SPAN_FMT(value))
			       : "no";
	if (step->type == STEP_VERIFY)
		return mem_printf(mem, "%.*s", SPAN_FMT(value));
	if (step->rc == RC_OK)
		return mem_printf(mem, "%.*s", SPAN_FMT(value));
	if (step->rc == RC_NONE && step->type == STEP_DNS)
		return strstr(mem_span_dup(mem, value), "no data record") !=
				       NULL
			       ? "there is no such record"
			       : "there is no such name";
	if (step->rc == RC_NONE)
		return "not found";
	return mem_printf(mem, "failed: %.*s", SPAN_FMT(value));
}

const char *explain_lookup_text(TALLOC_CTX *mem,
				const struct explain_step *step)
{
	const char *answer = answer_text(mem, step);
	const char *unknown =
		step->unknown ? "not known, taken for granted: " : "";

	switch (step->type) {
	case STEP_DNS:
		return mem_printf(mem, "DNS %.*s %s: %s%s", SPAN_FMT(step->key),
				  step->name, unknown, answer);
	case STEP_POLICY:
		return mem_printf(mem, "%s answers: %s%s", step->name, unknown,
				  answer);
	case STEP_VERIFY:
		return mem_printf(mem, "probe of %.*s: %s%s",
				  SPAN_FMT(step->key), unknown, answer);
	default:
		return mem_printf(mem, "%.*s in %s: %s%s", SPAN_FMT(step->key),
				  step->name, unknown, answer);
	}
}

static const char *says_text(TALLOC_CTX *mem, const struct explain_step *step)
{
	static const struct {
		const char *what, *text;
	} words[] = {
		{ "reject", "the reply: " },
		{ "reject_warning", "warn_if_reject: only the log says " },
		{ "defer_if_permit", "if it is permitted in the end: " },
		{ "defer_if_reject", "if it is refused in the end: " },
		{ "deferred permit",
		  "it would be permitted, but was put off: " },
		{ "deferred reject", "it would be refused, but was put off: " },
		{ "warning", "warning: " },
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(step->name, words[i].what) == 0)
			return mem_printf(mem, "%s%.*s", words[i].text,
					  SPAN_FMT(step->value));
	return mem_printf(mem, "%s: %.*s", step->name, SPAN_FMT(step->value));
}

static bool has_said(const struct explain_step *step, const char *what)
{
	for (const struct explain_step *s = step->first; s != NULL; s = s->next)
		if (s->type == STEP_SAYS && strcmp(s->name, what) == 0)
			return true;
	return false;
}

static const char *verdict_text(const struct explain_step *step,
				enum paint *ret_tint)
{
	*ret_tint = PAINT_DIM;
	if (!step->reached)
		return "not reached";
	*ret_tint = PAINT_BAD;
	if (step->result == TRACE_REJECT)
		return "REJECT";
	*ret_tint = PAINT_GOOD;
	if (step->result == TRACE_OK)
		return "OK";
	*ret_tint = PAINT_WARN;
	if (has_said(step, "reject_warning"))
		return "would be REJECT, only warns";
	if (has_said(step, "defer_if_permit"))
		return "no verdict, puts off a permit";
	if (has_said(step, "defer_if_reject"))
		return "no verdict, puts off a refusal";
	*ret_tint = PAINT_PLAIN;
	return "no verdict";
}

/* ---- lines ---- */

static void tint(const struct page *page, enum paint paint)
{
	fputs(terminal_paint(&page->look->terminal, paint), page->to);
}

/* Nothing of a client or a table may steer the terminal. */
static void put(const struct page *page, const char *text)
{
	for (; *text != '\0'; text++)
		fputc((unsigned char)*text < 32 || *text == 127 ? '?' : *text,
		      page->to);
}

struct branch {
	size_t before; /* length of the prefix to go back to */
};

static struct branch branch_begin(struct page *page, bool last)
{
	static const char *const marks[3][2] = {
		{ "  ", "  " },
		{ "|- ", "`- " },
		{ "\xe2\x94\x9c\xe2\x94\x80 ", "\xe2\x94\x94\xe2\x94\x80 " },
	};
	static const char *const bars[3][2] = {
		{ "  ", "  " },
		{ "|  ", "   " },
		{ "\xe2\x94\x82  ", "   " },
	};
	const struct terminal *terminal = &page->look->terminal;
	int style = !terminal->is_terminal ? 0 : terminal->utf8 ? 2 : 1;
	struct branch branch = { strlen(page->prefix) };

	tint(page, PAINT_DIM);
	fprintf(page->to, "%s%s", page->prefix, marks[style][last]);
	tint(page, PAINT_PLAIN);
	if (branch.before + 16 < sizeof(page->prefix))
		strncat(page->prefix, bars[style][last],
			sizeof(page->prefix) - branch.before - 1);
	return branch;
}

static void branch_end(struct page *page, struct branch branch)
{
	page->prefix[branch.before] = '\0';
}

static void leaf(struct page *page, bool last, enum paint color,
		 const char *text)
{
	struct branch branch = branch_begin(page, last);

	tint(page, color);
	put(page, text);
	tint(page, PAINT_PLAIN);
	fputc('\n', page->to);
	branch_end(page, branch);
}

/* ---- steps ---- */

static bool is_shown(const struct page *page, const struct explain_step *step)
{
	return step->reached || page->look->all;
}

static const struct explain_step *shown_after(const struct page *page,
					      const struct explain_step *step)
{
	for (step = step->next; step != NULL; step = step->next)
		if (is_shown(page, step))
			return step;
	return NULL;
}

static void steps_print(struct page *page, const struct explain_step *parent,
			bool more);

static void rule_print(struct page *page, const struct explain_step *step,
		       bool last)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct branch branch = branch_begin(page, last);
	const char *place = explain_place_text(tmp, page->result->conf,
					       &step->place, false);
	enum paint color;
	const char *verdict = verdict_text(step, &color);

	put(page,
	    mem_printf(tmp, "%s%s%s%.*s", step->warns ? "warn_if_reject " : "",
		       step->name, step->value.len > 0 ? " " : "",
		       SPAN_FMT(one_line(tmp, step->value))));
	tint(page, color);
	fprintf(page->to, "  %s", verdict);
	tint(page, PAINT_DIM);
	if (step->source_is_table)
		put(page, mem_printf(tmp, "  (entry of %s)", step->source));
	else if (place[0] != '\0')
		put(page, mem_printf(tmp, "  (%s)", place));
	tint(page, PAINT_PLAIN);
	fputc('\n', page->to);
	if (step->reached && step->input != NULL)
		leaf(page, step->first == NULL, PAINT_DIM, step->input);
	steps_print(page, step, false);
	branch_end(page, branch);
}

static const char *list_end_text(const struct explain_step *step)
{
	switch (step->result) {
	case TRACE_OK:
		return "ends with OK: the next list is asked";
	case TRACE_REJECT:
		return "refuses";
	default:
		return step->first == NULL ? "is empty"
					   : "has no verdict: goes on";
	}
}

static void list_print(struct page *page, const struct explain_step *step,
		       bool last)
{
	struct branch branch = branch_begin(page, last);

	tint(page, PAINT_BOLD);
	put(page, step->name);
	tint(page, PAINT_PLAIN);
	fprintf(page->to, " %s\n", list_end_text(step));
	steps_print(page, step, false);
	branch_end(page, branch);
}

static void step_print(struct page *page, const struct explain_step *step,
		       bool last)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	switch (step->type) {
	case STEP_LIST:
		list_print(page, step, last);
		break;
	case STEP_RULE:
		rule_print(page, step, last);
		break;
	case STEP_SAYS:
		leaf(page, last, PAINT_WARN, says_text(tmp, step));
		break;
	default:
		leaf(page, last, step->unknown ? PAINT_WARN : PAINT_PLAIN,
		     explain_lookup_text(tmp, step));
	}
}

static void steps_print(struct page *page, const struct explain_step *parent,
			bool more)
{
	for (const struct explain_step *s = parent->first; s != NULL;
	     s = s->next)
		if (is_shown(page, s))
			step_print(page, s,
				   !more && shown_after(page, s) == NULL);
}

/* ---- stages ---- */

/* Lists that this stage would ask, but for smtpd_delay_reject. */
static void delayed_print(struct page *page, const struct explain_stage *stage)
{
	static const struct {
		const char *stage, *list;
	} delayed[] = {
		{ "CONNECT", "smtpd_client_restrictions" },
		{ "HELO", "smtpd_helo_restrictions" },
		{ "MAIL", "smtpd_sender_restrictions" },
	};
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	if (!page->result->conf->v.smtpd_delay_reject)
		return;
	for (size_t i = 0; i < ARRAY_LEN(delayed); i++)
		if (strcmp(stage->name, delayed[i].stage) == 0)
			leaf(page, false, PAINT_DIM,
			     mem_printf(tmp,
					"%s waits for RCPT: "
					"smtpd_delay_reject = yes",
					delayed[i].list));
}

static void reply_print(struct page *page, const char *reply, bool last)
{
	struct span rest = span_from(reply), line;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	bool bad = rest.len > 0 && rest.ptr[0] >= '4';

	while (span_cut(&rest, '\n', &line)) {
		const char *more = "";

		if (!bad && rest.ptr != NULL) { /* what EHLO offers */
			more = " ...";
			rest.ptr = NULL;
			rest.len = 0;
		}
		leaf(page, last && rest.ptr == NULL,
		     bad ? PAINT_BAD : PAINT_GOOD,
		     mem_printf(tmp, "reply: %.*s%s", SPAN_FMT(line), more));
	}
}

static void stage_print(struct page *page, const struct explain_stage *stage)
{
	const struct explain_session *session = page->result->session;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	tint(page, PAINT_BOLD);
	if (stage->command == NULL)
		put(page, mem_printf(tmp, "CONNECT from %s[%s]",
				     session->client_name == NULL
					     ? ""
					     : session->client_name,
				     session->client_address));
	else
		put(page, strcmp(stage->command, ".") == 0 ? "END-OF-MESSAGE"
							   : stage->command);
	tint(page, PAINT_PLAIN);
	fputc('\n', page->to);
	delayed_print(page, stage);
	steps_print(page, &stage->root, true);
	for (size_t i = 0; i < stage->log_count; i++)
		leaf(page, false, PAINT_DIM,
		     mem_printf(tmp, "log: %s", stage->log[i]));
	reply_print(page, stage->reply, true);
}

static void decision_print(struct page *page)
{
	const struct explain_result *result = page->result;
	const struct explain_step *rule = result->decided;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *where;

	if (rule != NULL) {
		where = rule->source_is_table
				? mem_printf(tmp, "an entry of %s",
					     rule->source)
				: explain_place_text(tmp, result->conf,
						     &rule->place, true);
		put(page, mem_printf(tmp, "Decided by %s%s%.*s", rule->name,
				     rule->value.len > 0 ? " " : "",
				     SPAN_FMT(one_line(tmp, rule->value))));
		if (result->decided_list != NULL)
			put(page, mem_printf(tmp, " in %s",
					     result->decided_list->name));
		put(page, mem_printf(tmp, ": %s", where));
	} else if (result->own != NULL) {
		put(page,
		    mem_printf(tmp, "Decided by the parameter %s: %s",
			       result->own,
			       explain_place_text(tmp, result->conf,
						  &result->own_place, true)));
	} else if (result->last->code < 400) {
		put(page, "Decided by no rule: none had an objection");
	} else {
		put(page, "Decided by the server itself, not by a rule");
	}
	fputc('\n', page->to);
}

static void unknowns_print(struct page *page)
{
	const struct explain_result *result = page->result;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	size_t idle = 0;

	if (result->unknown_count == 0)
		return;
	fprintf(page->to, "\nAnswers that are not known here:\n");
	for (size_t i = 0; i < result->unknown_count; i++) {
		const struct explain_unknown *u = &result->unknowns[i];

		if (u->other_reply == NULL) {
			idle++;
			continue;
		}
		put(page, mem_printf(tmp, "  %s%s%s%s%s", u->key,
				     u->key[0] == '\0' ? "" : " ", u->name,
				     u->rule[0] == '\0' ? "" : ", asked by ",
				     u->rule));
		fputc('\n', page->to);
		put(page, mem_printf(tmp, "    taken for granted: %s",
				     u->assumed_rc == RC_NONE
					     ? "none"
					     : mem_span_dup(tmp, u->assumed)));
		fputc('\n', page->to);
		put(page, mem_printf(tmp, "    with %s: the client gets %s",
				     u->otherwise_rc == RC_NONE
					     ? "none"
					     : mem_span_dup(tmp, u->otherwise),
				     u->other_reply));
		fputc('\n', page->to);
	}
	if (idle > 0)
		fprintf(page->to, "  %zu %s no difference\n", idle,
			idle == 1 ? "makes" : "make");
}

void explain_text_print(const struct explain_result *result,
			const struct explain_look *look, FILE *to)
{
	struct page page = { .to = to, .look = look, .result = result };
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	static const enum paint tints[] = { [EXPLAIN_ACCEPTED] = PAINT_GOOD,
					    [EXPLAIN_REFUSED] = PAINT_BAD,
					    [EXPLAIN_DEFERRED] = PAINT_WARN,
					    [EXPLAIN_OPEN] = PAINT_WARN };

	for (size_t i = 0; i < result->stage_count; i++)
		stage_print(&page, &result->stages[i]);
	fputc('\n', to);
	tint(&page, tints[result->outcome]);
	fputs(result->outcome == EXPLAIN_ACCEPTED   ? "Accepted"
	      : result->outcome == EXPLAIN_REFUSED  ? "Refused"
	      : result->outcome == EXPLAIN_DEFERRED ? "Refused for now"
						    : "It depends",
	      to);
	tint(&page, PAINT_PLAIN);
	put(&page, mem_printf(tmp, " (%s): %s", result->last->name,
			      result->last->reply));
	fputc('\n', to);
	decision_print(&page);
	unknowns_print(&page);
}
