/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns - names, addresses and mail exchangers.
 *
 * Shape    dns_open reads resolv.conf and the hosts file, so that it works
 *          after a chroot; nothing else happens (no thread, no socket) before
 *          the first question that has to leave the process. Numeric addresses
 *          never do, nor do names and addresses of the hosts file.
 *          The hosts file is looked at again at most once a second.
 * Errors   RC_NONE there is no such name (DNS_NO_NAME) or no such record
 *          (DNS_NO_DATA): the answer is set then too; RC_TEMP the servers
 * cannot say, or it took longer than timeout_ms. Text and status as the
 * reference has them: "Host or domain name not found. Name service error for
 * name=X type=MX: Host not found" Limits   100 records of an answer, the rest
 * is cut; 64 KB Owner    answers are children of mem Threads  a resolver may be
 * used by many at once
 */
#pragma once

#include "net/address.h"

struct dns;

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_SRV = 33,
	DNS_TLSA = 52,
};

struct dns_config {
	int timeout_ms;		      /* 0: 20 s, for one question in all */
	const char *resolv_conf_path; /* NULL: /etc/resolv.conf */
	const char *hosts_path;	      /* NULL: /etc/hosts */
	/* Validate: answers carry `secure`. Without the root trust anchor
	 * dns_open is RC_CONF. */
	bool dnssec;
	const char *trust_anchor_path; /* NULL: where Debian has it */
};

struct dns_record {
	uint16_t type;
	uint16_t preference;   /* MX, SRV priority */
	uint16_t weight, port; /* SRV */
	uint32_t ttl_s;
	const char *name; /* MX, NS, PTR, CNAME, SRV: without the dot */
	struct net_address address; /* A, AAAA */
	struct span data;	    /* TXT: its strings joined; TLSA: as sent */
};

enum dns_outcome { DNS_FOUND, DNS_NO_DATA, DNS_NO_NAME };

struct dns_answer {
	enum dns_outcome outcome;
	bool secure; /* validated by DNSSEC, also when it says there is none */
	const char *name;	    /* at the end of the CNAMEs */
	struct dns_record *records; /* of the type asked for */
	size_t count;
};

MUST_CHECK enum rc dns_open(TALLOC_CTX *mem, const struct dns_config *config,
			    struct dns **ret_dns, struct fault *fault);

/* Ask DNS alone. An unusable name (empty, too long, labels over 63) is RC_NONE
 * with DNS_NO_NAME. */
MUST_CHECK enum rc dns_query(TALLOC_CTX *mem, struct dns *dns, const char *name,
			     enum dns_type type, struct dns_answer **ret_answer,
			     struct fault *fault);

/* A question that does not block: begin it, hear that it is answered, take the
 * answer. Questions begun together are under way together; freeing one drops
 * it. */
struct dns_lookup;
MUST_CHECK enum rc dns_lookup_begin(TALLOC_CTX *mem, struct dns *dns,
				    const char *name, enum dns_type type,
				    struct dns_lookup **ret_lookup,
				    struct fault *fault);
/* Called by the resolver's thread: it must be short, and may not free the
 * lookup. Never called once the lookup is freed. */
typedef void dns_ready_fn(void *arg);
/* True: dns_lookup_end will not block. Else, if ready is not NULL, it is called
 * when that becomes so before the deadline. */
MUST_CHECK bool dns_lookup_ready(struct dns_lookup *lookup, dns_ready_fn *ready,
				 void *arg);
/* Of clock_mono_ms: later than this there is no answer (RC_TEMP). */
uint64_t dns_lookup_deadline_ms(const struct dns_lookup *lookup);
/* As dns_query; once for each lookup. Waits until the deadline at most. */
MUST_CHECK enum rc dns_lookup_end(TALLOC_CTX *mem, struct dns_lookup *lookup,
				  struct dns_answer **ret_answer,
				  struct fault *fault);

enum dns_families { DNS_IPV4 = 1, DNS_IPV6 = 2, DNS_BOTH = 3 };

struct dns_host {
	const char *name; /* canonical */
	bool secure;
	struct net_address *addresses; /* IPv6 and IPv4 as they came */
	size_t count;
};

/* The addresses of a host: the text itself when numeric (RFC 5321 brackets
 * taken off by the caller), the hosts file, then DNS. When one family is found
 * and the other cannot be asked, what was found is the answer. */
MUST_CHECK enum rc dns_host_addresses(TALLOC_CTX *mem, struct dns *dns,
				      const char *name, int families,
				      struct dns_host **ret_host,
				      struct fault *fault);
/* DNS without the hosts file (smtp_host_lookup = dns). */
MUST_CHECK enum rc dns_host_addresses_dns(TALLOC_CTX *mem, struct dns *dns,
					  const char *name, int families,
					  struct dns_host **ret_host,
					  struct fault *fault);
/* The hosts file alone: no question leaves the process. RC_NONE: not in it. */
MUST_CHECK enum rc dns_hosts_file_name(TALLOC_CTX *mem, struct dns *dns,
				       const struct net_address *address,
				       const char **ret_name);
MUST_CHECK enum rc dns_hosts_file_addresses(TALLOC_CTX *mem, struct dns *dns,
					    const char *name,
					    struct dns_host **ret_host);
/* The name of an address: the hosts file, then its PTR record. Not verified. */
MUST_CHECK enum rc dns_address_name(TALLOC_CTX *mem, struct dns *dns,
				    const struct net_address *address,
				    const char **ret_name, struct fault *fault);

const char *dns_type_name(enum dns_type type); /* "MX" */
/* Letters, digits, hyphens and underscores in labels of at most 63; a final
 * dot is allowed. As the reference's valid_hostname: not all digits. */
bool dns_name_is_valid(struct span name);
