/* SPDX-License-Identifier: Apache-2.0 */
#include "net/endpoint.h"

#include <fcntl.h>
#include <netdb.h>

#include "base/clock.h"
#include "net/connect.h"
#include "net/listen.h"
#include "sys/socket_unix.h"

enum { ADDRESSES_MAX = 16 };

static enum rc inet_parse(struct net_endpoint *endpoint, struct span text,
			  uint16_t default_port, struct fault *fault)
{
	struct dns_config config = { .timeout_ms = endpoint->timeout_ms };
	struct span host, port;

	endpoint->port = default_port;
	if (!net_host_port_split(text, &host, &port) || host.len == 0 ||
	    (port.len == 0 && default_port == 0) ||
	    (port.len > 0 && !net_port_parse(port, &endpoint->port)))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "%s: expecting inet:host:port or unix:path",
				 endpoint->text);
	endpoint->host = mem_span_dup(endpoint, host);
	return dns_open(endpoint, &config, &endpoint->dns, fault);
}

enum rc net_endpoint_parse(TALLOC_CTX *mem, struct span text,
			   uint16_t default_port, int timeout_ms,
			   struct net_endpoint **ret_endpoint,
			   struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct net_endpoint *endpoint = mem_new(tmp, struct net_endpoint);
	bool is_unix = span_starts(text, "unix:");
	enum rc rc = RC_OK;

	endpoint->text = mem_span_dup(endpoint, text);
	endpoint->timeout_ms = timeout_ms;
	if (is_unix || span_starts(text, "inet:"))
		text = span_skip(text, strlen("inet:"));
	else
		is_unix = span_starts(text, "/");
	if (is_unix && text.len == 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "%s: expecting unix:path", endpoint->text);
	if (is_unix)
		endpoint->path = mem_span_dup(endpoint, text);
	else
		rc = inet_parse(endpoint, text, default_port, fault);
	if (rc == RC_OK)
		*ret_endpoint = talloc_steal(mem, endpoint);
	return rc;
}

static size_t add_address(struct net_address *list, size_t count,
			  const struct net_address *address, uint16_t port)
{
	if (count < ADDRESSES_MAX) {
		list[count] = *address;
		net_address_set_port(&list[count++], port);
	}
	return count;
}

/* What the system's resolver makes of it: it knows which domains to search. */
static enum rc system_addresses(const struct net_endpoint *endpoint,
				struct net_address *list, size_t *ret_count,
				struct fault *fault)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	size_t count = 0;
	int error = getaddrinfo(endpoint->host, NULL, &hints, &found);

	if (error != 0)
		return fault_set(fault, RC_TEMP, "4.4.3", "host not found: %s",
				 gai_strerror(error));
	for (struct addrinfo *i = found; i != NULL; i = i->ai_next) {
		struct net_address address;

		if (net_address_from(i->ai_addr, i->ai_addrlen, &address))
			count = add_address(list, count, &address,
					    endpoint->port);
	}
	freeaddrinfo(found);
	*ret_count = count;
	return RC_OK;
}

static enum rc find_addresses(const struct net_endpoint *endpoint,
			      struct net_address *list, size_t *ret_count,
			      struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct dns_host *host;
	enum rc rc;

	*ret_count = 0;
	rc = dns_host_addresses(tmp, endpoint->dns, endpoint->host, DNS_BOTH,
				&host, fault);
	for (size_t i = 0; rc == RC_OK && i < host->count; i++)
		*ret_count = add_address(list, *ret_count, &host->addresses[i],
					 endpoint->port);
	if (rc == RC_NONE && strchr(endpoint->host, '.') == NULL)
		rc = system_addresses(endpoint, list, ret_count, fault);
	if (rc == RC_NONE)
		rc = fault_set(fault, RC_TEMP, "4.4.3", "host not found");
	return rc;
}

/* 0: the time is up. */
static int time_left_ms(uint64_t until_ms)
{
	uint64_t now_ms = clock_mono_ms();

	return now_ms < until_ms ? (int)(until_ms - now_ms) : 0;
}

static enum rc inet_connect(const struct net_endpoint *endpoint, int *ret_fd,
			    struct fault *fault)
{
	uint64_t until_ms = clock_mono_ms() + (uint64_t)endpoint->timeout_ms;
	struct net_address list[ADDRESSES_MAX];
	size_t count;
	enum rc rc = find_addresses(endpoint, list, &count, fault);

	if (rc != RC_OK)
		return rc;
	rc = fault_set(fault, RC_TEMP, "4.4.3", "host has no address");
	for (size_t i = 0; i < count; i++) {
		int left_ms = time_left_ms(until_ms);

		if (left_ms == 0)
			return fault_set(fault, RC_TEMP, "4.4.1",
					 "Connection timed out");
		/* One address that does not answer leaves time for others. */
		if (i + 1 < count)
			left_ms = left_ms / 2 + 1;
		rc = net_connect(&list[i], NULL, left_ms, ret_fd, fault);
		if (rc == RC_OK)
			break;
	}
	return rc;
}

enum rc net_endpoint_connect(TALLOC_CTX *mem,
			     const struct net_endpoint *endpoint,
			     struct net_stream **ret_stream,
			     struct fault *fault)
{
	struct net_stream *stream;
	enum rc rc;
	int fd;

	if (endpoint->path != NULL)
		rc = socket_unix_connect_within(AT_FDCWD, endpoint->path,
						endpoint->timeout_ms, &fd,
						fault);
	else
		rc = inet_connect(endpoint, &fd, fault);
	if (rc != RC_OK) {
		fault_add(fault, "%s", endpoint->text);
		return RC_TEMP;
	}
	stream = net_stream_new(mem, fd);
	net_stream_set_timeout(stream, endpoint->timeout_ms);
	*ret_stream = stream;
	return RC_OK;
}
