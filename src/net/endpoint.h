/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoint - where a service is that this server asks: a table server, a policy
 * server.
 *
 * Shape    "inet:host:port", "inet:[2001:db8::1]:port", "unix:path"; the port
 *          is a number or a name of services(5)
 * Names    the hosts file and DNS as read when the endpoint was made, so that
 *          they work after a chroot; a name without a dot that neither knows is
 *          asked of the system's resolver, which may complete it
 * Errors   RC_CONF not an endpoint; RC_TEMP cannot be reached: the text has the
 *          endpoint and the reason: "inet:db.example:6379: Connection refused"
 * Threads  immutable; any thread may connect
 */
#pragma once

#include "net/dns.h"
#include "net/stream.h"

struct net_endpoint {
	const char *text; /* "inet:localhost:11211" */
	const char *path; /* of unix:, else NULL */
	const char *host; /* of inet:, without brackets */
	uint16_t port;
	int timeout_ms; /* to find and reach it; the stream's, too */
	struct dns *dns;
};

/* Without "inet:" or "unix:" in front, text that begins with '/' is a path and
 * other text is of inet:. default_port 0: there must be one. */
MUST_CHECK enum rc net_endpoint_parse(TALLOC_CTX *mem, struct span text,
				      uint16_t default_port, int timeout_ms,
				      struct net_endpoint **ret_endpoint,
				      struct fault *fault);
/* Connect to one of its addresses. */
MUST_CHECK enum rc net_endpoint_connect(TALLOC_CTX *mem,
					const struct net_endpoint *endpoint,
					struct net_stream **ret_stream,
					struct fault *fault);
