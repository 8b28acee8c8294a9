/* SPDX-License-Identifier: Apache-2.0 */
/* What a question that has to wait keeps from one try to the next: what it was
 * told by DNS, and which of its steps are done. */
#include "base/clock.h"
#include "rule/restriction_priv.h"

enum { LOOKUPS_MAX = 2000, BLOCKING_WAIT_MS = 60 * 1000 };

struct step_link {
	struct rule_step step;
	struct step_link *next;
};

struct memo_lookup {
	struct rule_dns result;
	const char *name;
	enum dns_type type;
	bool done;
	struct dns_lookup *lookup;
	struct memo_lookup *next;
};

struct restriction_memo {
	struct step_link *steps, *last_step;
	size_t step_count;
	struct memo_lookup *lookups;
	size_t lookup_count;
	bool looked_ahead;
};

struct restriction_memo *restriction_memo_new(TALLOC_CTX *mem)
{
	return mem_new(mem, struct restriction_memo);
}

/* ---- steps ---- */

struct rule_step *rule_step_take(struct evaluation *ev)
{
	struct restriction_memo *memo = ev->memo;
	struct step_link *link;

	if (ev->steps++ < memo->step_count) {
		link = memo->steps;
		for (size_t i = 1; i < ev->steps; i++)
			link = link->next;
		return &link->step;
	}
	link = mem_new(memo, struct step_link);
	if (memo->last_step == NULL)
		memo->steps = link;
	else
		memo->last_step->next = link;
	memo->last_step = link;
	memo->step_count++;
	return &link->step;
}

enum rule_result rule_wait_until(struct evaluation *ev, uint64_t until_ms)
{
	uint64_t *again_ms = &ev->verdict->again_ms;

	if (*again_ms == 0 || until_ms < *again_ms)
		*again_ms = until_ms;
	return RULE_WAIT;
}

/* ---- DNS ---- */

static struct memo_lookup *lookup_find(const struct restriction_memo *memo,
				       const char *name, enum dns_type type)
{
	struct memo_lookup *lookup = memo->lookups;

	while (lookup != NULL &&
	       (lookup->type != type ||
		!span_is_nocase(span_from(name), lookup->name)))
		lookup = lookup->next;
	return lookup;
}

static void lookup_fail(struct memo_lookup *lookup, const char *why)
{
	lookup->done = true;
	lookup->result.rc =
		fault_set(&lookup->result.fault, RC_TEMP, "4.4.3",
			  "Host or domain name not found. Name service error "
			  "for name=%s type=%s: %s",
			  lookup->name, dns_type_name(lookup->type), why);
}

static struct memo_lookup *lookup_begin(struct evaluation *ev, const char *name,
					enum dns_type type)
{
	struct restriction_memo *memo = ev->memo;
	struct memo_lookup *lookup = lookup_find(memo, name, type);

	if (lookup != NULL)
		return lookup;
	lookup = mem_new(memo, struct memo_lookup);
	lookup->name = mem_strdup(lookup, name);
	lookup->type = type;
	lookup->next = memo->lookups;
	memo->lookups = lookup;
	if (ev->request->dns == NULL)
		lookup_fail(lookup, "Host not found, try again");
	else if (memo->lookup_count++ >= LOOKUPS_MAX)
		lookup_fail(lookup, "too many questions");
	else if (dns_lookup_begin(lookup, ev->request->dns, name, type,
				  &lookup->lookup,
				  &lookup->result.fault) != RC_OK)
		lookup_fail(lookup, "Host not found, try again");
	return lookup;
}

void rule_dns_begin(struct evaluation *ev, const char *name, enum dns_type type)
{
	lookup_begin(ev, name, type);
}

const struct rule_dns *rule_dns_ask(struct evaluation *ev, const char *name,
				    enum dns_type type)
{
	struct restriction_waiter *waiter = ev->request->waiter;
	struct memo_lookup *lookup = lookup_begin(ev, name, type);
	struct rule_dns *result = &lookup->result;

	if (lookup->done)
		return result;
	if (!dns_lookup_ready(lookup->lookup, NULL, NULL)) {
		/* others that may be needed are asked now, too */
		if (!ev->memo->looked_ahead)
			rule_look_ahead(ev);
		ev->memo->looked_ahead = true;
		if (waiter != NULL &&
		    !dns_lookup_ready(lookup->lookup, waiter->ready,
				      waiter->arg)) {
			rule_wait_until(ev,
					dns_lookup_deadline_ms(lookup->lookup));
			return NULL;
		}
	}
	result->rc = dns_lookup_end(lookup, lookup->lookup,
				    (struct dns_answer **)&result->answer,
				    &result->fault);
	if (result->rc == RC_OK && result->answer->count == 0)
		result->rc = RC_NONE;
	TALLOC_FREE(lookup->lookup);
	lookup->done = true;
	return result;
}

const char *rule_dns_why(const struct rule_dns *dns)
{
	const char *type = strstr(dns->fault.text, " type=");
	const char *why = type == NULL ? NULL : strstr(type, ": ");

	return why == NULL ? dns->fault.text : why + 2;
}
