/* SPDX-License-Identifier: Apache-2.0 */
#include "map/net_pattern.h"

#include <arpa/inet.h>
#include <stdio.h>

static const char host_bits[] = "non-null host address bits";

static struct span without_brackets(struct span text)
{
	if (text.len > 2 && text.ptr[0] == '[' && span_ends(text, "]"))
		return (struct span){ text.ptr + 1, text.len - 2 };
	return text;
}

bool net_pattern_address_parse(struct span text,
			       struct net_address *ret_address)
{
	char copy[INET6_ADDRSTRLEN];
	struct net_address address = { 0 };

	text = without_brackets(text);
	if (span_starts_nocase(text, "IPv6:"))
		text = span_skip(text, strlen("IPv6:"));
	if (text.len == 0 || text.len >= sizeof(copy) ||
	    span_find(text, '\0') >= 0)
		return false;
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	if (inet_pton(AF_INET, copy, address.bytes) == 1) {
		address.size = 4;
	} else if (inet_pton(AF_INET6, copy, address.bytes) == 1) {
		address.size = 16;
	} else {
		return false;
	}
	*ret_address = address;
	return true;
}

static bool bits_are_zero(const struct net_address *address, unsigned int from)
{
	for (unsigned int bit = from; bit < address->size * 8; bit++)
		if (address->bytes[bit / 8] & (0x80 >> bit % 8))
			return false;
	return true;
}

const char *net_pattern_parse(struct span text, struct net_pattern *ret_pattern)
{
	struct net_pattern pattern = { 0 };
	struct span host = without_brackets(text);
	ssize_t slash = span_rfind(host, '/');
	uint64_t prefix, any;

	if (slash < 0) {
		if (!net_pattern_address_parse(host, &pattern.address))
			return "bad address pattern";
		pattern.prefix = pattern.address.size * 8;
		*ret_pattern = pattern;
		return NULL;
	}
	if (!net_pattern_address_parse(span_take(host, (size_t)slash),
				       &pattern.address))
		return "bad address pattern";
	host = span_skip(host, (size_t)slash + 1);
	if (!span_to_u64(host, UINT64_MAX, &any))
		return "bad mask value";
	if (!span_to_u64(host, pattern.address.size * 8, &prefix))
		return "bad mask length";
	pattern.prefix = (unsigned int)prefix;
	if (!bits_are_zero(&pattern.address, pattern.prefix)) {
		*ret_pattern = pattern; /* to say what was meant */
		return host_bits;
	}
	*ret_pattern = pattern;
	return NULL;
}

/* The network that an address with host bits is in. */
static void network_text(const struct net_pattern *pattern, char *text,
			 size_t size)
{
	unsigned char bytes[16];
	char address[INET6_ADDRSTRLEN];

	for (unsigned int i = 0; i < pattern->address.size; i++) {
		unsigned int bits =
			pattern->prefix > 8 * i
				? MIN_OF(pattern->prefix - 8 * i, 8u)
				: 0;

		bytes[i] = pattern->address.bytes[i] & (0xff00u >> bits) & 0xff;
	}
	if (inet_ntop(pattern->address.size == 4 ? AF_INET : AF_INET6, bytes,
		      address, sizeof(address)) == NULL)
		address[0] = '\0';
	snprintf(text, size, "%s/%u", address, pattern->prefix);
}

const char *net_pattern_parse_or_say(struct span text,
				     struct net_pattern *ret_pattern,
				     char problem[NET_PATTERN_PROBLEM_MAX])
{
	const char *what = net_pattern_parse(text, ret_pattern);
	char network[INET6_ADDRSTRLEN + 8];
	int shown = (int)MIN_OF(text.len, (size_t)100);

	if (what == NULL)
		return NULL;
	if (what == host_bits) {
		struct span plain = without_brackets(text);

		network_text(ret_pattern, network, sizeof(network));
		snprintf(problem, NET_PATTERN_PROBLEM_MAX,
			 "%s in \"%.*s\", perhaps you should use \"%s\" "
			 "instead",
			 what, (int)MIN_OF(plain.len, (size_t)100), plain.ptr,
			 network);
		return problem;
	}
	snprintf(problem, NET_PATTERN_PROBLEM_MAX, "%s%s \"%.*s\"", what,
		 span_starts(span_from(what), "bad mask") ? " in" : ":", shown,
		 text.ptr);
	return problem;
}

/* Digits and dots only, or a colon or bracket, before the mask. */
bool net_pattern_looks_like(struct span text)
{
	ssize_t slash = span_find(text, '/');
	struct span host = slash < 0 ? text : span_take(text, (size_t)slash);

	if (span_find(host, ':') >= 0 || span_find(host, '[') >= 0)
		return true;
	for (size_t i = 0; i < host.len; i++)
		if (!ascii_is_digit(host.ptr[i]) && host.ptr[i] != '.')
			return false;
	return host.len > 0;
}

bool net_pattern_match(const struct net_pattern *pattern,
		       const struct net_address *address)
{
	unsigned int whole = pattern->prefix / 8, bits = pattern->prefix % 8;

	if (pattern->address.size != address->size ||
	    memcmp(pattern->address.bytes, address->bytes, whole) != 0)
		return false;
	if (bits == 0)
		return true;
	return ((pattern->address.bytes[whole] ^ address->bytes[whole]) &
		(0xff00u >> bits) & 0xff) == 0;
}
