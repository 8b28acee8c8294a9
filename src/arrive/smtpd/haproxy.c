/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/haproxy.h"

#include <arpa/inet.h>

enum {
	HEAD_BYTES = 16,
	VERSION_2 = 0x20,
	COMMAND_LOCAL = 0,
	COMMAND_PROXY = 1,
	FAMILY_TCP4 = 0x11,
	FAMILY_TCP6 = 0x21,
};

#define SIGNATURE SPAN("\r\n\r\n\0\r\nQUIT\n")

static enum rc refuse(struct fault *fault, const char *text)
{
	return fault_set(fault, RC_PERM, "4.3.0", "%s", text);
}

/* ---- version 1 ---- */

static bool take_address(struct span *rest, int family,
			 struct net_address *ret_address)
{
	struct span word;

	return span_token(rest, " ", &word) &&
	       net_address_parse(word, ret_address) &&
	       ret_address->sa.sa_family == family;
}

static bool take_port(struct span *rest, struct net_address *address)
{
	struct span word;
	uint64_t port;

	if (!span_token(rest, " ", &word) || !span_to_u64(word, 65535, &port))
		return false;
	net_address_set_port(address, (uint16_t)port);
	return true;
}

static enum rc parse_line(struct span line, struct haproxy *haproxy,
			  struct fault *fault)
{
	struct span word;
	int family;

	if (!span_token(&line, " ", &word) || !span_is(word, "PROXY"))
		return refuse(fault, "unrecognized protocol header");
	if (!span_token(&line, " ", &word))
		return refuse(fault, "bad or missing protocol type");
	if (span_is(word, "TCP4"))
		family = AF_INET;
	else if (span_is(word, "TCP6"))
		family = AF_INET6;
	else
		return refuse(fault, "bad or missing protocol type");
	if (!take_address(&line, family, &haproxy->client))
		return refuse(fault, "bad or missing client address");
	if (!take_address(&line, family, &haproxy->server))
		return refuse(fault, "bad or missing server address");
	if (!take_port(&line, &haproxy->client))
		return refuse(fault, "bad or missing client port");
	if (!take_port(&line, &haproxy->server))
		return refuse(fault, "bad or missing server port");
	return RC_OK;
}

static enum rc parse_version_1(struct span bytes, struct haproxy *haproxy,
			       size_t *ret_size, struct fault *fault)
{
	ssize_t lf = span_find(bytes, '\n');
	struct span line;

	if (lf < 0)
		return bytes.len < HAPROXY_MAX_BYTES
			       ? RC_NONE
			       : refuse(fault,
					"missing protocol header terminator");
	line = span_take(bytes, (size_t)lf);
	if (span_ends(line, "\r"))
		line = span_take(line, line.len - 1);
	*ret_size = (size_t)lf + 1;
	return parse_line(line, haproxy, fault);
}

/* ---- version 2 ---- */

static uint16_t number(const char *at)
{
	return (uint16_t)((unsigned char)at[0] << 8 | (unsigned char)at[1]);
}

/* Client, server, their ports. */
static enum rc parse_block(struct span block, int family,
			   struct haproxy *haproxy, struct fault *fault)
{
	size_t size = family == AF_INET ? 4 : 16;
	struct net_address *const addresses[] = { &haproxy->client,
						  &haproxy->server };

	if (block.len < 2 * size + 4)
		return refuse(fault, "short address field");
	for (size_t i = 0; i < 2; i++) {
		char text[INET6_ADDRSTRLEN];

		/* one way to make an address, for mapped ones too */
		if (inet_ntop(family, block.ptr + i * size, text,
			      sizeof(text)) == NULL ||
		    !net_address_parse(span_from(text), addresses[i]))
			return refuse(fault, "bad address field");
		net_address_set_port(addresses[i],
				     number(block.ptr + 2 * size + 2 * i));
	}
	return RC_OK;
}

static enum rc parse_version_2(struct span bytes, struct haproxy *haproxy,
			       size_t *ret_size, struct fault *fault)
{
	unsigned int command, family;
	size_t size;

	if (bytes.len < HEAD_BYTES)
		return RC_NONE;
	command = (unsigned char)bytes.ptr[12];
	family = (unsigned char)bytes.ptr[13];
	size = HEAD_BYTES + number(bytes.ptr + 14);
	if ((command & 0xf0) != VERSION_2)
		return refuse(fault, "unrecognized protocol version");
	if (size > HAPROXY_MAX_BYTES)
		return refuse(fault, "too long version 2 protocol header");
	if (bytes.len < size)
		return RC_NONE;
	*ret_size = size;
	bytes = span_skip(span_take(bytes, size), HEAD_BYTES);
	switch (command & 0xf) {
	case COMMAND_LOCAL:
		haproxy->is_local = true;
		return RC_OK;
	case COMMAND_PROXY:
		if (family == FAMILY_TCP4 || family == FAMILY_TCP6)
			return parse_block(bytes,
					   family == FAMILY_TCP4 ? AF_INET
								 : AF_INET6,
					   haproxy, fault);
		return refuse(fault, "unsupported network protocol");
	default:
		return refuse(fault, "bad command in proxy header");
	}
}

enum rc haproxy_parse(struct span bytes, struct haproxy *ret_haproxy,
		      size_t *ret_size, struct fault *fault)
{
	struct span signature = SIGNATURE;
	struct span begin;
	struct haproxy haproxy = { 0 };
	size_t size = 0;
	enum rc rc;

	bytes = span_take(bytes, MIN_OF(bytes.len, (size_t)HAPROXY_MAX_BYTES));
	begin = span_take(bytes, signature.len);
	if (bytes.len == 0)
		return RC_NONE;
	/* No mail client begins with an empty line. */
	if (span_eq(begin, span_take(signature, begin.len)))
		rc = begin.len < signature.len
			     ? RC_NONE
			     : parse_version_2(bytes, &haproxy, &size, fault);
	else
		rc = parse_version_1(bytes, &haproxy, &size, fault);
	if (rc != RC_OK)
		return rc;
	*ret_haproxy = haproxy;
	*ret_size = size;
	return RC_OK;
}
