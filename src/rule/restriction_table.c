/* SPDX-License-Identifier: Apache-2.0 */
/* The words of restriction lists. */
#include "rule/restriction_access.h"
#include "rule/restriction_rules.h"

/* clang-format off */
#define HOST_ACCESS(subject, kind)                                            \
	{ "check_" subject "_a_access", TAKES_TABLE, rule_check_host, HOST_##kind##_A, rule_host_ahead }, \
	{ "check_" subject "_mx_access", TAKES_TABLE, rule_check_host, HOST_##kind##_MX, rule_host_ahead }, \
	{ "check_" subject "_ns_access", TAKES_TABLE, rule_check_host, HOST_##kind##_NS, rule_host_ahead }
#define ACCESS(subject, class)                                                \
	{ "check_" subject "_access", TAKES_TABLE, rule_check_access, class, NULL }
#define BLOCKLIST(word, traits, class)                                        \
	{ word, TAKES_WORD | (traits), rule_blocklist, class, rule_blocklist_ahead }
#define RULE(word, run) { word, 0, rule_run_##run, 0, NULL }

static const struct rule_def defs[] = {
	{ "permit", ENDS_LIST, rule_run_permit, 0, NULL },
	{ "reject", GUARDS_RELAY, rule_run_reject, 0, NULL },
	{ "defer", GUARDS_RELAY, rule_run_defer, 0, NULL },
	{ "defer_if_permit", GUARDS_RELAY, rule_run_defer_if_permit, 0, NULL },
	RULE("defer_if_reject", defer_if_reject),
	{ "warn_if_reject", NEXT_ONLY_WARNS, rule_run_dunno, 0, NULL },
	{ "sleep", TAKES_WORD, rule_run_sleep, 0, NULL },
	{ "check_policy_service", TAKES_POLICY, rule_run_policy, 0, NULL },
	RULE("reject_unauth_pipelining", unauth_pipelining),
	RULE("reject_multi_recipient_bounce", multi_recipient_bounce),
	RULE("reject_plaintext_session", plaintext_session),

	RULE("permit_mynetworks", permit_mynetworks),
	RULE("permit_inet_interfaces", permit_inet_interfaces),
	RULE("permit_sasl_authenticated", permit_sasl),
	RULE("permit_tls_all_clientcerts", permit_all_clientcerts),
	RULE("permit_tls_clientcerts", permit_clientcerts),
	RULE("reject_unknown_client_hostname", unknown_client),
	RULE("reject_unknown_client", unknown_client),
	RULE("reject_unknown_reverse_client_hostname", unknown_reverse),
	ACCESS("client", CLASS_OF_CLIENT),
	HOST_ACCESS("client", CLIENT),
	ACCESS("reverse_client_hostname", CLASS_OF_REVERSE_CLIENT),
	HOST_ACCESS("reverse_client_hostname", REVERSE),
	ACCESS("ccert", CLASS_OF_CERT),
	ACCESS("sasl", CLASS_OF_LOGIN),
	BLOCKLIST("reject_rbl_client", BY_ADDRESS, CLASS_OF_CLIENT),
	BLOCKLIST("reject_rbl", BY_ADDRESS, CLASS_OF_CLIENT),
	BLOCKLIST("reject_rhsbl_client", 0, CLASS_OF_CLIENT),
	BLOCKLIST("reject_rhsbl_reverse_client", 0, CLASS_OF_REVERSE_CLIENT),
	BLOCKLIST("permit_dnswl_client", BY_ADDRESS | PERMITS, CLASS_OF_CLIENT),
	BLOCKLIST("permit_rhswl_client", PERMITS, CLASS_OF_CLIENT),

	ACCESS("helo", CLASS_OF_HELO),
	HOST_ACCESS("helo", HELO),
	RULE("reject_invalid_helo_hostname", invalid_helo),
	RULE("reject_invalid_hostname", invalid_helo),
	RULE("reject_non_fqdn_helo_hostname", non_fqdn_helo),
	RULE("reject_non_fqdn_hostname", non_fqdn_helo),
	{ "reject_unknown_helo_hostname", 0, rule_run_unknown_helo, 0, rule_unknown_helo_ahead },
	{ "reject_unknown_hostname", 0, rule_run_unknown_helo, 0, rule_unknown_helo_ahead },
	BLOCKLIST("reject_rhsbl_helo", 0, CLASS_OF_HELO),

	ACCESS("sender", CLASS_OF_SENDER),
	HOST_ACCESS("sender", SENDER),
	{ "reject_authenticated_sender_login_mismatch", 0, rule_run_login, LOGIN_AUTHENTICATED, NULL },
	{ "reject_known_sender_login_mismatch", 0, rule_run_login, LOGIN_KNOWN, NULL },
	{ "reject_unauthenticated_sender_login_mismatch", 0, rule_run_login, LOGIN_UNAUTHENTICATED, NULL },
	{ "reject_sender_login_mismatch", 0, rule_run_login, LOGIN_AUTHENTICATED | LOGIN_UNAUTHENTICATED, NULL },
	{ "reject_non_fqdn_sender", 0, rule_run_non_fqdn_address, CLASS_OF_SENDER, NULL },
	{ "reject_unknown_sender_domain", 0, rule_run_unknown_domain, CLASS_OF_SENDER, rule_unknown_domain_ahead },
	{ "reject_unknown_address", 0, rule_run_unknown_domain, CLASS_OF_SENDER, rule_unknown_domain_ahead },
	BLOCKLIST("reject_rhsbl_sender", 0, CLASS_OF_SENDER),
	{ "reject_unlisted_sender", 0, rule_unlisted_sender, 0, NULL },
	{ "reject_unverified_sender", 0, rule_unverified, CLASS_OF_SENDER, NULL },

	ACCESS("recipient", CLASS_OF_RECIPIENT),
	HOST_ACCESS("recipient", RECIPIENT),
	{ "permit_auth_destination", 0, rule_permit_auth, CLASS_OF_RECIPIENT, NULL },
	{ "permit_mx_backup", 0, rule_run_mx_backup, CLASS_OF_RECIPIENT, rule_mx_backup_ahead },
	{ "reject_unauth_destination", GUARDS_RELAY, rule_run_unauth_destination, 0, NULL },
	{ "defer_unauth_destination", GUARDS_RELAY, rule_run_unauth_destination, 100, NULL },
	{ "reject_non_fqdn_recipient", 0, rule_run_non_fqdn_address, CLASS_OF_RECIPIENT, NULL },
	{ "reject_unknown_recipient_domain", 0, rule_run_unknown_domain, CLASS_OF_RECIPIENT, rule_unknown_domain_ahead },
	BLOCKLIST("reject_rhsbl_recipient", 0, CLASS_OF_RECIPIENT),
	{ "reject_unlisted_recipient", 0, rule_unlisted_recipient, 0, NULL },
	{ "check_recipient_maps", 0, rule_unlisted_recipient, 0, NULL },
	{ "reject_unverified_recipient", 0, rule_unverified, CLASS_OF_RECIPIENT, NULL },

	ACCESS("etrn", CLASS_OF_ETRN),

	{ "permit_naked_ip_address", 0, rule_run_removed, REMOVED_NAKED_IP, NULL },
	{ "reject_maps_rbl", 0, rule_run_removed, REMOVED_MAPS_RBL, NULL },
	{ "check_relay_domains", 0, rule_run_removed, REMOVED_RELAY_DOMAINS, NULL },
};
/* clang-format on */

const struct rule_def *rule_def_find(struct span word)
{
	for (size_t i = 0; i < ARRAY_LEN(defs); i++)
		if (span_is_nocase(word, defs[i].name))
			return &defs[i];
	return NULL;
}

const struct rule_def *rule_def_at(size_t i)
{
	return i < ARRAY_LEN(defs) ? &defs[i] : NULL;
}
