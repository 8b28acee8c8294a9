/* SPDX-License-Identifier: Apache-2.0 */
/* reject_unverified_sender, reject_unverified_recipient. */
#include "base/clock.h"
#include "rule/restriction_priv.h"
#include "rule/restriction_trace.h"
#include "rule/verify_client.h"

enum { ANSWER_MS = 10000 }; /* for the first word of the service */

/* What of the two restrictions is different. */
struct about {
	const char *address, *dsn;
	int reject_code, defer_code;
	const char *reason, *tempfail_action;
};

static struct about about_of(const struct evaluation *ev, enum rule_class class)
{
	const struct conf_values *v = &ev->set->conf->v;

	if (class == CLASS_OF_SENDER)
		return (struct about){
			ev->request->sender,
			"4.1.7",
			v->unverified_sender_reject_code,
			v->unverified_sender_defer_code,
			v->unverified_sender_reject_reason,
			v->unverified_sender_tempfail_action,
		};
	return (struct about){
		ev->request->recipient,
		"4.1.1",
		v->unverified_recipient_reject_code,
		v->unverified_recipient_defer_code,
		v->unverified_recipient_reject_reason,
		v->unverified_recipient_tempfail_action,
	};
}

static enum rule_result decide(struct evaluation *ev, enum rule_class class,
			       enum verify_status status, const char *text)
{
	const struct about about = about_of(ev, class);
	const bool never = status == VERIFY_BOUNCE;
	int code = never ? about.reject_code : about.defer_code;
	const char *verdict = never && code / 100 == 5 ? "undeliverable"
						       : "unverified";

	if (status == VERIFY_OK)
		return RULE_DUNNO;
	if (about.reason[0] != '\0')
		text = about.reason;
	/* An address that does not exist too, when the code says "later". */
	if (code / 100 == 4 && !span_is_nocase(span_from(about.tempfail_action),
				      "defer")) {
		rule_defer_if_permit(ev, code, about.dsn,
				     "<%s>: %s rejected: %s address: %s",
				     about.address, rule_class_name(class),
				     verdict, text);
		return RULE_DUNNO;
	}
	return rule_reject(ev, code, about.dsn,
			   "<%s>: %s rejected: %s address: %s", about.address,
			   rule_class_name(class), verdict, text);
}

static void tell_trace(const char *address, enum verify_status status,
		       const char *text, bool stood_in)
{
	static const enum rc rcs[] = {
		[VERIFY_OK] = RC_OK,
		[VERIFY_DEFER] = RC_TEMP,
		[VERIFY_BOUNCE] = RC_PERM,
		[VERIFY_TODO] = RC_TEMP,
	};

	trace_answer(TRACE_VERIFY, "address", span_from(address), rcs[status],
		     span_from(status == VERIFY_OK ? "deliverable" : text),
		     stood_in);
}

static bool stand_in(struct evaluation *ev, enum rule_class class,
		     const char *address, enum rule_result *ret)
{
	struct span value = SPAN_OF("");
	enum verify_status status;
	enum rc rc;

	if (!trace_stand_in(ev->mem, TRACE_VERIFY, "address",
			    span_from(address), &value, &rc))
		return false;
	status = rc == RC_OK	 ? VERIFY_OK
		 : rc == RC_PERM ? VERIFY_BOUNCE
				 : VERIFY_DEFER;
	tell_trace(address, status, mem_span_dup(ev->mem, value), true);
	*ret = decide(ev, class, status, mem_span_dup(ev->mem, value));
	return true;
}

/* Ask; NULL: the service cannot be reached. */
static void question_begin(struct evaluation *ev, struct rule_step *step,
			   const char *address)
{
	const struct conf_values *v = &ev->set->conf->v;
	struct verify_question *question;
	struct fault fault;

	step->begun = true;
	step->until_ms = clock_mono_ms() +
			 (uint64_t)(v->address_verify_poll_count - 1) *
				 (uint64_t)v->address_verify_poll_delay * 1000;
	if (verify_question_new(ev->memo, ev->set->verify, address, &question,
				&fault) == RC_OK)
		step->data = question;
	else
		rule_note(ev, "warning", "%s", fault.text);
}

/* The last word, or what is known when the time is up. false: wait. */
static bool question_end(struct evaluation *ev, struct rule_step *step,
			 struct verify_answer *ret_answer,
			 enum rule_result *ret_wait)
{
	const struct restriction_waiter *waiter = ev->request->waiter;
	/* The first word comes at once, unless the service is in trouble. */
	const uint64_t patience_ms = step->until_ms + ANSWER_MS;
	uint64_t now_ms = clock_mono_ms();
	const bool any = now_ms >= step->until_ms;

	if (waiter == NULL) {
		verify_question_wait(step->data,
				     any ? patience_ms
					 : step->until_ms,
				     any);
		now_ms = clock_mono_ms();
	}
	verify_question_look(step->data, waiter == NULL ? NULL : waiter->ready,
			     waiter == NULL ? NULL : waiter->arg, ret_answer);
	if (waiter == NULL || ret_answer->is_final ||
	    (ret_answer->known && now_ms >= step->until_ms) ||
	    now_ms >= patience_ms)
		return true;
	*ret_wait = rule_wait_until(ev, now_ms < step->until_ms
						? step->until_ms
						: patience_ms);
	return false;
}

enum rule_result rule_unverified(struct evaluation *ev,
				 const struct rule_item *item)
{
	enum rule_class class = (enum rule_class)item->def->arg;
	const char *address = about_of(ev, class).address;
	struct verify_answer answer = { 0 };
	struct rule_step *step;
	enum rule_result result;

	if (address == NULL || address[0] == '\0')
		return RULE_DUNNO;
	if (stand_in(ev, class, address, &result))
		return result;
	step = rule_step_take(ev);
	if (!step->begun)
		question_begin(ev, step, address);
	if (step->data != NULL && !question_end(ev, step, &answer, &result))
		return result;
	if (!answer.known) {
		answer.status = VERIFY_TODO;
		snprintf(answer.text, sizeof(answer.text), "%s",
			 "Address verification problem");
	}
	tell_trace(address, answer.status, answer.text, false);
	return decide(ev, class, answer.status, answer.text);
}
