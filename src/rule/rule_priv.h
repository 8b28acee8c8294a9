/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rule_priv - what the files of this folder share.
 */
#pragma once

#include "base/buf.h"
#include "conf/conf.h"
#include "map/match_list.h"

/* Turn a!b or a%b, an address without @, into its @ form; false, and nothing
 * added, when it is neither or the configuration forbids it. */
bool rewrite_route_address(const struct conf *conf, struct span address,
			   struct buf *out);

/* maps_open and match_list_open; a table that cannot be opened now is a warning
 * in the log, and a failure of each lookup. */
MUST_CHECK enum rc rule_maps_open(TALLOC_CTX *mem, const struct conf *conf,
				  const char *parameter, const char *text,
				  int flags, struct maps **ret_maps,
				  struct fault *fault);
MUST_CHECK enum rc rule_list_open(TALLOC_CTX *mem, const struct conf *conf,
				  const char *parameter, const char *text,
				  struct match_list **ret_list,
				  struct fault *fault);

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
