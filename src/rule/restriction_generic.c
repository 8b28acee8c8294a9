/* SPDX-License-Identifier: Apache-2.0 */
/* What fits in every list: permit, reject, defer, sleep and their kin. */
#include "base/clock.h"
#include "rule/restriction_rules.h"

enum { SLEEP_MAX_S = 3600 };

/* What stands behind it in the same list is never reached. */
static void note_ignored(struct evaluation *ev, const struct rule_item *item)
{
	const struct rule_frame *frame = ev->frame;

	if (frame->next < frame->items->count && ev->warn_depth == 0)
		rule_note(ev, "warning",
			  "restriction `%s' after `%s' is ignored",
			  frame->items->items[frame->next].word, item->word);
}

enum rule_result rule_run_permit(struct evaluation *ev,
				 const struct rule_item *item)
{
	note_ignored(ev, item);
	return RULE_OK;
}

enum rule_result rule_run_dunno(struct evaluation *ev,
				const struct rule_item *item)
{
	return RULE_DUNNO;
}

enum rule_result rule_run_reject(struct evaluation *ev,
				 const struct rule_item *item)
{
	note_ignored(ev, item);
	return rule_reject(ev, ev->set->conf->v.reject_code, "5.7.1",
			   "<%s>: %s rejected: Access denied", ev->subject,
			   rule_class_name(ev->class));
}

enum rule_result rule_run_defer(struct evaluation *ev,
				const struct rule_item *item)
{
	note_ignored(ev, item);
	return rule_reject(ev, ev->set->conf->v.defer_code, "4.3.2",
			   "<%s>: %s rejected: Try again later", ev->subject,
			   rule_class_name(ev->class));
}

enum rule_result rule_run_defer_if_permit(struct evaluation *ev,
					  const struct rule_item *item)
{
	rule_defer_if_permit(ev, 450, "4.7.0",
			     "<%s>: %s rejected: defer_if_permit requested",
			     ev->subject, rule_class_name(ev->class));
	return RULE_DUNNO;
}

enum rule_result rule_run_defer_if_reject(struct evaluation *ev,
					  const struct rule_item *item)
{
	rule_defer_if_reject(
		ev, mem_printf(ev->mem,
			       "450 4.7.0 <%s>: %s rejected: defer_if_reject "
			       "requested",
			       ev->subject, rule_class_name(ev->class)));
	return RULE_DUNNO;
}

enum rule_result rule_run_unauth_pipelining(struct evaluation *ev,
					    const struct rule_item *item)
{
	if (!ev->request->unauth_pipelining)
		return RULE_DUNNO;
	return rule_reject(ev, 503, "5.5.0",
			   "<%s>: %s rejected: Improper use of SMTP command "
			   "pipelining",
			   ev->subject, rule_class_name(ev->class));
}

enum rule_result rule_run_multi_recipient_bounce(struct evaluation *ev,
						 const struct rule_item *item)
{
	const struct restriction_request *req = ev->request;
	/* at RCPT the one that is asked about counts too */
	unsigned int count = req->recipient_count +
			     (rule_list_class(ev->list) == CLASS_OF_RECIPIENT);

	if (req->sender == NULL || req->sender[0] != '\0' || count < 2)
		return RULE_DUNNO;
	return rule_reject(ev,
			   ev->set->conf->v.multi_recipient_bounce_reject_code,
			   "5.5.3", "<%s>: %s rejected: Multi-recipient bounce",
			   ev->subject, rule_class_name(ev->class));
}

enum rule_result rule_run_plaintext_session(struct evaluation *ev,
					    const struct rule_item *item)
{
	if (ev->request->tls)
		return RULE_DUNNO;
	return rule_reject(ev, ev->set->conf->v.plaintext_reject_code, "4.7.1",
			   "Session encryption is required");
}

enum rule_result rule_run_sleep(struct evaluation *ev,
				const struct rule_item *item)
{
	struct rule_step *step = rule_step_take(ev);
	uint64_t now_ms = clock_mono_ms(), seconds;

	if (!span_to_u64(span_from(item->arg), SLEEP_MAX_S, &seconds)) {
		rule_note(ev, "warning",
			  "restriction %s must be followed by number",
			  item->def->name);
		return rule_config_error(ev);
	}
	if (!step->begun)
		step->until_ms = now_ms + seconds * 1000;
	step->begun = true;
	if (ev->request->waiter == NULL || now_ms >= step->until_ms)
		return RULE_DUNNO;
	return rule_wait_until(ev, step->until_ms);
}

enum rule_result rule_run_removed(struct evaluation *ev,
				  const struct rule_item *item)
{
	static const char *const instead[] = {
		[REMOVED_NAKED_IP] = ("permit_mynetworks, "
				      "permit_sasl_authenticated, or "
				      "permit_tls_clientcerts"),
		[REMOVED_MAPS_RBL] = "reject_rbl_client domain-name",
		[REMOVED_RELAY_DOMAINS] = ("permit_mynetworks, "
					   "reject_unauth_destination"),
	};

	rule_note(ev, "warning",
		  "support for restriction \"%s\" has been removed; instead, "
		  "specify \"%s\"",
		  item->def->name, instead[item->def->arg]);
	return rule_config_error(ev);
}
