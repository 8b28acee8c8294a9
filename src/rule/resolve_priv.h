/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve_priv - a recipient on its way to a route: resolve.c finds the domain
 * that counts, resolve_transport.c the transport and the next hop.
 */
#pragma once

#include "rule/resolve.h"
#include "rule/rule_priv.h"

/* A transport of master.cf with a relayhost of its own. */
struct transport_relay {
	const char *transport, *relayhost;
};

struct resolver {
	struct conf *conf;
	struct own_ips *own;
	struct match_list *mydestination, *virtual_alias_domains,
		*virtual_mailbox_domains, *relay_domains;
	struct maps *transports, *relocated, *sender_relayhosts,
		*sender_transports;
	struct transport_relay *relays;
	size_t relay_count;
	bool bare_parents; /* transport_maps: example.test covers its children */
	bool quick;
	_Atomic uint64_t warned_ms; /* a line a second is enough */
};

struct target {
	struct span sender;
	struct span address, domain;
	bool is_local, routed;
	enum address_class class;
	struct span transport, nexthop;
};

/* Fill class, transport and nexthop; scratch lives as long as the target. */
MUST_CHECK enum rc resolve_transport(struct resolver *resolver,
				     TALLOC_CTX *scratch,
				     struct target *target,
				     struct fault *fault);
