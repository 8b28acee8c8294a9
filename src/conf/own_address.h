/* SPDX-License-Identifier: Apache-2.0 */
/*
 * own_address - the addresses of this host that inet_interfaces names, each
 * with the size of its network.
 *
 * Shape    inet_interfaces: "all", "loopback-only", addresses ([::1] or ::1)
 *          and host names, separated by commas or blanks
 *          inet_protocols: "all", "ipv4", "ipv6", or both of these
 * Errors   RC_CONF: no such interface, a name that cannot be resolved
 * Owner    the list is a child of mem
 * Blocks   host names are resolved
 */
#pragma once

#include <sys/socket.h>

#include "base/fault.h"
#include "base/mem.h"

struct own_address {
	struct sockaddr_storage addr; /* AF_INET or AF_INET6, port 0 */
	int prefix_bits;
};

struct own_addresses {
	struct own_address *list;
	size_t count;
};

MUST_CHECK enum rc own_addresses_find(TALLOC_CTX *mem,
				      const char *inet_interfaces,
				      const char *inet_protocols,
				      struct own_addresses **ret_addresses,
				      struct fault *fault);
/* The two halves of inet_protocols. */
MUST_CHECK enum rc own_protocols_parse(const char *inet_protocols,
				       bool *ret_ipv4, bool *ret_ipv6,
				       struct fault *fault);
/* The text of mynetworks for a style: "host", "subnet" or "class". */
MUST_CHECK enum rc own_networks_text(TALLOC_CTX *mem,
				     const struct own_addresses *addresses,
				     const char *style, char **ret_text,
				     struct fault *fault);
