/* SPDX-License-Identifier: Apache-2.0 */
/*
 * route - the hosts of a next hop, in the order in which they are tried.
 *
 * Order    MX preference; within one preference at random, IPv6 or IPv4 first
 *          as smtp_address_preference says; at most smtp_mx_address_limit, both
 *          families among them when smtp_balance_inet_protocols
 * Errors   RC_PERM the domain takes no mail, does not exist, or its best MX is
 *          this machine; RC_TEMP DNS cannot say. Text and DSN as the reference
 *          has them
 * Owner    answers are children of mem
 * Threads  any; `own` is immutable
 */
#pragma once

#include "deliver/smtp/nexthop.h"
#include "deliver/smtp/session.h"
#include "net/dns.h"
#include "net/listen.h"

struct smtp_route_config {
	const struct smtp_settings *settings;
	struct dns *dns;
	struct net_protocols protocols;
	const struct net_address *own; /* inet_interfaces, proxy_interfaces */
	size_t own_count;
};

struct smtp_route {
	struct smtp_host *hosts;
	size_t count;
};

/* detect_loop: hosts that are this machine end the list. */
MUST_CHECK enum rc smtp_route_find(TALLOC_CTX *mem,
				   const struct smtp_route_config *config,
				   const struct nexthop *hop, bool detect_loop,
				   struct smtp_route *ret_route,
				   struct fault *fault);

/* Sort, shuffle and cut; for tests with a seed of their own. */
void smtp_route_order(const struct smtp_settings *settings,
		      struct smtp_route *route, unsigned *seed);
