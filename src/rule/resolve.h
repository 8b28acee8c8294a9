/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve - where an address goes: transport, next hop, recipient; and which
 * address class its domain is in. What trivial-rewrite(8) does in the reference.
 *
 * Errors   RC_OK, RC_TEMP (a table failed: 4.3.0), RC_PERM (5.1.x bad address;
 *          the route is then error: with the text)
 * Threads  a resolver is shared by all threads
 */
#pragma once

#include "map/match_list.h"

enum address_class {
	CLASS_LOCAL,
	CLASS_VIRTUAL_ALIAS,
	CLASS_VIRTUAL_MAILBOX,
	CLASS_RELAY,
	CLASS_DEFAULT,
};

struct route {
	const char *transport; /* "smtp" */
	const char *nexthop;   /* "[relay.example.test]:8025", "example.test" */
	const char *recipient; /* rewritten address, internal form */
	enum address_class class;
	bool untrusted_routing; /* user@a@b, user%a@b, a!user */
};

struct resolver;

MUST_CHECK enum rc resolver_open(TALLOC_CTX *mem, struct conf *conf,
				 struct resolver **ret_resolver,
				 struct fault *fault);
/* True when no lookup of this resolver can block for long (no transport_maps
 * and the like, or only in-memory and file tables). */
bool resolver_is_quick(const struct resolver *resolver);
MUST_CHECK enum rc resolve(struct resolver *resolver, TALLOC_CTX *mem,
			   struct span sender, struct span recipient,
			   struct route **ret_route, struct fault *fault);
/* Is this domain ours (mydestination, inet_interfaces, proxy_interfaces)? */
MUST_CHECK enum rc resolve_is_local(struct resolver *resolver,
				    struct span domain, struct fault *fault);
