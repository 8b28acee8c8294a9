/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/trace.h"

static _Thread_local struct trace *current;

struct trace *trace_current(void)
{
	return current;
}

struct trace *trace_set(struct trace *trace)
{
	struct trace *before = current;

	current = trace;
	return before;
}

bool trace_stand_in(TALLOC_CTX *mem, enum trace_kind kind, const char *name,
		    struct span key, struct span *ret_value, enum rc *ret_rc)
{
	struct trace_event event = { .kind = kind, .name = name, .key = key };

	return current != NULL && current->stand_in != NULL &&
	       current->stand_in(current, mem, &event, ret_value, ret_rc);
}

void trace_answer(enum trace_kind kind, const char *name, struct span key,
		  enum rc rc, struct span value, bool stood_in)
{
	struct trace_event event = {
		.kind = kind,
		.name = name,
		.key = key,
		.rc = rc,
		.value = value,
		.stood_in = stood_in,
	};

	if (current != NULL && current->depth == 0)
		current->event(current, &event);
}
