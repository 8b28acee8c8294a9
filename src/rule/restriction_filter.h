/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restriction_filter - which answers of a DNS list count.
 *
 * Shape    four elements with dots between: a number, or numbers and ranges in
 *          brackets: 127.0.0.[2..8;11]
 * Threads  no state
 */
#pragma once

#include "net/address.h"

/* An empty filter is valid: every answer counts. */
bool address_filter_is_valid(struct span filter);
/* IPv4 only; the filter is valid and not empty. */
bool address_filter_matches(struct span filter,
			    const struct net_address *address);
