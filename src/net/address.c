/* SPDX-License-Identifier: Apache-2.0 */
#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>

enum { TEXT_MAX_BYTES = 64, INTERFACES_MAX = 4096 };

static void address_unmap(struct net_address *address)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET };

	if (address->sa.sa_family != AF_INET6 ||
	    !IN6_IS_ADDR_V4MAPPED(&address->in6.sin6_addr))
		return;
	in4.sin_port = address->in6.sin6_port;
	memcpy(&in4.sin_addr, address->in6.sin6_addr.s6_addr + 12, 4);
	*address = (struct net_address){ .in4 = in4 };
}

/* "eth0" or "2" after the percent sign. */
static bool scope_parse(struct span text, uint32_t *ret_scope)
{
	char name[IF_NAMESIZE];
	uint64_t number;

	if (span_to_u64(text, UINT32_MAX, &number)) {
		*ret_scope = (uint32_t)number;
		return true;
	}
	if (text.len == 0 || text.len >= sizeof(name))
		return false;
	memcpy(name, text.ptr, text.len);
	name[text.len] = '\0';
	*ret_scope = if_nametoindex(name);
	return *ret_scope != 0;
}

bool net_address_parse(struct span text, struct net_address *ret_address)
{
	struct net_address address = { 0 };
	ssize_t percent = span_find(text, '%');
	uint32_t scope = 0;
	char copy[TEXT_MAX_BYTES];
	struct span digits = text;

	if (percent >= 0) {
		digits = span_take(text, (size_t)percent);
		if (!scope_parse(span_skip(text, (size_t)percent + 1), &scope))
			return false;
	}
	if (digits.len == 0 || digits.len >= sizeof(copy) ||
	    span_find(digits, '\0') >= 0)
		return false;
	memcpy(copy, digits.ptr, digits.len);
	copy[digits.len] = '\0';
	if (percent < 0 &&
	    inet_pton(AF_INET, copy, &address.in4.sin_addr) == 1) {
		address.sa.sa_family = AF_INET;
	} else if (inet_pton(AF_INET6, copy, &address.in6.sin6_addr) == 1) {
		address.sa.sa_family = AF_INET6;
		address.in6.sin6_scope_id = scope;
		address_unmap(&address);
	} else {
		return false;
	}
	*ret_address = address;
	return true;
}

bool net_address_parse_literal(struct span text,
			       struct net_address *ret_address)
{
	bool tagged;

	if (span_starts(text, "[") && span_ends(text, "]") && text.len >= 2)
		text = span_take(span_skip(text, 1), text.len - 2);
	tagged = span_starts_nocase(text, "IPv6:");
	if (tagged)
		text = span_skip(text, sizeof("IPv6:") - 1);
	if (tagged && span_find(text, ':') < 0)
		return false;
	return net_address_parse(text, ret_address);
}

bool net_address_from(const struct sockaddr *sa, socklen_t size,
		      struct net_address *ret_address)
{
	struct net_address address = { 0 };

	if (sa->sa_family == AF_INET && size >= sizeof(address.in4))
		memcpy(&address.in4, sa, sizeof(address.in4));
	else if (sa->sa_family == AF_INET6 && size >= sizeof(address.in6))
		memcpy(&address.in6, sa, sizeof(address.in6));
	else
		return false;
	address_unmap(&address);
	*ret_address = address;
	return true;
}

bool net_address_peer(int fd, struct net_address *ret_address)
{
	struct sockaddr_storage sa;
	socklen_t size = sizeof(sa);

	return getpeername(fd, (struct sockaddr *)&sa, &size) == 0 &&
	       net_address_from((struct sockaddr *)&sa, size, ret_address);
}

bool net_address_local(int fd, struct net_address *ret_address)
{
	struct sockaddr_storage sa;
	socklen_t size = sizeof(sa);

	return getsockname(fd, (struct sockaddr *)&sa, &size) == 0 &&
	       net_address_from((struct sockaddr *)&sa, size, ret_address);
}

static const uint8_t *address_bytes(const struct net_address *address,
				    size_t *ret_size)
{
	if (address->sa.sa_family == AF_INET) {
		*ret_size = sizeof(address->in4.sin_addr);
		return (const uint8_t *)&address->in4.sin_addr;
	}
	assert(address->sa.sa_family == AF_INET6);
	*ret_size = sizeof(address->in6.sin6_addr);
	return address->in6.sin6_addr.s6_addr;
}

const char *net_address_text(const struct net_address *address,
			     char text[NET_ADDRESS_TEXT_MAX])
{
	char scope[IF_NAMESIZE];
	size_t size, len;

	text[0] = '\0';
	if (address->sa.sa_family == 0)
		return text;
	inet_ntop(address->sa.sa_family, address_bytes(address, &size), text,
		  NET_ADDRESS_TEXT_MAX);
	if (address->sa.sa_family != AF_INET6 ||
	    address->in6.sin6_scope_id == 0)
		return text;
	len = strlen(text);
	if (if_indextoname(address->in6.sin6_scope_id, scope) != NULL)
		snprintf(text + len, NET_ADDRESS_TEXT_MAX - len, "%%%s", scope);
	else
		snprintf(text + len, NET_ADDRESS_TEXT_MAX - len, "%%%u",
			 (unsigned)address->in6.sin6_scope_id);
	return text;
}

const char *net_endpoint_text(const struct net_address *address,
			      char text[NET_ENDPOINT_TEXT_MAX])
{
	char host[NET_ADDRESS_TEXT_MAX];
	bool is_v6 = address->sa.sa_family == AF_INET6;

	snprintf(text, NET_ENDPOINT_TEXT_MAX, is_v6 ? "[%s]:%u" : "%s:%u",
		 net_address_text(address, host),
		 (unsigned)net_address_port(address));
	return text;
}

const char *net_address_reverse(const struct net_address *address,
				char text[NET_REVERSE_TEXT_MAX])
{
	static const char hex[] = "0123456789abcdef";
	size_t size, at = 0;
	const uint8_t *bytes = address_bytes(address, &size);

	if (size == 4) {
		snprintf(text, NET_REVERSE_TEXT_MAX, "%u.%u.%u.%u.in-addr.arpa",
			 bytes[3], bytes[2], bytes[1], bytes[0]);
		return text;
	}
	for (size_t i = size; i-- > 0;) {
		text[at++] = hex[bytes[i] & 15];
		text[at++] = '.';
		text[at++] = hex[bytes[i] >> 4];
		text[at++] = '.';
	}
	snprintf(text + at, NET_REVERSE_TEXT_MAX - at, "ip6.arpa");
	return text;
}

socklen_t net_address_size(const struct net_address *address)
{
	return address->sa.sa_family == AF_INET ? sizeof(address->in4)
						: sizeof(address->in6);
}

uint16_t net_address_port(const struct net_address *address)
{
	return ntohs(address->sa.sa_family == AF_INET6 ? address->in6.sin6_port
						       : address->in4.sin_port);
}

void net_address_set_port(struct net_address *address, uint16_t port)
{
	if (address->sa.sa_family == AF_INET6)
		address->in6.sin6_port = htons(port);
	else
		address->in4.sin_port = htons(port);
}

bool net_address_is_loopback(const struct net_address *address)
{
	if (address->sa.sa_family == AF_INET)
		return ntohl(address->in4.sin_addr.s_addr) >> 24 == 127;
	return address->sa.sa_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&address->in6.sin6_addr);
}

bool net_address_is_any(const struct net_address *address)
{
	if (address->sa.sa_family == AF_INET)
		return address->in4.sin_addr.s_addr == INADDR_ANY;
	return address->sa.sa_family == AF_INET6 &&
	       IN6_IS_ADDR_UNSPECIFIED(&address->in6.sin6_addr);
}

bool net_address_eq(const struct net_address *a, const struct net_address *b)
{
	const uint8_t *a_bytes, *b_bytes;
	size_t size;

	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == 0)
		return true;
	if (a->sa.sa_family == AF_INET6 &&
	    a->in6.sin6_scope_id != b->in6.sin6_scope_id)
		return false;
	a_bytes = address_bytes(a, &size);
	b_bytes = address_bytes(b, &size);
	return memcmp(a_bytes, b_bytes, size) == 0;
}

static void bits_clear(uint8_t *bytes, size_t size, unsigned from)
{
	for (size_t i = 0; i < size; i++) {
		unsigned first = (unsigned)i * 8;

		if (first >= from)
			bytes[i] = 0;
		else if (from - first < 8)
			bytes[i] &= (uint8_t)(0xff00u >> (from - first));
	}
}

struct net_network net_network_of(const struct net_address *address,
				  unsigned prefix)
{
	struct net_network network = { 0 };
	size_t size = 0;
	const uint8_t *bytes = address_bytes(address, &size);

	assert(size <= sizeof(network.bytes));
	prefix = MIN_OF(prefix, (unsigned)size * 8);
	memcpy(network.bytes, bytes, size);
	bits_clear(network.bytes, size, prefix);
	network.family = (uint8_t)address->sa.sa_family;
	network.prefix = (uint8_t)prefix;
	return network;
}

static enum rc network_bad(struct span text, const char *why,
			   struct fault *fault)
{
	return fault_set(fault, RC_CONF, "4.3.5",
			 "bad net/mask pattern: \"%.*s\": %s", SPAN_FMT(text),
			 why);
}

enum rc net_network_parse(struct span text, struct net_network *ret_network,
			  struct fault *fault)
{
	struct net_address address;
	struct net_network network;
	struct span rest = text, host = SPAN("");
	const uint8_t *bytes;
	uint64_t prefix;
	size_t size;
	bool bracket;

	if (!span_cut(&rest, '/', &host))
		return network_bad(text, "empty", fault);
	bracket =
		host.len >= 2 && span_starts(host, "[") && span_ends(host, "]");
	if (bracket)
		host = span_take(span_skip(host, 1), host.len - 2);
	if (!net_address_parse(host, &address))
		return network_bad(text, "not an IP address", fault);
	address_bytes(&address, &size);
	prefix = size * 8;
	if (rest.ptr != NULL && !span_to_u64(rest, size * 8, &prefix))
		return network_bad(text, "bad prefix length", fault);
	network = net_network_of(&address, (unsigned)prefix);
	bytes = address_bytes(&address, &size);
	if (memcmp(network.bytes, bytes, size) != 0)
		return network_bad(text, "host bits are not zero", fault);
	*ret_network = network;
	return RC_OK;
}

bool net_network_has(const struct net_network *network,
		     const struct net_address *address)
{
	const uint8_t *bytes;
	size_t size, whole = network->prefix / 8;
	unsigned part = network->prefix % 8;

	if (network->family != address->sa.sa_family)
		return false;
	bytes = address_bytes(address, &size);
	if (memcmp(bytes, network->bytes, whole) != 0)
		return false;
	return part == 0 ||
	       ((bytes[whole] ^ network->bytes[whole]) >> (8 - part)) == 0;
}

const char *net_network_text(const struct net_network *network,
			     char text[NET_NETWORK_TEXT_MAX])
{
	char host[INET6_ADDRSTRLEN];

	inet_ntop(network->family, network->bytes, host, sizeof(host));
	snprintf(text, NET_NETWORK_TEXT_MAX,
		 network->family == AF_INET6 ? "[%s]/%u" : "%s/%u", host,
		 network->prefix);
	return text;
}

static unsigned mask_bits(const struct net_address *mask)
{
	size_t size;
	const uint8_t *bytes = address_bytes(mask, &size);
	unsigned bits = 0;

	while (bits < size * 8 && (bytes[bits / 8] & (0x80 >> bits % 8)) != 0)
		bits++;
	return bits;
}

enum rc net_interfaces(TALLOC_CTX *mem, struct net_interface **ret_list,
		       size_t *ret_count, struct fault *fault)
{
	struct net_interface *list = NULL;
	struct ifaddrs *all;
	size_t count = 0;

	if (getifaddrs(&all) != 0)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "list network interfaces: %m");
	for (struct ifaddrs *i = all; i != NULL && count < INTERFACES_MAX;
	     i = i->ifa_next) {
		struct net_address address, mask;

		if (i->ifa_addr == NULL || i->ifa_netmask == NULL ||
		    (i->ifa_flags & IFF_UP) == 0 ||
		    !net_address_from(i->ifa_addr, sizeof(address.in6),
				      &address))
			continue;
		/* Some kernels leave the family of the mask out. */
		memcpy(&mask, i->ifa_netmask, net_address_size(&address));
		mask.sa.sa_family = address.sa.sa_family;
		list = mem_resize(mem, list, struct net_interface, count + 1);
		list[count++] = (struct net_interface){
			address, net_network_of(&address, mask_bits(&mask))
		};
	}
	freeifaddrs(all);
	*ret_list = list;
	*ret_count = count;
	return RC_OK;
}
