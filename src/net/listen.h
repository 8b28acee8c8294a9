/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listen - sockets that wait for clients from the network.
 *
 * Shape    service of a master.cf inet line: "smtp", "25", "127.0.0.1:10025",
 *          "[::1]:25", "[::]:25", "host.name:smtp", ":25"
 * Errors   RC_CONF, one line that says what and where:
 *          "bind 127.0.0.1 port 25: Address already in use"
 * See      postconf(5) inet_interfaces, inet_protocols; master(5)
 */
#pragma once

#include "net/address.h"

/* inet_protocols: "all", "ipv4", "ipv6", "ipv4, ipv6". */
struct net_protocols {
	bool ipv4, ipv6;
};
MUST_CHECK enum rc net_protocols_parse(const char *text,
				       struct net_protocols *ret_protocols,
				       struct fault *fault);

/* inet_interfaces or proxy_interfaces as addresses: "all" is 0.0.0.0 and ::,
 * "loopback-only", names and addresses. */
MUST_CHECK enum rc net_interfaces_parse(TALLOC_CTX *mem, const char *text,
					struct net_protocols protocols,
					struct net_address **ret_list,
					size_t *ret_count, struct fault *fault);

/* Where this service listens. Without a host: on all of inet_interfaces. */
MUST_CHECK enum rc net_listen_resolve(TALLOC_CTX *mem, const char *service,
				      const char *inet_interfaces,
				      struct net_protocols protocols,
				      struct net_address **ret_list,
				      size_t *ret_count, struct fault *fault);

/* Non-blocking, close-on-exec, SO_REUSEADDR, IPV6_V6ONLY. An IPv6 address of a
 * kernel without IPv6 is RC_NONE. */
MUST_CHECK enum rc net_listen_open(const struct net_address *address,
				   int backlog, int *ret_fd,
				   struct fault *fault);

/* "smtp" or "25" to 25. */
MUST_CHECK bool net_port_parse(struct span text, uint16_t *ret_port);
/* "host:port", "[host]:port", "[host]", "host" apart; a missing port is "".
 * false: brackets or colons that do not fit. */
MUST_CHECK bool net_host_port_split(struct span text, struct span *ret_host,
				    struct span *ret_port);
