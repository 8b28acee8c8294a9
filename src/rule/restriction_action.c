/* SPDX-License-Identifier: Apache-2.0 */
/* What an entry of an access table, or the word of a policy server, does. */
#include "mail/dsn.h"
#include "rule/restriction_access.h"

/* An entry about somebody's address must not say "no such recipient" of a
 * sender, and so on: the subject of the status follows the class. */
void access_fit_dsn(char dsn[DSN_MAX_BYTES], enum rule_class class)
{
	static const char sender_of[] = "0787707789";
	static const char recipient_of[] = "0123456320";
	char detail;

	if (dsn[0] == '\0' || dsn[1] != '.' || dsn[2] != '1' || dsn[3] != '.')
		return;
	detail = dsn[4];
	if (class != CLASS_OF_SENDER && class != CLASS_OF_RECIPIENT) {
		snprintf(dsn, DSN_MAX_BYTES, "%c.0.0", dsn[0]);
		return;
	}
	if (!ascii_is_digit(detail) || dsn[5] != '\0')
		detail = '0';
	else if (class == CLASS_OF_SENDER)
		detail = detail == '5' || detail == '9'
				 ? '0'
				 : sender_of[detail - '0'];
	else
		detail = recipient_of[detail - '0'];
	dsn[4] = detail;
	dsn[5] = '\0';
}

enum rule_result access_refuse(struct access *a, int code, struct span text)
{
	char dsn[DSN_MAX_BYTES] = "";

	text = span_trim(text);
	if (dsn_cut(&text, dsn))
		access_fit_dsn(dsn, a->class);
	else
		snprintf(dsn, sizeof(dsn), "%c.7.1", code >= 500 ? '5' : '4');
	if (text.len == 0)
		text = SPAN_OF("Access denied");
	return rule_reject(a->ev, code, dsn, "<%s>: %s rejected: %.*s",
			   a->subject, rule_class_name(a->class),
			   SPAN_FMT(text));
}

enum rule_result access_config_error(struct access *a)
{
	return rule_error(a->ev, 451, "4.3.5",
			  "<%s>: %s rejected: Server configuration error",
			  a->subject, rule_class_name(a->class));
}

/* ---- actions ---- */

typedef enum rule_result (*action_fn)(struct access *a, struct span text);

static enum rule_result act_ok(struct access *a, struct span text)
{
	return RULE_OK;
}

static enum rule_result act_dunno(struct access *a, struct span text)
{
	return RULE_DUNNO;
}

static enum rule_result act_reject(struct access *a, struct span text)
{
	return access_refuse(a, a->ev->set->conf->v.access_map_reject_code,
			     text);
}

static enum rule_result act_defer(struct access *a, struct span text)
{
	return access_refuse(a, a->ev->set->conf->v.access_map_defer_code,
			     text);
}

static enum rule_result act_defer_if_permit(struct access *a, struct span text)
{
	char dsn[DSN_MAX_BYTES] = "4.7.1";

	text = span_trim(text);
	if (dsn_cut(&text, dsn))
		access_fit_dsn(dsn, a->class);
	rule_defer_if_permit(
		a->ev, a->ev->set->conf->v.access_map_defer_code, dsn,
		"<%s>: %s rejected: %.*s", a->subject,
		rule_class_name(a->class),
		SPAN_FMT(text.len > 0 ? text : SPAN_OF("Service unavailable")));
	return RULE_DUNNO;
}

static enum rule_result act_defer_if_reject(struct access *a, struct span text)
{
	char dsn[DSN_MAX_BYTES] = "4.7.1";

	text = span_trim(text);
	if (dsn_cut(&text, dsn)) {
		access_fit_dsn(dsn, a->class);
		dsn[0] = '4';
	}
	if (text.len == 0)
		text = SPAN_OF("Service unavailable");
	rule_defer_if_reject(
		a->ev, mem_printf(a->ev->mem, "%d %s <%s>: %s rejected: %.*s",
				  a->ev->set->conf->v.access_map_defer_code,
				  dsn, a->subject, rule_class_name(a->class),
				  SPAN_FMT(text)));
	return RULE_DUNNO;
}

/* "<x>: Sender address triggers HOLD action", or the entry's own words. */
static void note(struct access *a, const char *what, const char *triggers,
		 struct span text)
{
	text = span_trim(text);
	if (text.len > 0)
		rule_note(a->ev, what, "<%s>: %s %.*s", a->subject,
			  rule_class_name(a->class), SPAN_FMT(text));
	else
		rule_note(a->ev, what, "<%s>: %s %s", a->subject,
			  rule_class_name(a->class), triggers);
}

static bool is_too_early(struct access *a, const char *action)
{
	if (a->ev->request->sender != NULL)
		return false;
	rule_note(a->ev, "warning",
		  "access table %s: with smtpd_delay_reject=no, action %s is "
		  "always skipped in Client host or Helo command restrictions",
		  a->source, action);
	return true;
}

/* Can this action do anything here? Not before there is a message, nor behind
 * a content filter that has taken it already. */
static bool can_act(struct access *a, const char *action)
{
	const struct conf_values *v = &a->ev->set->conf->v;

	if (a->ev->list == LIST_ETRN) {
		rule_note(a->ev, "warning",
			  "access table %s: action %s is unavailable in %s",
			  a->source, action, "smtpd_etrn_restrictions");
		return false;
	}
	if (v->smtpd_proxy_filter[0] != '\0') {
		rule_note(a->ev, "warning",
			  "access table %s: with smtpd_proxy_filter specified, "
			  "action %s is unavailable",
			  a->source, action);
		return false;
	}
	return !is_too_early(a, action);
}

static enum rule_result act_hold(struct access *a, struct span text)
{
	if (!can_act(a, "HOLD"))
		return RULE_DUNNO;
	note(a, "hold", "triggers HOLD action", text);
	a->ev->state->hold = true;
	return RULE_DUNNO;
}

static enum rule_result act_discard(struct access *a, struct span text)
{
	if (!can_act(a, "DISCARD"))
		return RULE_DUNNO;
	note(a, "discard", "triggers DISCARD action", text);
	a->ev->state->discard = true;
	return RULE_OK;
}

/* "<x>: Sender address triggers FILTER smtp:[10.0.0.1]" */
static void note_value(struct access *a, const char *what, const char *action,
		       struct span value)
{
	rule_note(a->ev, what, "<%s>: %s triggers %s %.*s", a->subject,
		  rule_class_name(a->class), action, SPAN_FMT(value));
}

static enum rule_result act_filter(struct access *a, struct span text)
{
	if (!can_act(a, "FILTER"))
		return RULE_DUNNO;
	text = span_trim(text);
	if (text.len == 0) {
		rule_note(a->ev, "warning",
			  "access table %s entry \"%s\" has FILTER entry "
			  "without value",
			  a->source, a->subject);
		return RULE_DUNNO;
	}
	if (span_find(text, ':') < 0) {
		rule_note(a->ev, "warning",
			  "access table %s entry \"%s\" requires "
			  "transport:destination",
			  a->source, a->subject);
		return RULE_DUNNO;
	}
	note_value(a, "filter", "FILTER", text);
	a->ev->state->filter = mem_span_dup(a->ev->mem, text);
	return RULE_DUNNO;
}

static bool is_address(struct access *a, struct span text)
{
	if (span_find(text, '@') >= 0)
		return true;
	rule_note(a->ev, "warning",
		  "access table %s entry \"%s\" requires user@domain target",
		  a->source, a->subject);
	return false;
}

static enum rule_result act_redirect(struct access *a, struct span text)
{
	text = span_trim(text);
	if (!can_act(a, "REDIRECT") || !is_address(a, text))
		return RULE_DUNNO;
	note_value(a, "redirect", "REDIRECT", text);
	a->ev->state->redirect = mem_span_dup(a->ev->mem, text);
	return RULE_DUNNO;
}

static enum rule_result act_bcc(struct access *a, struct span text)
{
	text = span_trim(text);
	if (!can_act(a, "BCC") || !is_address(a, text))
		return RULE_DUNNO;
	note_value(a, "bcc", "BCC", text);
	rule_state_add(a->ev, &a->ev->state->bcc, text);
	return RULE_DUNNO;
}

/* A header field: "Name: text". */
static bool is_header(struct span text)
{
	ssize_t colon = span_find(text, ':');

	for (ssize_t i = 0; i < colon; i++)
		if (!ascii_is_print(text.ptr[i]) || text.ptr[i] == ' ')
			return false;
	return colon > 0;
}

static enum rule_result act_prepend(struct access *a, struct span text)
{
	text = span_trim(text);
	if (is_too_early(a, "PREPEND"))
		return RULE_DUNNO;
	if (a->ev->list == LIST_END_OF_DATA) {
		rule_note(a->ev, "warning",
			  "access table %s: action PREPEND must be used before "
			  "smtpd_end_of_data_restrictions",
			  a->source);
	} else if (!is_header(text)) {
		rule_note(a->ev, "warning",
			  "access table %s entry \"%s\" requires header: text",
			  a->source, a->subject);
	} else {
		rule_state_add(a->ev, &a->ev->state->prepend, text);
	}
	return RULE_DUNNO;
}

/* Gone without a word. */
static enum rule_result act_hangup(struct access *a, struct span text)
{
	enum rule_result result = rule_error(a->ev, 421, "4.7.0", "hangup");

	a->ev->verdict->hang_up = true;
	a->ev->verdict->text = "";
	return result;
}

static enum rule_result act_say(struct access *a, const char *what,
				struct span text)
{
	text = span_trim(text);
	rule_note(a->ev, what, "%.*s", SPAN_FMT(text));
	return RULE_DUNNO;
}

static enum rule_result act_warn(struct access *a, struct span text)
{
	return act_say(a, "warn", text);
}

static enum rule_result act_info(struct access *a, struct span text)
{
	return act_say(a, "info", text);
}

static const struct {
	const char *name;
	action_fn act;
} actions[] = {
	{ "OK", act_ok },
	{ "RELAY", act_ok },
	{ "DUNNO", act_dunno },
	{ "REJECT", act_reject },
	{ "DEFER", act_defer },
	{ "DEFER_IF_PERMIT", act_defer_if_permit },
	{ "DEFER_IF_REJECT", act_defer_if_reject },
	{ "HOLD", act_hold },
	{ "DISCARD", act_discard },
	{ "FILTER", act_filter },
	{ "REDIRECT", act_redirect },
	{ "WARN", act_warn },
	{ "INFO", act_info },
	{ "PREPEND", act_prepend },
	{ "BCC", act_bcc },
	{ "HANGUP", act_hangup },
};

static bool all_digits(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_digit(text.ptr[i]))
			return false;
	return text.len > 0;
}

/* The entry is a list of restrictions. */
static enum rule_result act_list(struct access *a, struct span value)
{
	struct evaluation *ev = a->ev;
	enum rule_class class = ev->class;
	const char *subject = ev->subject;
	struct fault fault = { 0 };
	enum rule_result result;
	struct rule_items *items;

	if (span_find(value, ':') >= 0) {
		rule_note(ev, "warning",
			  "access table %s has entry with lookup table: %.*s",
			  a->source, SPAN_FMT(value));
		rule_note(ev, "warning", "do not specify lookup tables inside "
					 "SMTPD access maps");
		rule_note(ev, "warning", "define a restriction class and "
					 "specify its name instead.");
		return rule_config_error(ev);
	}
	if (rule_items_compile(ev->mem, ev->set->conf, a->source,
			       mem_span_dup(ev->mem, value), 0, &items,
			       &fault) != RC_OK) {
		rule_note(ev, "warning", "%s", fault.text);
		return rule_config_error(ev);
	}
	items->source_is_table = true;
	ev->class = a->class;
	ev->subject = a->subject;
	result = rule_items_run(ev, items);
	ev->class = class;
	ev->subject = subject;
	return result;
}

/* Note it for who wants to see permits. */
static enum rule_result permitted(struct access *a, struct span word,
				  enum rule_result result)
{
	if (result == RULE_OK && !a->ev->state->discard)
		rule_log_permit(a->ev, mem_span_dup(a->ev->mem, word), a->class,
				a->subject, a->source);
	return result;
}

enum rule_result access_act(struct access *a, struct span value)
{
	struct span rest, word;
	uint64_t code;

	value = span_trim(value);
	rest = value;
	if (!span_token(&rest, " \t", &word)) {
		rule_note(a->ev, "warning",
			  "access table %s entry %s has empty value", a->source,
			  a->subject);
		return RULE_OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (span_is_nocase(word, actions[i].name))
			return permitted(a, word, actions[i].act(a, rest));
	if (word.len == 3 && all_digits(word) && span_trim(rest).len > 0 &&
	    (word.ptr[0] == '4' || word.ptr[0] == '5') &&
	    span_to_u64(word, 599, &code))
		return access_refuse(a, (int)code, rest);
	if (all_digits(value))
		return permitted(a, word, RULE_OK);
	return act_list(a, value);
}
