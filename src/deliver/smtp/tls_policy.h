/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_policy - what a destination demands of the connection to it:
 * smtp_tls_policy_maps, smtp_tls_security_level and their older forms; and,
 * at the levels dane and dane-only, what DNS says about one of its hosts.
 *
 * Errors   RC_CONF, RC_TEMP 4.7.5: the table fails or its answer is not
 *          understood; mail waits, the connection is never made weaker.
 *          What is wrong has been logged, in the reference's words.
 * Owner    a child of mem
 */
#pragma once

#include "deliver/smtp/nexthop.h"
#include "deliver/smtp/settings.h"
#include "net/dns.h"
#include "net/tls.h"

enum { TLS_MATCH_MAX = 64, TLS_TLSA_MAX = 100 };

struct smtp_host;

struct smtp_tls_policy {
	enum tls_level wanted; /* as configured */
	enum tls_level level;  /* for this host: by what DNS has, at dane */
	const char *protocols, *ciphers, *exclude; /* NULL: as configured */
	const char *servername;
	const char *match[TLS_MATCH_MAX];
	size_t match_count;
	const char *anchor_files; /* tafile=; NULL: none */
	/* mx_host_pattern=; only hosts that match one. */
	const char *mx_patterns[TLS_MATCH_MAX];
	size_t mx_pattern_count;
	bool reuse; /* more than one delivery per connection */
	struct tls_tlsa *tlsa;
	size_t tlsa_count;
	const char *tlsa_domain;
	bool tlsa_insecure_mx;
};

/* A line of the table: "secure match=.example.com:example.com". Children of
 * policy. */
MUST_CHECK enum rc smtp_tls_policy_read(const struct smtp_settings *settings,
					const struct nexthop *hop,
					struct span text,
					struct smtp_tls_policy *policy,
					struct fault *fault);
MUST_CHECK enum rc
smtp_tls_policy_find(TALLOC_CTX *mem, const struct smtp_settings *settings,
		     struct maps *policy_maps, const struct nexthop *hop,
		     struct smtp_tls_policy **ret_policy, struct fault *fault);
/* The same for one host of the destination. */
MUST_CHECK enum rc smtp_tls_policy_for_host(
	TALLOC_CTX *mem, const struct smtp_settings *settings, struct dns *dns,
	const struct nexthop *hop, const struct smtp_host *host,
	const struct smtp_tls_policy *policy,
	struct smtp_tls_policy **ret_policy, struct fault *fault);
/* Protocols, ciphers and names that the level needs and the table leaves open.
 */
void smtp_tls_policy_complete(const struct smtp_settings *settings,
			      struct smtp_tls_policy *policy);
/* Two connections of a next hop whose texts are the same are as good. */
char *smtp_tls_policy_text(TALLOC_CTX *mem,
			   const struct smtp_tls_policy *policy);
