/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rule_priv - what the files of this folder share.
 */
#pragma once

#include "base/buf.h"
#include "conf/conf.h"
#include "map/map.h"

/* Turn a!b or a%b, an address without @, into its @ form; false, and nothing
 * added, when it is neither or the configuration forbids it. */
bool rewrite_route_address(const struct conf *conf, struct span address,
			   struct buf *out);

/* One key in all tables, the first hit wins. partial: not the whole address, so
 * that pattern tables are not asked. */
MUST_CHECK enum rc maps_lookup_key(struct maps *maps, TALLOC_CTX *mem,
				   struct span key, bool partial,
				   struct span *ret_value,
				   struct fault *fault);

/* The addresses that mail for [address] may use to mean this host:
 * inet_interfaces and proxy_interfaces, read once. */
struct own_ips;
struct own_ips *own_ips_new(TALLOC_CTX *mem,
					const struct conf *conf);
/* ip: "192.0.2.1", "2001:db8::1" */
bool own_ips_has(const struct own_ips *own, struct span ip);
