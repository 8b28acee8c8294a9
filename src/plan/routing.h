/* SPDX-License-Identifier: Apache-2.0 */
/*
 * routing - what a snapshot of the configuration says about messages: where
 * each recipient goes, and who may ask about the queue.
 *
 * Owner    counted; the last plan_conf_unref frees it, on any thread
 * Threads  immutable; any thread may ask
 */
#pragma once

#include "queue/envelope.h"
#include "rule/resolve.h"

struct plan_conf {
	int uses; /* atomic */
	struct conf *conf;
	struct resolver *resolver;
	/* address_verify_transport_maps and its kin; often the same one. */
	struct resolver *probe_resolver;
	struct conf *probe_conf; /* what probe_resolver believes; or NULL */
	struct match_list *mailq_users, *flush_users, *defer_transports;
	struct match_list *flush_domains; /* fast_flush_domains */
	uint32_t mail_owner_uid;
};

MUST_CHECK enum rc plan_conf_open(struct conf *conf,
				  struct plan_conf **ret_plan_conf,
				  struct fault *fault);
struct plan_conf *plan_conf_ref(struct plan_conf *plan_conf);
void plan_conf_unref(struct plan_conf *plan_conf);

struct routing {
	uint32_t recipient; /* index in the envelope */
	const char *transport, *nexthop, *address;
	bool is_double_bounce; /* to be discarded */
};

/* Route these recipients of the envelope; texts are children of mem. What
 * cannot be routed now goes to the retry service, what never can to error. */
void routing_resolve(TALLOC_CTX *mem, const struct plan_conf *plan_conf,
		     const struct envelope *env, struct routing *routings,
		     size_t count);
