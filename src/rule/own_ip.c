/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "rule/rule_priv.h"

enum { OWN_IPS_MAX = 4096, NAME_MAX_BYTES = 255 };

struct ip {
	int family;
	uint8_t bytes[16];
};

struct own_ips {
	struct ip *ips;
	size_t count;
};

static void ip_add(struct own_ips *own, int family, const void *bytes)
{
	struct ip *ip;

	if (own->count >= OWN_IPS_MAX)
		return;
	own->ips = mem_resize(own, own->ips, struct ip, own->count + 1);
	ip = &own->ips[own->count++];
	*ip = (struct ip){ .family = family };
	memcpy(ip->bytes, bytes, family == AF_INET ? 4 : 16);
}

static void sockaddr_add(struct own_ips *own, const struct sockaddr *from)
{
	if (from == NULL)
		return;
	if (from->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, from, sizeof(in));
		ip_add(own, AF_INET, &in.sin_addr);
	} else if (from->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, from, sizeof(in6));
		ip_add(own, AF_INET6, &in6.sin6_addr);
	}
}

static bool ip_parse(struct span text, struct ip *ret_ip)
{
	char buffer[INET6_ADDRSTRLEN];
	struct ip ip = { 0 };

	if (text.len == 0 || text.len >= sizeof(buffer))
		return false;
	memcpy(buffer, text.ptr, text.len);
	buffer[text.len] = '\0';
	ip.family = strchr(buffer, ':') != NULL ? AF_INET6 : AF_INET;
	if (inet_pton(ip.family, buffer, ip.bytes) != 1)
		return false;
	*ret_ip = ip;
	return true;
}

static void interfaces_add(struct own_ips *own)
{
	struct ifaddrs *list = NULL;

	if (getifaddrs(&list) != 0)
		return;
	for (const struct ifaddrs *i = list; i != NULL; i = i->ifa_next)
		sockaddr_add(own, i->ifa_addr);
	freeifaddrs(list);
}

static void loopback_add(struct own_ips *own)
{
	struct in_addr loopback = { .s_addr = htonl(INADDR_LOOPBACK) };

	ip_add(own, AF_INET, &loopback);
	ip_add(own, AF_INET6, &in6addr_loopback);
}

static void name_add(struct own_ips *own, struct span name)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	char buffer[NAME_MAX_BYTES + 1];

	if (name.len > NAME_MAX_BYTES)
		return;
	memcpy(buffer, name.ptr, name.len);
	buffer[name.len] = '\0';
	if (getaddrinfo(buffer, NULL, &hints, &list) != 0)
		return;
	for (const struct addrinfo *i = list; i != NULL; i = i->ai_next)
		sockaddr_add(own, i->ai_addr);
	freeaddrinfo(list);
}

static void list_add(struct own_ips *own, struct span list)
{
	struct span word;

	while (span_token(&list, ", \t\r\n", &word)) {
		struct ip ip;

		if (span_is_nocase(word, "all")) {
			interfaces_add(own);
			continue;
		}
		if (span_is_nocase(word, "loopback-only")) {
			loopback_add(own);
			continue;
		}
		if (word.len > 2 && word.ptr[0] == '[' && span_ends(word, "]"))
			word = span_take(span_skip(word, 1), word.len - 2);
		if (span_starts_nocase(word, "ipv6:"))
			word = span_skip(word, 5);
		if (ip_parse(word, &ip))
			ip_add(own, ip.family, ip.bytes);
		else
			name_add(own, word);
	}
}

struct own_ips *own_ips_new(TALLOC_CTX *mem,
					const struct conf *conf)
{
	struct own_ips *own = mem_new(mem, struct own_ips);

	list_add(own, span_from(conf->v.inet_interfaces));
	list_add(own, span_from(conf->v.proxy_interfaces));
	return own;
}

bool own_ips_has(const struct own_ips *own, struct span text)
{
	struct ip ip;

	if (!ip_parse(text, &ip))
		return false;
	for (size_t i = 0; i < own->count; i++)
		if (own->ips[i].family == ip.family &&
		    memcmp(own->ips[i].bytes, ip.bytes,
			   ip.family == AF_INET ? 4 : 16) == 0)
			return true;
	return false;
}
