/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nexthop - where a delivery is to go, as transport tables and relayhost say
 * it: example.test  example.test:587  [mx.example.test]:587  [192.0.2.1]
 * [IPv6:2001:db8::1]  and for lmtp also unix:path and inet:host:port.
 *
 * Errors   RC_CONF: not one of these, or a port that does not exist
 */
#pragma once

#include "base/fault.h"
#include "base/mem.h"

struct nexthop {
	const char *text;      /* as given: the key of TLS policy and SASL */
	const char *host;      /* without [ ] and IPv6: */
	const char *unix_path; /* or NULL */
	uint16_t port;
	bool literal_host; /* in [ ]: no MX lookup */
	bool has_port;
};

MUST_CHECK enum rc nexthop_parse(TALLOC_CTX *mem, struct span text, bool lmtp,
				 const char *default_port,
				 struct nexthop *ret_nexthop,
				 struct fault *fault);
