/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrite - address forms and mapping: completes an address (append_at_myorigin,
 * append_dot_mydomain, swap_bangpath, allow_percent_hack), and looks it up in
 * address tables in the order of the reference (inventory 5.2, 6).
 *
 * Threads  immutable after open; any thread
 */
#pragma once

#include "map/map.h"
#include "rule/resolve.h"

enum rewrite_context { REWRITE_LOCAL, REWRITE_REMOTE };

/* Internal form in, internal form out (child of mem). Idempotent. "" stays "".
 * With REWRITE_REMOTE remote_header_rewrite_domain is appended. */
char *rewrite_address(TALLOC_CTX *mem, const struct conf *conf,
		      enum rewrite_context context, struct span address);

enum address_find { /* keys tried, in this order */
	FIND_FULL = 1,	      /* user+ext@domain */
	FIND_NO_EXTENSION = 2, /* user@domain */
	FIND_LOCALPART = 4,   /* user+ext, user: only when the domain is ours */
	FIND_AT_DOMAIN = 8,   /* @domain */
	FIND_DEFAULT = FIND_FULL | FIND_NO_EXTENSION | FIND_LOCALPART |
		       FIND_AT_DOMAIN,
};

/* *ret_extension (may be NULL): "+ext" that the matching key did not have, to be
 * propagated, or "". */
MUST_CHECK enum rc address_find(struct maps *maps, struct resolver *resolver,
				const struct conf *conf, TALLOC_CTX *mem,
				struct span address, int strategy,
				struct span *ret_value,
				struct span *ret_extension,
				struct fault *fault);
