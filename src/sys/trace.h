/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace - who wants to see why: a thread may have a listener that hears every
 * restriction that is asked, every key that is looked up, every question that
 * leaves the process; and a stand-in that answers in place of the world
 * outside.
 *
 * Cost     with no listener one test of a pointer
 * Owner    texts of an event live until the callback returns
 * Threads  a listener belongs to the thread that set it; work that a thread
 *          hands to others is not heard
 */
#pragma once

#include "base/fault.h"
#include "base/mem.h"

enum trace_kind {
	/* rule/restriction_trace.h */
	TRACE_LIST_BEGIN,   /* name: parameter */
	TRACE_LIST_END,	    /* name, result */
	TRACE_RULE_BEGIN,   /* name: word, value: its argument, source, offset,
			     * warns */
	TRACE_RULE_END,	    /* name, result */
	TRACE_RULE_SKIPPED, /* as RULE_BEGIN: something before it decided */
	TRACE_SAYS,	    /* name: "reject", "warn_if_reject",
			     * "defer_if_permit", "defer_if_reject", or a log
			     * word ("hold", "warning", ...); value: the text */
	/* asked of tables and of the world outside */
	TRACE_TABLE, /* name: "hash:/etc/postfix/access", key, value, rc */
	TRACE_MATCH, /* name: parameter, key; value: the element that
		      * matched; rc */
	TRACE_DNS, /* name: "MX", key: domain, value: records, one a line; rc */
	TRACE_POLICY, /* name: endpoint, key: request (name=value lines),
		       * value: action; rc */
	TRACE_VERIFY, /* name: "address", key: address, value: "deliverable" or
		       * why not; rc RC_OK, RC_PERM, RC_TEMP (not known yet) */
};

/* TRACE_WAIT: not known yet; all of it will be asked and told again. */
enum trace_result { TRACE_DUNNO, TRACE_OK, TRACE_REJECT, TRACE_WAIT };

struct trace_event {
	enum trace_kind kind;
	const char *name;
	struct span key, value;
	enum rc rc; /* RC_OK an answer, RC_NONE none, others: failed, value
		     * says why */
	enum trace_result result;
	bool warns;	    /* under warn_if_reject */
	bool stood_in;	    /* the stand-in answered */
	const char *source; /* parameter or restriction class that the rule was
			     * read from, or type:table whose entry it is */
	bool source_is_table;
	size_t offset; /* of the rule in the expanded text of `source` */
};

struct trace {
	void (*event)(struct trace *trace, const struct trace_event *event);
	/* Answer for the world outside. False: ask it. *ret_value: child of
	 * mem; as in the event of this kind. May be NULL. */
	bool (*stand_in)(struct trace *trace, TALLOC_CTX *mem,
			 const struct trace_event *question,
			 struct span *ret_value, enum rc *ret_rc);
	int depth; /* of lookups inside lookups: only the outermost is told */
};

/* The listener of this thread, or NULL. */
struct trace *trace_current(void);
/* Returns the one before. */
struct trace *trace_set(struct trace *trace);
/* True: *ret_rc and *ret_value are the answer. Tell it, as any other. */
bool trace_stand_in(TALLOC_CTX *mem, enum trace_kind kind, const char *name,
		    struct span key, struct span *ret_value, enum rc *ret_rc);
/* Tell what was answered; nothing without a listener. */
void trace_answer(enum trace_kind kind, const char *name, struct span key,
		  enum rc rc, struct span value, bool stood_in);
