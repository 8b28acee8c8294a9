/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/own_address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>

#include "base/buf.h"

enum { ADDRESSES_MAX = 4096, NETWORKS_MAX_BYTES = 256 * 1024 };
static const char separators[] = ", \t\r\n";

enum rc own_protocols_parse(const char *inet_protocols, bool *ret_ipv4,
			    bool *ret_ipv6, struct fault *fault)
{
	struct span rest = span_from(inet_protocols), word;
	bool ipv4 = false, ipv6 = false;

	while (span_token(&rest, separators, &word)) {
		if (span_is_nocase(word, "all"))
			ipv4 = ipv6 = true;
		else if (span_is_nocase(word, "ipv4"))
			ipv4 = true;
		else if (span_is_nocase(word, "ipv6"))
			ipv6 = true;
		else
			return fault_set(fault, RC_CONF, "4.3.5",
					 "inet_protocols: \"%.*s\" is none of "
					 "all, ipv4, ipv6",
					 SPAN_FMT(word));
	}
	if (!ipv4 && !ipv6)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "inet_protocols is empty: write all, ipv4 or "
				 "ipv6");
	*ret_ipv4 = ipv4;
	*ret_ipv6 = ipv6;
	return RC_OK;
}

static const unsigned char *addr_bytes(const struct sockaddr_storage *addr,
				       int *ret_bits)
{
	*ret_bits = addr->ss_family == AF_INET ? 32 : 128;
	if (addr->ss_family == AF_INET)
		return (const void *)&((const struct sockaddr_in *)addr)
		    ->sin_addr;
	return (const void *)&((const struct sockaddr_in6 *)addr)->sin6_addr;
}

static int mask_bits(const struct sockaddr *mask, int family)
{
	struct sockaddr_storage copy = {.ss_family = (sa_family_t)family};
	const unsigned char *bytes;
	int size, bits = 0;

	if (mask != NULL)
		memcpy(&copy, mask,
		       family == AF_INET ? sizeof(struct sockaddr_in)
					 : sizeof(struct sockaddr_in6));
	bytes = addr_bytes(&copy, &size);
	if (mask == NULL)
		return size;
	while (bits < size && (bytes[bits / 8] & (0x80 >> bits % 8)) != 0)
		bits++;
	return bits;
}

static bool same_address(const struct sockaddr_storage *a,
			 const struct sockaddr_storage *b)
{
	const unsigned char *x, *y;
	int bits;

	if (a->ss_family != b->ss_family)
		return false;
	x = addr_bytes(a, &bits);
	y = addr_bytes(b, &bits);
	return memcmp(x, y, (size_t)bits / 8) == 0;
}

static bool is_loopback(const struct sockaddr_storage *addr)
{
	int bits;
	const unsigned char *bytes = addr_bytes(addr, &bits);

	return bits == 32 ? bytes[0] == 127
			  : IN6_IS_ADDR_LOOPBACK((const void *)bytes);
}

static void list_add(struct own_addresses *to, const struct own_address *item)
{
	for (size_t i = 0; i < to->count; i++) {
		if (same_address(&to->list[i].addr, &item->addr))
			return;
	}
	if (to->count == ADDRESSES_MAX)
		return;
	if (to->count % 16 == 0)
		to->list = mem_resize(to, to->list, struct own_address,
				      to->count + 16);
	to->list[to->count++] = *item;
}

/* Every address of every interface that is up. */
static enum rc find_all(TALLOC_CTX *mem, bool ipv4, bool ipv6,
			struct own_addresses **ret_all, struct fault *fault)
{
	struct own_addresses *all = mem_new(mem, struct own_addresses);
	struct ifaddrs *first;

	if (getifaddrs(&first) < 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "network interfaces: %m");
	for (struct ifaddrs *at = first; at != NULL; at = at->ifa_next) {
		struct own_address item = {.prefix_bits = 0};
		int family =
		    at->ifa_addr == NULL ? AF_UNSPEC : at->ifa_addr->sa_family;

		if ((at->ifa_flags & IFF_UP) == 0 ||
		    !((family == AF_INET && ipv4) ||
		      (family == AF_INET6 && ipv6)))
			continue;
		memcpy(&item.addr, at->ifa_addr,
		       family == AF_INET ? sizeof(struct sockaddr_in)
					 : sizeof(struct sockaddr_in6));
		item.prefix_bits = mask_bits(at->ifa_netmask, family);
		list_add(all, &item);
	}
	freeifaddrs(first);
	*ret_all = all;
	return RC_OK;
}

/* Add the local addresses that one word of inet_interfaces stands for. */
static enum rc add_word(struct own_addresses *to,
			const struct own_addresses *all, struct span word,
			int family, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct addrinfo hints = {.ai_family = family,
				 .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	bool matched = false;
	char *host;
	int err;

	if (span_starts(word, "[") && span_ends(word, "]"))
		word = span_take(span_skip(word, 1), word.len - 2);
	host = mem_span_dup(tmp, word);
	err = getaddrinfo(host, NULL, &hints, &found);
	if (err != 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "inet_interfaces: %s: %s", host,
				 gai_strerror(err));
	for (struct addrinfo *at = found; at != NULL; at = at->ai_next) {
		for (size_t i = 0; i < all->count; i++) {
			if (!same_address(&all->list[i].addr,
					  (const void *)at->ai_addr))
				continue;
			list_add(to, &all->list[i]);
			matched = true;
		}
	}
	freeaddrinfo(found);
	if (matched)
		return RC_OK;
	return fault_set(fault, RC_CONF, "4.3.5",
			 "inet_interfaces: no local interface has the address "
			 "%s",
			 host);
}

enum rc own_addresses_find(TALLOC_CTX *mem, const char *inet_interfaces,
			   const char *inet_protocols,
			   struct own_addresses **ret_addresses,
			   struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct own_addresses *some = mem_new(tmp, struct own_addresses);
	struct span rest = span_from(inet_interfaces), word;
	struct own_addresses *all;
	bool ipv4, ipv6;
	enum rc rc;

	rc = own_protocols_parse(inet_protocols, &ipv4, &ipv6, fault);
	if (rc == RC_OK)
		rc = find_all(tmp, ipv4, ipv6, &all, fault);
	while (rc == RC_OK && span_token(&rest, separators, &word)) {
		bool every = span_is_nocase(word, "all");
		bool loop = span_is_nocase(word, "loopback-only");

		for (size_t i = 0; i < all->count; i++) {
			if (every || (loop && is_loopback(&all->list[i].addr)))
				list_add(some, &all->list[i]);
		}
		if (!every && !loop)
			rc = add_word(some, all, word,
				      !ipv6   ? AF_INET
				      : !ipv4 ? AF_INET6
					      : AF_UNSPEC,
				      fault);
	}
	if (rc == RC_OK)
		*ret_addresses = talloc_steal(mem, some);
	return rc;
}

static int class_bits(const unsigned char *bytes)
{
	if (bytes[0] < 128)
		return 8;
	return bytes[0] < 192 ? 16 : 24;
}

static void network_add(struct buf *out, const struct own_address *item,
			int prefix)
{
	unsigned char network[16] = {0};
	char address[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 8];
	const unsigned char *bytes;
	bool is_v4 = item->addr.ss_family == AF_INET;
	int bits;

	bytes = addr_bytes(&item->addr, &bits);
	for (int i = 0; i < prefix; i++)
		network[i / 8] |= bytes[i / 8] & (0x80 >> i % 8);
	inet_ntop(item->addr.ss_family, network, address, sizeof(address));
	snprintf(text, sizeof(text), is_v4 ? "%s/%d " : "[%s]/%d ", address,
		 prefix);
	if (strstr(buf_text(out), text) == NULL)
		buf_add_text(out, text);
}

enum rc own_networks_text(TALLOC_CTX *mem,
			  const struct own_addresses *addresses,
			  const char *style, char **ret_text,
			  struct fault *fault)
{
	bool host = strcasecmp(style, "host") == 0;
	bool class = strcasecmp(style, "class") == 0;
	struct buf out;

	if (!host && !class && strcasecmp(style, "subnet") != 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "mynetworks_style: \"%s\" is none of host, "
				 "subnet, class",
				 style);
	buf_init(&out, mem, NETWORKS_MAX_BYTES);
	for (size_t i = 0; i < addresses->count; i++) {
		const struct own_address *item = &addresses->list[i];
		int bits;
		const unsigned char *bytes = addr_bytes(&item->addr, &bits);
		int prefix = item->prefix_bits;

		if (host)
			prefix = bits;
		else if (class && bits == 32)
			prefix = class_bits(bytes);
		network_add(&out, item, prefix);
	}
	*ret_text = mem_span_dup(mem, span_trim(buf_span(&out)));
	buf_done(&out);
	return RC_OK;
}
