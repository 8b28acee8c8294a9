/* SPDX-License-Identifier: Apache-2.0 */
/* Access tables: check_client_access and its kin, and what an entry does. */
#include "mail/address.h"
#include "mail/dsn.h"
#include "rule/restriction_priv.h"

/* One question: the table, and what it is asked about. */
struct access {
	struct evaluation *ev;
	const struct rule_item *item;
	enum rule_class class;
	const char *subject;
	bool pattern; /* one query with the whole text */
	/* The answer, once a key was found. */
	bool found;
	enum rule_result result;
};

/* An entry about somebody's address must not say "no such recipient" of a
 * sender, and so on: the subject of the status follows the class. */
static void fit_dsn(char dsn[DSN_MAX_BYTES], enum rule_class class)
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
		detail = detail == '5' || detail == '9' ?
				 '0' :
				 sender_of[detail - '0'];
	else
		detail = recipient_of[detail - '0'];
	dsn[4] = detail;
	dsn[5] = '\0';
}

static enum rule_result refuse(struct access *a, int code, struct span text)
{
	char dsn[DSN_MAX_BYTES] = "";

	text = span_trim(text);
	if (dsn_cut(&text, dsn))
		fit_dsn(dsn, a->class);
	else
		snprintf(dsn, sizeof(dsn), "%c.7.1", code >= 500 ? '5' : '4');
	if (text.len == 0)
		text = SPAN_OF("Access denied");
	return rule_reject(a->ev, code, dsn, "<%s>: %s rejected: %.*s",
			   a->subject, rule_class_name(a->class),
			   SPAN_FMT(text));
}

static enum rule_result config_error(struct access *a)
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
	return refuse(a, a->ev->set->conf->v.access_map_reject_code, text);
}

static enum rule_result act_defer(struct access *a, struct span text)
{
	return refuse(a, a->ev->set->conf->v.access_map_defer_code, text);
}

static enum rule_result act_defer_if_permit(struct access *a, struct span text)
{
	char dsn[DSN_MAX_BYTES] = "4.7.1";

	text = span_trim(text);
	if (dsn_cut(&text, dsn))
		fit_dsn(dsn, a->class);
	rule_defer_if_permit(a->ev, a->ev->set->conf->v.access_map_defer_code,
			     dsn, "<%s>: %s rejected: %.*s", a->subject,
			     rule_class_name(a->class),
			     SPAN_FMT(text.len > 0 ?
					      text :
					      SPAN_OF("Service unavailable")));
	return RULE_DUNNO;
}

static enum rule_result act_defer_if_reject(struct access *a, struct span text)
{
	char dsn[DSN_MAX_BYTES] = "4.7.1";

	text = span_trim(text);
	if (dsn_cut(&text, dsn)) {
		fit_dsn(dsn, a->class);
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

static enum rule_result act_hold(struct access *a, struct span text)
{
	note(a, "hold", "triggers HOLD action", text);
	a->ev->state->hold = true;
	return RULE_DUNNO;
}

static enum rule_result act_discard(struct access *a, struct span text)
{
	note(a, "discard", "triggers DISCARD action", text);
	a->ev->state->discard = true;
	return RULE_OK;
}

static enum rule_result act_filter(struct access *a, struct span text)
{
	text = span_trim(text);
	if (span_find(text, ':') < 0) {
		rule_note(a->ev, "warning",
			  "access table %s entry \"%s\" requires "
			  "transport:destination",
			  a->item->arg, a->subject);
		return RULE_DUNNO;
	}
	rule_note(a->ev, "filter", "<%s>: %s triggers FILTER %.*s", a->subject,
		  rule_class_name(a->class), SPAN_FMT(text));
	a->ev->state->filter = mem_span_dup(a->ev->mem, text);
	return RULE_DUNNO;
}

static enum rule_result act_redirect(struct access *a, struct span text)
{
	text = span_trim(text);
	if (span_find(text, '@') < 0) {
		rule_note(a->ev, "warning",
			  "access table %s entry \"%s\" requires user@domain "
			  "target",
			  a->item->arg, a->subject);
		return RULE_DUNNO;
	}
	rule_note(a->ev, "redirect", "<%s>: %s triggers REDIRECT %.*s",
		  a->subject, rule_class_name(a->class), SPAN_FMT(text));
	a->ev->state->redirect = mem_span_dup(a->ev->mem, text);
	return RULE_DUNNO;
}

static enum rule_result act_say(struct access *a, const char *what,
				struct span text)
{
	text = span_trim(text);
	if (text.len > 0)
		rule_note(a->ev, what, "%.*s", SPAN_FMT(text));
	else
		note(a, what, "", text);
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

static enum rule_result act_missing(struct access *a, struct span text)
{
	rule_note(a->ev, "warning",
		  "access table %s: an action is not implemented here yet",
		  a->item->arg);
	return config_error(a);
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
	{ "PREPEND", act_missing },
	{ "BCC", act_missing },
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
	struct rule_items *items;
	struct fault fault = { 0 };

	if (span_find(value, ':') >= 0) {
		rule_note(ev, "warning",
			  "access table %s has entry with lookup table: %.*s",
			  a->item->arg, SPAN_FMT(value));
		return config_error(a);
	}
	if (rule_items_compile(ev->mem, ev->set->conf, a->item->arg,
			       mem_span_dup(ev->mem, value), 0, &items,
			       &fault) != RC_OK) {
		rule_note(ev, "warning", "%s", fault.text);
		return config_error(a);
	}
	items->source_is_table = true;
	return rule_items_run(ev, items);
}

static enum rule_result act(struct access *a, struct span value)
{
	struct span rest, word;
	uint64_t code;

	value = span_trim(value);
	rest = value;
	if (!span_token(&rest, " \t", &word)) {
		rule_note(a->ev, "warning",
			  "access table %s entry %s has empty value",
			  a->item->arg, a->subject);
		return RULE_OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (span_is_nocase(word, actions[i].name))
			return actions[i].act(a, rest);
	if (word.len == 3 && all_digits(word) && span_trim(rest).len > 0 &&
	    (word.ptr[0] == '4' || word.ptr[0] == '5') &&
	    span_to_u64(word, 599, &code))
		return refuse(a, (int)code, rest);
	if (all_digits(value))
		return RULE_OK;
	return act_list(a, value);
}

/* ---- keys ---- */

/* False: nothing under this key, go on. */
static bool try_key(struct access *a, struct span key)
{
	struct evaluation *ev = a->ev;
	struct fault fault = { 0 };
	struct span value;
	enum rc rc = maps_lookup(a->item->maps, ev->mem, key, &value, &fault);

	if (rc == RC_NONE)
		return false;
	a->found = true;
	if (rc == RC_OK) {
		a->result = act(a, value);
		return true;
	}
	if (fault.text[0] != '\0')
		rule_note(ev, "warning", "%s", fault.text);
	rule_note(ev, "warning", "%s lookup error for \"%.*s\"", a->item->arg,
		  SPAN_FMT(key));
	a->result = config_error(a);
	return true;
}

/* example.test, and its parents in the style of the configuration. */
static bool try_domain(struct access *a, struct span domain)
{
	bool numeric = domain.len > 0 &&
		       ascii_is_digit(domain.ptr[domain.len - 1]);

	if (try_key(a, domain))
		return true;
	while (!a->pattern && !numeric) {
		ssize_t dot = span_find(span_skip(domain, 1), '.');

		if (dot < 0)
			return false;
		domain = span_skip(domain, (size_t)dot + 1); /* at the dot */
		if (domain.len < 2)
			return false;
		if (try_key(a, a->ev->set->parent_domains ?
				       span_skip(domain, 1) :
				       domain))
			return true;
		if (a->ev->set->parent_domains)
			domain = span_skip(domain, 1);
	}
	return false;
}

/* 192.0.2.1, 192.0.2, 192.0, 192; 2001:db8::1, 2001:db8:, ... */
static bool try_ip(struct access *a, struct span ip)
{
	char separator = span_find(ip, ':') >= 0 ? ':' : '.';
	ssize_t cut;

	if (try_key(a, ip))
		return true;
	while (!a->pattern && (cut = span_rfind(ip, separator)) > 0) {
		ip = span_take(ip, (size_t)cut);
		if (separator == ':' && span_ends(ip, ":"))
			ip = span_take(ip, ip.len - 1);
		if (try_key(a, ip))
			return true;
	}
	return false;
}

static bool try_user(struct access *a, struct span local, struct span domain)
{
	struct evaluation *ev = a->ev;

	return try_key(a, span_from(mem_printf(ev->mem, "%.*s@%.*s",
					       SPAN_FMT(local),
					       SPAN_FMT(domain))));
}

static bool try_address(struct access *a, const char *address)
{
	struct evaluation *ev = a->ev;
	struct address_parts parts = address_split(span_from(address));
	struct span none = { "", 0 }, base = none, extension;
	bool extended;

	if (a->pattern || !parts.has_domain)
		return try_key(a, span_from(address));
	extended = address_split_extension(
		parts.local, ev->set->conf->v.recipient_delimiter,
		ev->set->conf->v.owner_request_special, &base, &extension);
	return try_user(a, parts.local, parts.domain) ||
	       (extended && try_user(a, base, parts.domain)) ||
	       try_domain(a, parts.domain) ||
	       try_user(a, parts.local, none) ||
	       (extended && try_user(a, base, none));
}

static bool try_mail_address(struct access *a)
{
	const struct route *route;

	if (a->subject[0] == '\0')
		return try_key(a, span_from(a->ev->set->conf->v
						    .smtpd_null_access_lookup_key));
	route = rule_route(a->ev, a->class, &a->result);
	if (route == NULL)
		return true; /* refused already */
	return try_address(a, route->recipient != NULL ? route->recipient :
							 a->subject);
}

static bool ask_table(struct access *a)
{
	const struct restriction_request *req = a->ev->request;

	switch (a->class) {
	case CLASS_OF_CLIENT:
		return try_domain(a, span_from(req->client_name)) ||
		       try_ip(a, span_from(req->client_address));
	case CLASS_OF_HELO:
		return req->helo != NULL &&
		       try_domain(a, span_from(req->helo));
	case CLASS_OF_SENDER:
		return req->sender != NULL && try_mail_address(a);
	case CLASS_OF_RECIPIENT:
		return req->recipient != NULL && try_mail_address(a);
	case CLASS_OF_ETRN:
		return req->etrn_domain != NULL &&
		       try_domain(a, span_from(req->etrn_domain));
	default:
		return false;
	}
}

static enum rule_result check(struct evaluation *ev,
			      const struct rule_item *item,
			      enum rule_class class)
{
	struct access a = {
		.ev = ev,
		.item = item,
		.class = class,
		.subject = rule_subject(ev, class),
		.pattern = maps_count(item->maps) > 0 &&
			   map_is_pattern(maps_at(item->maps, 0)),
		.result = RULE_DUNNO,
	};

	return ask_table(&a) ? a.result : RULE_DUNNO;
}

enum rule_result rule_check_access(struct evaluation *ev,
				   const struct rule_item *item)
{
	return check(ev, item, (enum rule_class)item->def->arg);
}

enum rule_result rule_check_default(struct evaluation *ev,
				    const struct rule_item *item)
{
	enum rule_class class = rule_list_class(ev->list);

	if (class == CLASS_OF_DATA || class == CLASS_OF_END_OF_DATA) {
		rule_note(ev, "warning",
			  "unknown smtpd restriction: \"%s\"", item->word);
		return rule_error(ev, 451, "4.3.5",
				  "Server configuration error");
	}
	return check(ev, item, class);
}
