/* SPDX-License-Identifier: Apache-2.0 */
/* Which lists are asked at which stage, and how a list is run. */
#include "base/clock.h"
#include "rule/restriction_priv.h"
#include "rule/restriction_trace.h"
#include "rule/verify_sender.h"

static enum rule_result unknown_word(struct evaluation *ev,
				     const struct rule_item *item)
{
	rule_note(ev, "warning", "unknown smtpd restriction: \"%s\"",
		  item->word);
	return rule_config_error(ev);
}

/* What a rule permitted that asks no table and no policy service: those say it
 * themselves. */
static void log_permit(struct evaluation *ev, const struct rule_item *item)
{
	const struct rule_def *def = item->def;
	enum rule_class class;

	if (def == NULL || item->maps != NULL || item->policy != NULL)
		return;
	class = def->traits & ENDS_LIST ? ev->class : (enum rule_class)def->arg;
	rule_log_permit(ev, def->name, class,
			def->traits & ENDS_LIST ? ev->subject
						: rule_subject(ev, class),
			NULL);
}

static enum rule_result item_run(struct evaluation *ev,
				 const struct rule_items *items,
				 const struct rule_item *item, bool warns)
{
	enum rule_result result;

	rule_trace_item(TRACE_RULE_BEGIN, items, item, warns, RULE_DUNNO);
	ev->warn_depth += warns;
	if (item->nested != NULL)
		result = rule_items_run(ev, item->nested);
	else if (item->def == NULL)
		result = unknown_word(ev, item);
	else
		result = item->def->run(ev, item);
	ev->warn_depth -= warns;
	if (result == RULE_OK && item->nested == NULL)
		log_permit(ev, item);
	rule_trace_item(TRACE_RULE_END, items, item, warns, result);
	return result;
}

static bool warns_of_next(const struct rule_items *items, size_t i)
{
	return items->items[i].def != NULL &&
	       items->items[i].def->traits & NEXT_ONLY_WARNS &&
	       i + 1 < items->count;
}

static void items_skip(const struct rule_items *items, size_t i)
{
	for (; trace_current() != NULL && i < items->count; i++) {
		bool warns = warns_of_next(items, i);

		i += warns;
		rule_trace_item(TRACE_RULE_SKIPPED, items, &items->items[i],
				warns, RULE_DUNNO);
	}
}

enum rule_result rule_items_run(struct evaluation *ev,
				const struct rule_items *items)
{
	struct rule_frame frame = { items, 0, ev->frame };
	enum rule_result result = RULE_DUNNO;
	size_t i = 0;

	if (++ev->depth > RULE_DEPTH_MAX) {
		ev->depth--;
		return rule_config_error(ev);
	}
	while (i < items->count && result == RULE_DUNNO) {
		bool warns = warns_of_next(items, i);

		/* both kinds of deferring are decided: nothing can change */
		if (ev->defer_if_reject != NULL &&
		    ev->state->defer_if_permit[ev->defer_stage] != NULL)
			break;
		i += warns;
		frame.next = i + 1;
		ev->frame = &frame;
		result = item_run(ev, items, &items->items[i++], warns);
		ev->frame = frame.outer;
		if (ev->state->discard)
			break;
	}
	items_skip(items, i);
	ev->depth--;
	return result;
}

static bool is_final(enum rule_result result)
{
	return result == RULE_REJECT || result == RULE_WAIT;
}

static enum rule_result run_list(struct evaluation *ev, enum rule_list list)
{
	enum rule_result result;

	ev->list = list;
	ev->class = rule_list_class(list);
	ev->subject = rule_subject(ev, ev->class);
	ev->defer_if_reject = NULL;
	if (ev->state->discard)
		return RULE_OK;
	rule_trace_list(TRACE_LIST_BEGIN, rule_list_name(list), RULE_DUNNO);
	result = rule_items_run(ev, ev->set->lists[list]);
	rule_trace_list(TRACE_LIST_END, rule_list_name(list), result);
	return result;
}

/* A would-be permit that must wait after all. */
static enum rule_result settle_deferred(struct evaluation *ev)
{
	for (int i = 0; i < RESTRICTION_DEFER_STAGES; i++) {
		const char *text = ev->state->defer_if_permit[i];

		if (text == NULL)
			continue;
		rule_trace_says("deferred permit", text);
		ev->verdict->code = 450;
		ev->verdict->text = text;
		ev->rc = RC_TEMP;
		return RULE_REJECT;
	}
	return RULE_DUNNO;
}

enum {
	DEFER_OF_CLIENT,
	DEFER_OF_HELO,
	DEFER_OF_SENDER,
	DEFER_OF_RECIPIENT,
};

static enum rule_result ask_early_lists(struct evaluation *ev, bool with_sender)
{
	static const struct {
		enum rule_list list;
		int stage;
	} order[] = {
		{ LIST_CLIENT, DEFER_OF_CLIENT },
		{ LIST_HELO, DEFER_OF_HELO },
		{ LIST_SENDER, DEFER_OF_SENDER },
	};
	enum rule_result result;

	for (size_t i = 0; i < ARRAY_LEN(order) - !with_sender; i++) {
		ev->defer_stage = order[i].stage;
		ev->state->defer_if_permit[order[i].stage] = NULL;
		if (order[i].list == LIST_HELO && ev->request->helo == NULL)
			continue;
		if (order[i].list == LIST_SENDER && ev->request->sender == NULL)
			continue;
		result = run_list(ev, order[i].list);
		if (is_final(result))
			return result;
	}
	return RULE_DUNNO;
}

/* A check that a parameter of its own asks for. */
static enum rule_result run_implied(struct evaluation *ev, rule_fn run,
				    const char *word, const char *parameter)
{
	enum rule_result result;

	rule_trace_implied(TRACE_RULE_BEGIN, word, parameter, RULE_DUNNO);
	result = run(ev, NULL);
	rule_trace_implied(TRACE_RULE_END, word, parameter, result);
	return result;
}

static enum rule_result ask_recipient(struct evaluation *ev)
{
	const struct conf *conf = ev->set->conf;
	const char *recipient = ev->request->recipient;
	bool relay_first = conf->v.smtpd_relay_before_recipient_restrictions;
	const enum rule_list order[] = {
		relay_first ? LIST_RELAY : LIST_RECIPIENT,
		relay_first ? LIST_RECIPIENT : LIST_RELAY,
	};
	enum rule_result result;

	/* Nor is a probe refused that comes back at our own probe. */
	if (span_is_nocase(span_from(recipient), "postmaster") ||
	    verify_sender_is(conf, span_from(recipient),
			     (int64_t)(clock_wall_us() / 1000000)))
		return RULE_DUNNO;
	if (conf->v.smtpd_delay_reject) {
		result = ask_early_lists(ev, true);
		if (is_final(result))
			return result;
	}
	ev->defer_stage = DEFER_OF_RECIPIENT;
	ev->state->defer_if_permit[DEFER_OF_RECIPIENT] = NULL;
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		result = run_list(ev, order[i]);
		if (is_final(result))
			return result;
	}
	ev->list = LIST_RECIPIENT;
	if (ev->state->discard)
		return RULE_OK;
	/* what was put off comes before what nobody asked for */
	result = settle_deferred(ev);
	if (is_final(result) || !conf->v.smtpd_reject_unlisted_recipient ||
	    ev->unlisted_done)
		return result;
	return run_implied(ev, rule_unlisted_recipient,
			   "reject_unlisted_recipient",
			   "smtpd_reject_unlisted_recipient");
}

static enum rule_result ask_sender(struct evaluation *ev)
{
	const struct conf *conf = ev->set->conf;

	ev->defer_stage = DEFER_OF_SENDER;
	ev->state->defer_if_permit[DEFER_OF_SENDER] = NULL;
	ev->list = LIST_SENDER;
	if (!conf->v.smtpd_delay_reject) {
		enum rule_result result = run_list(ev, LIST_SENDER);

		if (is_final(result))
			return result;
	}
	if (conf->v.smtpd_reject_unlisted_sender)
		return run_implied(ev, rule_unlisted_sender,
				   "reject_unlisted_sender",
				   "smtpd_reject_unlisted_sender");
	return RULE_DUNNO;
}

/* DATA, end of data, ETRN: a list of its own, then what was deferred. */
static enum rule_result ask_late(struct evaluation *ev, enum rule_list list)
{
	enum rule_result result;

	ev->defer_stage = DEFER_OF_RECIPIENT;
	ev->state->defer_if_permit[DEFER_OF_RECIPIENT] = NULL;
	result = run_list(ev, list);
	if (is_final(result))
		return result;
	return ev->state->discard ? RULE_OK : settle_deferred(ev);
}

/* ---- what may be needed ---- */

static void items_ahead(struct evaluation *ev, const struct rule_items *items,
			size_t from, int depth)
{
	for (size_t i = from; i < items->count && depth < RULE_DEPTH_MAX; i++) {
		const struct rule_item *item = &items->items[i];

		if (item->nested != NULL)
			items_ahead(ev, item->nested, 0, depth + 1);
		else if (item->def != NULL && item->def->ahead != NULL)
			item->def->ahead(ev, item);
		else if (item->def != NULL && item->def->traits & ENDS_LIST)
			return;
	}
}

/* The lists of a stage, in order; LIST_COUNT ends them. */
static void stage_lists(const struct evaluation *ev,
			enum rule_list ret_lists[LIST_COUNT + 1])
{
	const struct conf_values *v = &ev->set->conf->v;
	bool relay_first = v->smtpd_relay_before_recipient_restrictions;
	bool early = v->smtpd_delay_reject &&
		     (ev->stage == AT_RCPT || ev->stage == AT_ETRN);
	size_t n = 0;

	if (early || ev->stage == AT_CONNECT)
		ret_lists[n++] = LIST_CLIENT;
	if (early || ev->stage == AT_HELO)
		ret_lists[n++] = LIST_HELO;
	if ((early && ev->stage == AT_RCPT) || ev->stage == AT_MAIL)
		ret_lists[n++] = LIST_SENDER;
	if (ev->stage == AT_RCPT) {
		ret_lists[n++] = relay_first ? LIST_RELAY : LIST_RECIPIENT;
		ret_lists[n++] = relay_first ? LIST_RECIPIENT : LIST_RELAY;
	}
	if (ev->stage == AT_DATA)
		ret_lists[n++] = LIST_DATA;
	if (ev->stage == AT_END_OF_DATA)
		ret_lists[n++] = LIST_END_OF_DATA;
	if (ev->stage == AT_ETRN)
		ret_lists[n++] = LIST_ETRN;
	ret_lists[n] = LIST_COUNT;
}

void rule_look_ahead(struct evaluation *ev)
{
	enum rule_list lists[LIST_COUNT + 1];
	bool passed = false;

	for (const struct rule_frame *f = ev->frame; f != NULL; f = f->outer)
		items_ahead(ev, f->items, f->next, 0);
	stage_lists(ev, lists);
	for (size_t i = 0; lists[i] != LIST_COUNT; i++) {
		if (passed)
			items_ahead(ev, ev->set->lists[lists[i]], 0, 0);
		passed = passed || lists[i] == ev->list;
	}
}

static enum rule_result ask(struct evaluation *ev, enum restriction_stage stage)
{
	bool delay = ev->set->conf->v.smtpd_delay_reject;

	switch (stage) {
	case AT_CONNECT:
		ev->defer_stage = DEFER_OF_CLIENT;
		return delay ? RULE_DUNNO : run_list(ev, LIST_CLIENT);
	case AT_HELO:
		ev->defer_stage = DEFER_OF_HELO;
		ev->state->defer_if_permit[DEFER_OF_HELO] = NULL;
		return delay ? RULE_DUNNO : run_list(ev, LIST_HELO);
	case AT_MAIL:
		return ask_sender(ev);
	case AT_RCPT:
		return ask_recipient(ev);
	case AT_DATA:
		for (int i = 0; i < RESTRICTION_DEFER_STAGES; i++)
			ev->state->defer_if_permit[i] = NULL;
		return ask_late(ev, LIST_DATA);
	case AT_END_OF_DATA:
		return ask_late(ev, LIST_END_OF_DATA);
	case AT_ETRN:
		if (delay) {
			enum rule_result result = ask_early_lists(ev, false);

			if (is_final(result))
				return result;
		}
		return ask_late(ev, LIST_ETRN);
	}
	return RULE_DUNNO;
}

enum rc restrictions_ask(struct restrictions *restrictions, TALLOC_CTX *mem,
			 enum restriction_stage stage,
			 const struct restriction_request *request,
			 struct restriction_state *state,
			 struct restriction_verdict *ret_verdict)
{
	struct restriction_waiter *waiter = request->waiter;
	const struct restriction_state before = *state;
	struct evaluation ev = {
		.set = restrictions,
		.mem = mem,
		.request = request,
		.state = state,
		.verdict = ret_verdict,
		.stage = stage,
		.rc = RC_PERM,
	};
	enum rule_result result;

	*ret_verdict = (struct restriction_verdict){ 0 };
	if (waiter == NULL)
		ev.memo = restriction_memo_new(mem);
	else if (waiter->memo == NULL)
		waiter->memo = restriction_memo_new(NULL);
	if (waiter != NULL)
		ev.memo = waiter->memo;
	result = ask(&ev, stage);
	if (result == RULE_WAIT) {
		*state = before;
		*ret_verdict = (struct restriction_verdict){
			.again_ms = ret_verdict->again_ms
		};
		return RC_NONE;
	}
	if (waiter != NULL)
		TALLOC_FREE(waiter->memo);
	return result == RULE_REJECT ? ev.rc : RC_OK;
}

void restriction_state_reset(struct restriction_state *state)
{
	state->defer_if_permit[DEFER_OF_SENDER] = NULL;
	state->defer_if_permit[DEFER_OF_RECIPIENT] = NULL;
	state->filter = state->redirect = NULL;
	state->prepend = state->bcc = NULL;
	state->hold = state->discard = false;
}
