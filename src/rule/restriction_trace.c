/* SPDX-License-Identifier: Apache-2.0 */
#include "rule/restriction_trace.h"

static void tell(struct trace_event event)
{
	struct trace *trace = trace_current();

	if (trace != NULL)
		trace->event(trace, &event);
}

_Static_assert((int)TRACE_DUNNO == (int)RULE_DUNNO &&
		       (int)TRACE_OK == (int)RULE_OK &&
		       (int)TRACE_REJECT == (int)RULE_REJECT &&
		       (int)TRACE_WAIT == (int)RULE_WAIT,
	       "the same numbers");

void rule_trace_list(enum trace_kind kind, const char *parameter,
		     enum rule_result result)
{
	tell((struct trace_event){ .kind = kind,
				   .name = parameter,
				   .result = (enum trace_result)result });
}

void rule_trace_item(enum trace_kind kind, const struct rule_items *items,
		     const struct rule_item *item, bool warns,
		     enum rule_result result)
{
	tell((struct trace_event){
		.kind = kind,
		.name = item->word,
		.value = span_from(item->arg == NULL ? "" : item->arg),
		.result = (enum trace_result)result,
		.warns = warns,
		.source = items->source,
		.source_is_table = items->source_is_table,
		.offset = item->offset,
	});
}

void rule_trace_implied(enum trace_kind kind, const char *word,
			const char *parameter, enum rule_result result)
{
	tell((struct trace_event){ .kind = kind,
				   .name = word,
				   .result = (enum trace_result)result,
				   .source = parameter });
}

void rule_trace_says(const char *what, const char *text)
{
	tell((struct trace_event){
		.kind = TRACE_SAYS, .name = what, .value = span_from(text) });
}
