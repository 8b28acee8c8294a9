/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restriction_trace - restrictions tell what they do to who listens
 * (sys/trace.h): `postern explain`, and the log of debug_peer_list clients.
 *
 * Shape    LIST_BEGIN, for each rule RULE_BEGIN ... RULE_END or RULE_SKIPPED,
 *          LIST_END; a restriction class nests, and so does a list that an
 *          access table gives; between the ends of a rule its lookups (TABLE,
 *          MATCH, DNS, POLICY, VERIFY) and what it SAYS
 * Free     tables, match lists and DNS tell about themselves; rule_reject,
 *          rule_error, rule_note, rule_defer_if_permit and
 *          rule_defer_if_reject say what they say. New code calls only
 *          trace_stand_in before, and trace_answer after, it asks a policy
 *          service (TRACE_POLICY) or verifies an address (TRACE_VERIFY).
 * Cost     one test of a pointer when nobody listens
 */
#pragma once

#include "rule/restriction_priv.h"
#include "sys/trace.h"

void rule_trace_list(enum trace_kind kind, const char *parameter,
		     enum rule_result result);
/* RULE_BEGIN, RULE_END, RULE_SKIPPED */
void rule_trace_item(enum trace_kind kind, const struct rule_items *items,
		     const struct rule_item *item, bool warns,
		     enum rule_result result);
/* A check that no list names: smtpd_reject_unlisted_recipient. */
void rule_trace_implied(enum trace_kind kind, const char *word,
			const char *parameter, enum rule_result result);
void rule_trace_says(const char *what, const char *text);
