/* SPDX-License-Identifier: Apache-2.0 */
/*
 * match_list - lists of patterns: mydestination, mynetworks, debug_peer_list...
 *
 * Elements  literal, .domain, /file, type:table, address, net/mask, [v6]/len,
 *           !element (negates). The first match wins.
 * Names     in parent_domain_matches_subdomains: a domain also matches what is
 *           below it; else .domain does that. mydestination, virtual_*_domains
 *           and lists of users or words match whole names only.
 * Errors    RC_OK matches, RC_NONE does not, RC_TEMP a table failed (never "no
 *           match"); a malformed element is RC_CONF at open
 * Change    a /file that changed is read again within a second; one that is gone
 *           or malformed then is a warning, and the list stays as it was
 * Threads   any thread may ask
 */
#pragma once

#include "map/map.h"

struct match_list;

/* Parent domains match when `parameter` is in
 * parent_domain_matches_subdomains. */
MUST_CHECK enum rc match_list_open(TALLOC_CTX *mem, const struct conf *conf,
				   const char *parameter, const char *text,
				   struct match_list **ret_list,
				   struct fault *fault);
/* RC_OK with a text in *fault: a table in it cannot be opened now. */
bool match_list_is_empty(const struct match_list *list);
MUST_CHECK enum rc match_list_domain(const struct match_list *list,
				     struct span domain, struct fault *fault);
/* name may be empty or "unknown"; address "127.0.0.1" or "::1". */
MUST_CHECK enum rc match_list_client(const struct match_list *list,
				     struct span name, struct span address,
				     struct fault *fault);
