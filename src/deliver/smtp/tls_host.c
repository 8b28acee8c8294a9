/* SPDX-License-Identifier: Apache-2.0 */
/* What is demanded of one host: TLSA records (RFC 7672), patterns of a plugin
 * for MTA-STS. */
#include "base/buf.h"
#include "deliver/smtp/session.h"
#include "sys/log.h"

struct search {
	const struct smtp_settings *settings;
	struct dns *dns;
	const struct nexthop *hop;
	const struct smtp_host *host;
	struct smtp_tls_policy *policy;
};

static bool has_usable(const struct smtp_tls_policy *policy)
{
	for (size_t i = 0; i < policy->tlsa_count; i++)
		if (tls_tlsa_is_usable(&policy->tlsa[i]))
			return true;
	return false;
}

static void unusable_log(const struct search *s, const char *name)
{
	for (size_t i = 0; i < s->policy->tlsa_count; i++) {
		const struct tls_tlsa *tlsa = &s->policy->tlsa[i];
		const char *what =
			tlsa->usage < 2 || tlsa->usage > 3
				? "unsupported TLSA certificate "
				  "usage"
			: tlsa->selector > 1 ? "unsupported TLSA selector"
			: tlsa->matching > 2 ? "unsupported TLSA matching type"
					     : "malformed TLSA data";
		struct buf hex;

		if (tls_tlsa_is_usable(tlsa))
			continue;
		buf_init(&hex, s->policy, 256);
		for (size_t j = 0; j < MIN_OF(tlsa->data.len, (size_t)64); j++)
			buf_addf(&hex, "%02X",
				 (unsigned char)tlsa->data.ptr[j]);
		log_warning("%s %s: %u %u %u %s", name, what, tlsa->usage,
			    tlsa->selector, tlsa->matching, buf_text(&hex));
		buf_done(&hex);
	}
}

static void records_take(const struct search *s,
			 const struct dns_answer *answer, const char *domain)
{
	struct smtp_tls_policy *p = s->policy;

	p->tlsa = mem_array(p, struct tls_tlsa,
			    MIN_OF(answer->count, (size_t)TLS_TLSA_MAX) + 1);
	for (size_t i = 0; i < answer->count && p->tlsa_count < TLS_TLSA_MAX;
	     i++)
		if (tls_tlsa_read(answer->records[i].data,
				  &p->tlsa[p->tlsa_count]))
			p->tlsa_count++;
	p->tlsa_domain = mem_strdup(p, domain);
}

/* RC_NONE: no validated records under this name. */
static enum rc domain_ask(const struct search *s, const char *domain,
			  struct fault *fault)
{
	char *name = mem_printf(s->policy, "_%u._tcp.%s", s->hop->port, domain);
	struct dns_answer *answer = NULL;
	enum rc rc =
		dns_query(s->policy, s->dns, name, DNS_TLSA, &answer, fault);

	if (rc != RC_OK && rc != RC_NONE) {
		log_warning("DANE TLSA lookup problem: %s", fault->text);
		return fault_set(fault, RC_TEMP, "4.7.5",
				 "TLSA lookup error for %s:%u", s->host->name,
				 s->hop->port);
	}
	if (rc == RC_NONE || !answer->secure)
		return RC_NONE;
	records_take(s, answer, domain);
	unusable_log(s, name);
	return RC_OK;
}

/* The name is an alias in a signed zone, whatever it is an alias of. */
static enum rc alias_ask(const struct search *s, bool *ret_secure,
			 struct fault *fault)
{
	struct dns_answer *answer = NULL;
	enum rc rc = dns_query(s->policy, s->dns, s->host->name, DNS_CNAME,
			       &answer, fault);

	*ret_secure = rc == RC_OK && answer->secure;
	if (rc == RC_OK || rc == RC_NONE)
		return RC_OK;
	log_warning("DANE CNAME lookup problem: %s", fault->text);
	return fault_set(fault, RC_TEMP, "4.7.5", "TLSA lookup error for %s:%u",
			 s->host->name, s->hop->port);
}

/* RFC 7672, 2.2.2 and 2.2.3: the name at the end of the aliases, then the one
 * at the beginning. RC_NONE: DNS has nothing that can be believed. */
static enum rc records_find(const struct search *s, bool *ret_secure,
			    struct fault *fault)
{
	const struct smtp_host *host = s->host;
	bool secure = host->secure;
	enum rc rc = RC_NONE;

	if (!secure && host->canonical != NULL) {
		if (s->settings->tls_force_insecure_host_tlsa_lookup)
			secure = true;
		else if (alias_ask(s, &secure, fault) != RC_OK)
			return fault->rc;
	}
	*ret_secure = secure;
	if (!secure)
		return RC_NONE;
	if (host->secure && host->canonical != NULL &&
	    strcasecmp(host->canonical, host->name) != 0)
		rc = domain_ask(s, host->canonical, fault);
	return rc == RC_NONE ? domain_ask(s, host->name, fault) : rc;
}

static enum rc refuse(const struct search *s, const char *why,
		      struct fault *fault)
{
	log_warning("TLS policy lookup for %s/%s: %s", s->hop->host,
		    s->host->name, why);
	return fault_set(fault, RC_TEMP, "4.7.5", "%s", why);
}

/* Records that are not good enough, or none: how much less will do. */
static enum rc level_lower(const struct search *s, enum tls_level level,
			   const char *why, struct fault *fault)
{
	if (s->policy->wanted == TLS_DANE_ONLY)
		return refuse(s, why, fault);
	s->policy->level = level;
	s->policy->tlsa_count = 0;
	return RC_OK;
}

static enum rc level_settle(const struct search *s, struct fault *fault)
{
	struct smtp_tls_policy *p = s->policy;
	enum tls_level insecure_mx;

	if (!has_usable(p))
		return level_lower(s, TLS_ENCRYPT, "TLSA records unusable",
				   fault);
	p->level = p->wanted;
	if (s->host->mx_secure)
		return RC_OK;
	if (tls_level_parse(s->settings->tls_dane_insecure_mx_policy,
			    &insecure_mx, fault) != RC_OK)
		return refuse(s, "client TLS configuration problem", fault);
	if (insecure_mx < TLS_DANE)
		return level_lower(s, insecure_mx, "non DNSSEC destination",
				   fault);
	p->tlsa_insecure_mx = true;
	return RC_OK;
}

static enum rc dane_find(const struct search *s, struct fault *fault)
{
	bool secure = false;
	enum rc rc;

	if (s->policy->wanted == TLS_DANE_ONLY && !s->host->mx_secure)
		return refuse(s, "non DNSSEC destination", fault);
	rc = records_find(s, &secure, fault);
	if (rc == RC_OK)
		return level_settle(s, fault);
	if (rc != RC_NONE)
		return refuse(s, mem_strdup(s->policy, fault->text), fault);
	return level_lower(s, TLS_MAY,
			   secure ? "no TLSA records found"
				  : "non DNSSEC destination",
			   fault);
}

/* "*.example.com" stands for one label. */
static bool pattern_fits(struct span pattern, struct span name)
{
	ssize_t dot = span_find(name, '.');

	if (!span_starts(pattern, "*."))
		return span_eq_nocase(pattern, name);
	return dot > 0 && span_eq_nocase(span_skip(pattern, 1),
					 span_skip(name, (size_t)dot));
}

static bool host_fits(const struct smtp_tls_policy *policy, const char *name)
{
	for (size_t i = 0; i < policy->mx_pattern_count; i++)
		if (pattern_fits(span_from(policy->mx_patterns[i]),
				 span_from(name)))
			return true;
	return policy->mx_pattern_count == 0;
}

enum rc smtp_tls_policy_for_host(TALLOC_CTX *mem,
				 const struct smtp_settings *settings,
				 struct dns *dns, const struct nexthop *hop,
				 const struct smtp_host *host,
				 const struct smtp_tls_policy *policy,
				 struct smtp_tls_policy **ret_policy,
				 struct fault *fault)
{
	struct smtp_tls_policy *own = mem_new(mem, struct smtp_tls_policy);
	const struct search search = { settings, dns, hop, host, own };
	enum rc rc = RC_OK;

	*own = *policy;
	if (!host_fits(policy, host->name))
		return refuse(&search,
			      mem_printf(own,
					 "MX host %s is not one of those "
					 "that the policy of the domain "
					 "names",
					 host->name),
			      fault);
	if (policy->mx_pattern_count > 0 && own->match_count < TLS_MATCH_MAX)
		own->match[own->match_count++] = "hostname";
	if (policy->level == TLS_DANE || policy->level == TLS_DANE_ONLY) {
		rc = dane_find(&search, fault);
		if (rc == RC_OK)
			smtp_tls_policy_complete(settings, own);
	}
	if (rc == RC_OK)
		*ret_policy = own;
	return rc;
}
