/* SPDX-License-Identifier: Apache-2.0 */
#include "net/listen.h"

#include <errno.h>
#include <netdb.h>
#include <unistd.h>

enum { ADDRESSES_MAX = 1024, HOST_MAX_BYTES = 256, NETDB_BYTES = 4096 };

static const char list_separators[] = ", \t\r\n";

struct address_list {
	TALLOC_CTX *mem;
	struct net_address *items;
	size_t count;
};

static void list_add(struct address_list *list,
		     const struct net_address *address,
		     struct net_protocols protocols)
{
	if (address->sa.sa_family == AF_INET ? !protocols.ipv4
					     : !protocols.ipv6)
		return;
	for (size_t i = 0; i < list->count; i++)
		if (net_address_eq(&list->items[i], address))
			return;
	if (list->count == ADDRESSES_MAX)
		return;
	list->items = mem_resize(list->mem, list->items, struct net_address,
				 list->count + 1);
	list->items[list->count++] = *address;
}

static bool has_ipv6(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

enum rc net_protocols_parse(const char *text,
			    struct net_protocols *ret_protocols,
			    struct fault *fault)
{
	struct net_protocols protocols = { 0 };
	struct span rest = span_from(text), word;

	while (span_token(&rest, list_separators, &word)) {
		if (span_is_nocase(word, "all"))
			protocols = (struct net_protocols){ true, true };
		else if (span_is_nocase(word, "ipv4"))
			protocols.ipv4 = true;
		else if (span_is_nocase(word, "ipv6"))
			protocols.ipv6 = true;
		else
			return fault_set(fault, RC_CONF, "4.3.5",
					 "inet_protocols: unknown protocol "
					 "name: %.*s",
					 SPAN_FMT(word));
	}
	if (protocols.ipv6 && !has_ipv6()) {
		if (!protocols.ipv4)
			return fault_set(fault, RC_CONF, "4.3.5",
					 "inet_protocols: this machine has no "
					 "IPv6");
		protocols.ipv6 = false;
	}
	if (!protocols.ipv4 && !protocols.ipv6)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "inet_protocols: no protocol is named");
	*ret_protocols = protocols;
	return RC_OK;
}

static enum rc name_add(struct address_list *list, struct span name,
			struct net_protocols protocols, struct fault *fault)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	char host[HOST_MAX_BYTES];
	int error;

	if (name.len >= sizeof(host))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "host name too long: %.60s...", name.ptr);
	memcpy(host, name.ptr, name.len);
	host[name.len] = '\0';
	error = getaddrinfo(host, NULL, &hints, &found);
	if (error != 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "host not found: %s: %s", host,
				 gai_strerror(error));
	for (struct addrinfo *i = found; i != NULL; i = i->ai_next) {
		struct net_address address;

		if (net_address_from(i->ai_addr, i->ai_addrlen, &address))
			list_add(list, &address, protocols);
	}
	freeaddrinfo(found);
	return RC_OK;
}

static enum rc loopback_add(struct address_list *list,
			    struct net_protocols protocols, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct net_interface *interfaces;
	size_t count;
	enum rc rc;

	rc = net_interfaces(tmp, &interfaces, &count, fault);
	for (size_t i = 0; rc == RC_OK && i < count; i++)
		if (net_address_is_loopback(&interfaces[i].address))
			list_add(list, &interfaces[i].address, protocols);
	return rc;
}

static enum rc host_add(struct address_list *list, struct span host,
			struct net_protocols protocols, struct fault *fault)
{
	struct net_address address;

	if (!net_address_parse_literal(host, &address))
		return name_add(list, host, protocols, fault);
	list_add(list, &address, protocols);
	return RC_OK;
}

static void any_add(struct address_list *list, struct net_protocols protocols)
{
	const struct net_address any4 = { .in4 = { .sin_family = AF_INET } };
	const struct net_address any6 = { .in6 = { .sin6_family = AF_INET6 } };

	list_add(list, &any4, protocols);
	list_add(list, &any6, protocols);
}

enum rc net_interfaces_parse(TALLOC_CTX *mem, const char *text,
			     struct net_protocols protocols,
			     struct net_address **ret_list, size_t *ret_count,
			     struct fault *fault)
{
	struct address_list list = { .mem = mem };
	struct span rest = span_from(text), word;
	enum rc rc = RC_OK;

	while (rc == RC_OK && span_token(&rest, list_separators, &word)) {
		if (span_is_nocase(word, "all"))
			any_add(&list, protocols);
		else if (span_is_nocase(word, "loopback-only"))
			rc = loopback_add(&list, protocols, fault);
		else
			rc = host_add(&list, word, protocols, fault);
	}
	if (rc != RC_OK) {
		talloc_free(list.items);
		return rc;
	}
	*ret_list = list.items;
	*ret_count = list.count;
	return RC_OK;
}

bool net_port_parse(struct span text, uint16_t *ret_port)
{
	/* For a process that cannot see /etc/services any more. */
	static const struct {
		const char *name;
		uint16_t port;
	} known[] = { { "smtp", 25 },	     { "lmtp", 24 },
		      { "smtps", 465 },	     { "submissions", 465 },
		      { "submission", 587 }, { "domain", 53 } };
	char name[64], room[NETDB_BYTES];
	struct servent entry, *found = NULL;
	uint64_t number;

	if (span_to_u64(text, UINT16_MAX, &number)) {
		if (number == 0)
			return false;
		*ret_port = (uint16_t)number;
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (span_is(text, known[i].name)) {
			*ret_port = known[i].port;
			return true;
		}
	}
	if (text.len == 0 || text.len >= sizeof(name))
		return false;
	memcpy(name, text.ptr, text.len);
	name[text.len] = '\0';
	if (getservbyname_r(name, "tcp", &entry, room, sizeof(room), &found) !=
		    0 ||
	    found == NULL)
		return false;
	*ret_port = ntohs((uint16_t)found->s_port);
	return true;
}

bool net_host_port_split(struct span text, struct span *ret_host,
			 struct span *ret_port)
{
	struct span host = text, port = SPAN("");
	ssize_t at;

	if (span_starts(text, "[")) {
		at = span_find(text, ']');
		if (at < 0)
			return false;
		host = span_take(span_skip(text, 1), (size_t)at - 1);
		port = span_skip(text, (size_t)at + 1);
		if (port.len > 0 && port.ptr[0] != ':')
			return false;
		port = span_skip(port, 1);
	} else {
		at = span_find(text, ':');
		if (at >= 0) {
			host = span_take(text, (size_t)at);
			port = span_skip(text, (size_t)at + 1);
		}
	}
	if (span_find(port, ':') >= 0 || span_find(host, '[') >= 0 ||
	    span_find(host, ']') >= 0)
		return false;
	*ret_host = host;
	*ret_port = port;
	return true;
}

enum rc net_listen_resolve(TALLOC_CTX *mem, const char *service,
			   const char *inet_interfaces,
			   struct net_protocols protocols,
			   struct net_address **ret_list, size_t *ret_count,
			   struct fault *fault)
{
	struct address_list list = { .mem = mem };
	struct span host = SPAN(""), port = span_from(service);
	uint16_t number;
	enum rc rc;

	if (span_find(port, ':') >= 0 &&
	    !net_host_port_split(span_from(service), &host, &port))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "bad host:port form: %s", service);
	if (!net_port_parse(port, &number))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "unknown service: %s/tcp", service);
	if (host.len > 0)
		rc = host_add(&list, host, protocols, fault);
	else
		rc = net_interfaces_parse(mem, inet_interfaces, protocols,
					  &list.items, &list.count, fault);
	if (rc == RC_OK && list.count == 0)
		rc = fault_set(fault, RC_CONF, "4.3.5",
			       "no address of the protocols in inet_protocols");
	if (rc != RC_OK)
		return fault_add(fault, "service %s", service);
	for (size_t i = 0; i < list.count; i++)
		net_address_set_port(&list.items[i], number);
	*ret_list = list.items;
	*ret_count = list.count;
	return RC_OK;
}

static enum rc listen_at(int fd, const struct net_address *address, int backlog,
			 struct fault *fault)
{
	const int on = 1;
	char text[NET_ADDRESS_TEXT_MAX];

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address->sa.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, &address->sa, net_address_size(address)) != 0 ||
	    listen(fd, backlog) != 0)
		return fault_set(fault, RC_CONF, "4.3.5", "bind %s port %u: %m",
				 net_address_text(address, text),
				 (unsigned)net_address_port(address));
	return RC_OK;
}

enum rc net_listen_open(const struct net_address *address, int backlog,
			int *ret_fd, struct fault *fault)
{
	int fd = socket(address->sa.sa_family,
			SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	enum rc rc;

	if (fd < 0)
		return fault_set(fault,
				 errno == EAFNOSUPPORT ? RC_NONE : RC_TEMP,
				 "4.3.0", "socket: %m");
	rc = listen_at(fd, address, backlog, fault);
	if (rc != RC_OK) {
		close(fd);
		return rc;
	}
	*ret_fd = fd;
	return RC_OK;
}
