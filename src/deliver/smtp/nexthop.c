/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/smtp/nexthop.h"

#include "net/listen.h"

static enum rc bad_nexthop(struct span text, struct fault *fault)
{
	return fault_set(fault, RC_CONF, "4.3.5",
			 "bad next hop \"%.*s\": [host] or host, and :port",
			 SPAN_FMT(text));
}

/* "[2001:db8::1]" without brackets has more than one colon. */
static bool is_bare_ipv6(struct span text)
{
	return span_find(text, ':') >= 0 &&
	       span_find(text, ':') != span_rfind(text, ':');
}

enum rc nexthop_parse(TALLOC_CTX *mem, struct span text, bool lmtp,
		      const char *default_port, struct nexthop *ret_nexthop,
		      struct fault *fault)
{
	struct nexthop hop = {.text = mem_span_dup(mem, text)};
	struct span rest = text, port = span_from(default_port), host;
	ssize_t at;

	if (lmtp && span_starts_nocase(rest, "unix:")) {
		hop.host = hop.unix_path =
		    mem_span_dup(mem, span_skip(rest, 5));
		*ret_nexthop = hop;
		return RC_OK;
	}
	if (lmtp && span_starts_nocase(rest, "inet:"))
		rest = span_skip(rest, 5);
	if (span_starts(rest, "[")) {
		at = span_find(rest, ']');
		if (at < 2)
			return bad_nexthop(text, fault);
		hop.literal_host = true;
		host = span_take(span_skip(rest, 1), (size_t)at - 1);
		rest = span_skip(rest, (size_t)at + 1);
		if (rest.len > 0 && rest.ptr[0] != ':')
			return bad_nexthop(text, fault);
		hop.has_port = rest.len > 0;
	} else {
		at = is_bare_ipv6(rest) ? -1 : span_find(rest, ':');
		hop.has_port = at >= 0;
		host = at >= 0 ? span_take(rest, (size_t)at) : rest;
		rest = span_skip(rest, host.len);
	}
	if (hop.has_port)
		port = span_skip(rest, 1);
	if (span_starts_nocase(host, "ipv6:"))
		host = span_skip(host, 5);
	if (host.len == 0)
		return bad_nexthop(text, fault);
	if (!net_port_parse(port, &hop.port))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "unknown service: %.*s/tcp", SPAN_FMT(port));
	hop.host = mem_span_dup(mem, host);
	*ret_nexthop = hop;
	return RC_OK;
}
