/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_policy - what a destination demands of the connection to it:
 * smtp_tls_policy_maps, smtp_tls_security_level and their older forms.
 *
 * Errors   RC_CONF, RC_TEMP 4.7.5: the table fails or its answer is not
 *          understood; mail waits, the connection is never made weaker
 * Owner    a child of mem
 */
#pragma once

#include "deliver/smtp/nexthop.h"
#include "deliver/smtp/settings.h"
#include "net/tls.h"

enum { TLS_MATCH_MAX = 64 };

struct smtp_tls_policy {
	enum tls_level level;
	const char *protocols, *ciphers, *exclude; /* NULL: as configured */
	const char *servername;
	const char *match[TLS_MATCH_MAX];
	size_t match_count;
};

MUST_CHECK enum rc
smtp_tls_policy_find(TALLOC_CTX *mem, const struct smtp_settings *settings,
		     struct maps *policy_maps, const struct nexthop *hop,
		     struct smtp_tls_policy **ret_policy, struct fault *fault);
