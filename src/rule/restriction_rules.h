/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restriction_rules - the functions behind the words of restriction_table.c.
 *
 * run     looks at ev->request, and at item->arg or its table
 * ahead   begins the questions to DNS that run may have to ask
 */
#pragma once

#include "rule/restriction_priv.h"

/* item->def->arg of check_..._{a,mx,ns}_access */
enum rule_host_kind {
#define HOST_KINDS(name) HOST_##name##_A, HOST_##name##_MX, HOST_##name##_NS
	HOST_KINDS(CLIENT),
	HOST_KINDS(REVERSE),
	HOST_KINDS(HELO),
	HOST_KINDS(SENDER),
	HOST_KINDS(RECIPIENT),
#undef HOST_KINDS
};

enum rule_login_kind { /* bits */
		       LOGIN_AUTHENTICATED = 1,
		       LOGIN_UNAUTHENTICATED = 2,
		       LOGIN_KNOWN = 4,
};

enum rule_removed { REMOVED_NAKED_IP, REMOVED_MAPS_RBL, REMOVED_RELAY_DOMAINS };

#define RUN(name)                                           \
	enum rule_result rule_##name(struct evaluation *ev, \
				     const struct rule_item *item)
#define AHEAD(name)                                     \
	void rule_##name##_ahead(struct evaluation *ev, \
				 const struct rule_item *item)
/* restriction_generic.c */
RUN(run_permit);
RUN(run_dunno);
RUN(run_reject);
RUN(run_defer);
RUN(run_defer_if_permit);
RUN(run_defer_if_reject);
RUN(run_sleep);
RUN(run_unauth_pipelining);
RUN(run_multi_recipient_bounce);
RUN(run_plaintext_session);
RUN(run_removed);
/* restriction_client.c */
RUN(run_permit_mynetworks);
RUN(run_permit_inet_interfaces);
RUN(run_permit_sasl);
RUN(run_permit_all_clientcerts);
RUN(run_permit_clientcerts);
RUN(run_unknown_client);
RUN(run_unknown_reverse);
RUN(run_login);
/* restriction_name.c */
RUN(run_invalid_helo);
RUN(run_non_fqdn_helo);
RUN(run_non_fqdn_address);
RUN(run_unknown_helo);
AHEAD(unknown_helo);
RUN(run_unknown_domain);
AHEAD(unknown_domain);
/* restriction_destination.c */
RUN(run_unauth_destination);
RUN(run_mx_backup);
AHEAD(mx_backup);
/* restriction_host.c */
RUN(check_host);
AHEAD(host);
/* restriction_blocklist.c */
RUN(blocklist);
AHEAD(blocklist);
/* restriction_policy.c */
RUN(run_policy);
#undef RUN
#undef AHEAD

/* Refuse for now, or later if nothing else does, as NAME_tempfail_action says
 * ("defer", "defer_if_permit"). */
enum rule_result rule_tempfail(struct evaluation *ev, const char *action,
			       int code, const char *dsn, const char *text);
