/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ldap_quote - text of others as a value in a search filter (RFC 4515) or in a
 * DN (RFC 4514). Both are of type query_quote_fn; arg is not used.
 */
#pragma once

#include "map/query.h"

bool ldap_quote_filter(void *arg, struct span raw, struct buf *out);
bool ldap_quote_dn(void *arg, struct span raw, struct buf *out);
