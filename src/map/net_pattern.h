/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net_pattern - an address or a network: 10.0.0.0/8, [2001:db8::]/32,
 * [2001:db8::/32], 127.0.0.1, [::1].
 *
 * IPv4 in IPv6 is IPv6 here: [::ffff:127.0.0.0]/104, which Debian's mynetworks
 * has, is a network that no IPv4 address is in. Addresses of peers are IPv4
 * already when they come (net/address.h).
 */
#pragma once

#include "base/span.h"

struct net_address {
	unsigned int size; /* bytes: 4 or 16 */
	unsigned char bytes[16];
};

struct net_pattern {
	struct net_address address; /* of the network */
	unsigned int prefix;	    /* bits */
};

/* "127.0.0.1", "::1" or with brackets around it. */
MUST_CHECK bool net_pattern_address_parse(struct span text,
					  struct net_address *ret_address);
/* NULL, or what is wrong with it: "non-null host address bits". */
const char *net_pattern_parse(struct span text,
			      struct net_pattern *ret_pattern);
enum { NET_PATTERN_PROBLEM_MAX = 300 };
/* The same, with the text and, for host bits, the network that was meant:
 * 'non-null host address bits in "10.0.0.1/8", perhaps you should use
 * "10.0.0.0/8" instead'. */
const char *net_pattern_parse_or_say(struct span text,
				     struct net_pattern *ret_pattern,
				     char problem[NET_PATTERN_PROBLEM_MAX]);
/* Does it look like an address or network, and not like a name? */
bool net_pattern_looks_like(struct span text);
bool net_pattern_match(const struct net_pattern *pattern,
		       const struct net_address *address);
