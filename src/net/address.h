/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address - IP addresses and networks, and their text.
 *
 * Shape    "192.0.2.1", "2001:db8::1", "fe80::1%eth0"; networks "192.0.2.0/24",
 *          "[2001:db8::]/32", "192.0.2.1" (all bits)
 * Holds    an IPv4 address mapped into IPv6 (::ffff:192.0.2.1) is turned into
 *          IPv4 by every function that makes an address
 */
#pragma once

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/fault.h"
#include "base/mem.h"

struct net_address {
	union {
		struct sockaddr sa; /* sa_family 0: no address */
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	};
};

enum {
	NET_ADDRESS_TEXT_MAX = INET6_ADDRSTRLEN + IF_NAMESIZE + 1,
	NET_ENDPOINT_TEXT_MAX = NET_ADDRESS_TEXT_MAX + 10,
};

/* A numeric address with nothing around it; port 0. */
MUST_CHECK bool net_address_parse(struct span text,
				  struct net_address *ret_address);
/* The same, or with brackets or "IPv6:" as in mail: "[192.0.2.1]",
 * "[IPv6:2001:db8::1]", "[2001:db8::1]". */
MUST_CHECK bool net_address_parse_literal(struct span text,
					  struct net_address *ret_address);
/* false: neither IPv4 nor IPv6. */
MUST_CHECK bool net_address_from(const struct sockaddr *sa, socklen_t size,
				 struct net_address *ret_address);
/* The ends of a socket; false when it is no internet socket. */
MUST_CHECK bool net_address_peer(int fd, struct net_address *ret_address);
MUST_CHECK bool net_address_local(int fd, struct net_address *ret_address);

/* Fills and returns text: "192.0.2.1", "2001:db8::1". */
const char *net_address_text(const struct net_address *address,
			     char text[NET_ADDRESS_TEXT_MAX]);
/* With the port: "192.0.2.1:25", "[2001:db8::1]:25". */
const char *net_endpoint_text(const struct net_address *address,
			      char text[NET_ENDPOINT_TEXT_MAX]);
/* The name under which DNS has the PTR record. */
enum { NET_REVERSE_TEXT_MAX = 80 };
const char *net_address_reverse(const struct net_address *address,
				char text[NET_REVERSE_TEXT_MAX]);

socklen_t net_address_size(const struct net_address *address);
uint16_t net_address_port(const struct net_address *address);
void net_address_set_port(struct net_address *address, uint16_t port);
bool net_address_is_loopback(const struct net_address *address);
/* 0.0.0.0 or :: */
bool net_address_is_any(const struct net_address *address);
/* Without regard to the port. */
bool net_address_eq(const struct net_address *a, const struct net_address *b);

struct net_network {
	uint8_t bytes[16];
	uint8_t family; /* AF_INET or AF_INET6 */
	uint8_t prefix; /* bits that count */
};

/* RC_CONF: "bad net/mask pattern: "10.0.0.1/8": host bits are not zero". */
MUST_CHECK enum rc net_network_parse(struct span text,
				     struct net_network *ret_network,
				     struct fault *fault);
bool net_network_has(const struct net_network *network,
		     const struct net_address *address);
/* The first prefix bits of the address. */
struct net_network net_network_of(const struct net_address *address,
				  unsigned prefix);
enum { NET_NETWORK_TEXT_MAX = NET_ADDRESS_TEXT_MAX + 6 };
/* "192.0.2.0/24", "[2001:db8::]/32" */
const char *net_network_text(const struct net_network *network,
			     char text[NET_NETWORK_TEXT_MAX]);

/* The addresses of this machine's interfaces and the networks they are in. */
struct net_interface {
	struct net_address address;
	struct net_network network;
};
MUST_CHECK enum rc net_interfaces(TALLOC_CTX *mem,
				  struct net_interface **ret_list,
				  size_t *ret_count, struct fault *fault);
