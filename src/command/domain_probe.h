/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_probe - the mail hosts of a domain and the TLS of each, and what
 * could be demanded of them.
 *
 * Errors   none: what failed is part of the answer
 * Owner    answers are children of mem
 * Threads  one context, any number of domains at once
 */
#pragma once

#include "command/smtp_probe.h"
#include "conf/conf.h"
#include "deliver/smtp/route.h"
#include "net/tls_chain.h"

struct domain_probe_options {
	int hosts_max; /* look at so many hosts that can be reached; 0: all */
	int connect_timeout_s, command_timeout_s;
	uint16_t port;	     /* 0: 25 */
	const char *ca_file; /* NULL: the configuration's, else the system's */
};

struct domain_prober;
MUST_CHECK enum rc
domain_prober_open(TALLOC_CTX *mem, const struct conf *conf,
		   const struct domain_probe_options *options,
		   struct domain_prober **ret_prober, struct fault *fault);

/* What cannot be looked at, and why; NULL: nothing. */
const char *domain_prober_note(const struct domain_prober *prober);

struct host_result {
	const char *name;
	uint16_t preference;
	struct smtp_probe *probe;
	/* With PROBE_SECURED. */
	struct tls_facts facts;
	struct tls_certificate *chain;
	size_t chain_count;
	bool has_host_name;   /* the certificate is for the MX host's name */
	bool has_domain_name; /* it is for the domain or a name below it */
	bool expired;
	/* Usable TLSA records that DNSSEC vouches for; does the certificate
	 * fit one of them? why: it does not, or they cannot be asked for. */
	size_t tlsa_count;
	bool dane_fits;
	const char *dane_why;
};

/* The strongest that every host meets. */
enum domain_grade {
	GRADE_NO_MAIL,	   /* no host, or none can be reached */
	GRADE_PLAIN,	   /* a host without STARTTLS */
	GRADE_ENCRYPTED,   /* TLS, and nobody knows with whom */
	GRADE_FINGERPRINT, /* a certificate that only its digest proves */
	GRADE_VERIFIED,	   /* a trusted certificate for the MX host's name */
	GRADE_SECURE,	   /* ... for the domain */
	GRADE_DANE,	   /* the certificate that signed DNS records name */
};
const char *domain_grade_name(enum domain_grade grade); /* "verified" */

struct domain_result {
	const char *domain;
	const char *why; /* no host: what DNS said; NULL */
	struct host_result *hosts;
	size_t count, reached;
	enum domain_grade grade;
	const char *policy; /* for smtp_tls_policy_maps; NULL: none can be
			     * written */
	const char *advice; /* one sentence about the policy; NULL */
};

struct domain_result *
domain_probe(TALLOC_CTX *mem, struct domain_prober *prober, const char *domain);
