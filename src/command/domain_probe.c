/* SPDX-License-Identifier: Apache-2.0 */
#include "command/domain_probe.h"

#include <time.h>

#include "net/dns.h"

enum { HOSTS_TRIED_MAX = 30 };

struct domain_prober {
	struct domain_probe_options options;
	struct smtp_settings settings;
	struct smtp_route_config route;
	struct tls_client *tls_client;
	const char *dane_missing; /* why; NULL: it is there */
};

const char *domain_grade_name(enum domain_grade grade)
{
	static const char *const names[] = {
		[GRADE_NO_MAIL] = "unreachable",
		[GRADE_PLAIN] = "none",
		[GRADE_ENCRYPTED] = "encrypted",
		[GRADE_FINGERPRINT] = "fingerprint",
		[GRADE_VERIFIED] = "verified",
		[GRADE_SECURE] = "secure",
		[GRADE_DANE] = "dane",
	};

	return names[grade];
}

/* The configuration's authorities, or those of the system. */
static enum rc tls_open(struct domain_prober *prober, const struct conf *conf,
			struct fault *fault)
{
	struct tls_config config;

	tls_config_load(conf, "smtp", false, &config);
	if (prober->options.ca_file != NULL) {
		config.ca_file = prober->options.ca_file;
		config.ca_path = NULL;
		config.append_default_ca = false;
	} else if (*config.ca_file == '\0' && *config.ca_path == '\0') {
		config.append_default_ca = true;
	}
	config.log_level = 0;
	config.sessions = false;
	return tls_client_open(prober, &config, &prober->tls_client, fault);
}

/* Without a trust anchor there is no DANE, and the rest is still worth it. */
static enum rc resolver_open(struct domain_prober *prober,
			     const struct conf *conf, struct fault *fault)
{
	struct dns_config dns = {
		.timeout_ms = prober->options.connect_timeout_s * 1000,
		.dnssec = true,
		.trust_anchor_path = conf->v.dnssec_trust_anchor_file,
	};
	enum rc rc = dns_open(prober, &dns, &prober->route.dns, fault);

	if (rc != RC_CONF)
		return rc;
	prober->dane_missing = mem_printf(
		prober, "DANE is not looked at: dnssec_trust_anchor_file: %s",
		fault->text);
	dns.dnssec = false;
	return dns_open(prober, &dns, &prober->route.dns, fault);
}

const char *domain_prober_note(const struct domain_prober *prober)
{
	return prober->dane_missing;
}

enum rc domain_prober_open(TALLOC_CTX *mem, const struct conf *conf,
			   const struct domain_probe_options *options,
			   struct domain_prober **ret_prober,
			   struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct domain_prober *prober = mem_new(tmp, struct domain_prober);

	prober->options = *options;
	smtp_settings_init(&prober->settings, conf, false);
	prober->settings.mx_address_limit = 0;
	prober->route.settings = &prober->settings;
	if (net_protocols_parse(conf->v.inet_protocols,
				&prober->route.protocols, fault) != RC_OK ||
	    resolver_open(prober, conf, fault) != RC_OK ||
	    tls_open(prober, conf, fault) != RC_OK)
		return fault->rc;
	*ret_prober = talloc_steal(mem, prober);
	return RC_OK;
}

/* One look at one host. */
struct taking {
	TALLOC_CTX *mem;
	const char *domain;
	struct host_result *host;
};

static bool is_below(const char *name, const char *domain)
{
	struct span tail = span_from(name), want = span_from(domain);

	return tail.len > want.len &&
	       span_eq_nocase(span_skip(tail, tail.len - want.len), want) &&
	       tail.ptr[tail.len - want.len - 1] == '.';
}

static bool names_domain(const struct tls_certificate *cert, const char *domain)
{
	if (tls_certificate_has_name(cert, domain))
		return true;
	for (size_t i = 0; i < cert->name_count; i++)
		if (is_below(cert->names[i], domain))
			return true;
	return cert->name_count == 0 && is_below(cert->subject_cn, domain);
}

static void facts_take(void *arg, const struct tls *tls, const char *peer)
{
	struct taking *taking = arg;
	struct host_result *host = taking->host;
	const struct tls_facts *facts = tls_facts(tls);
	const int64_t now_s = (int64_t)time(NULL);

	host->facts = (struct tls_facts){
		.trust = facts->trust,
		.protocol = mem_strdup(taking->mem, facts->protocol),
		.cipher = mem_strdup(taking->mem, facts->cipher),
		.cipher_bits = facts->cipher_bits,
		.verify_code = facts->verify_code,
	};
	if (facts->why_untrusted != NULL)
		host->facts.why_untrusted =
			mem_strdup(taking->mem, facts->why_untrusted);
	if (facts->key_exchange != NULL)
		host->facts.key_exchange =
			mem_strdup(taking->mem, facts->key_exchange);
	host->chain = tls_chain(taking->mem, tls, &host->chain_count);
	if (host->chain_count == 0)
		return;
	host->has_host_name =
		tls_certificate_has_name(&host->chain[0], host->name);
	host->has_domain_name = names_domain(&host->chain[0], taking->domain);
	host->expired = host->chain[0].not_after_s < now_s;
}

static struct smtp_probe_config probe_config(const struct domain_prober *prober)
{
	return (struct smtp_probe_config){
		.settings = &prober->settings,
		.tls_client = prober->tls_client,
		.connect_timeout_s = prober->options.connect_timeout_s,
		.command_timeout_s = prober->options.command_timeout_s,
	};
}

static void unmet_take(void *arg, const struct tls *tls, const char *peer)
{
	struct taking *taking = arg;
	const char *unmet = tls_facts(tls)->unmet;

	taking->host->dane_fits = unmet == NULL;
	if (unmet != NULL)
		taking->host->dane_why = mem_strdup(taking->mem, unmet);
}

/* Does the host show what its TLSA records say? Asked in a connection of its
 * own, at the level that mail would have. */
static void dane_look(TALLOC_CTX *mem, const struct domain_prober *prober,
		      const struct nexthop *hop,
		      const struct smtp_host *address, struct host_result *host)
{
	const struct smtp_tls_policy wanted = {
		.wanted = TLS_DANE,
		.level = TLS_DANE,
	};
	struct taking taking = { .mem = mem, .host = host };
	struct smtp_probe_config config = probe_config(prober);
	struct tls_policy policy = {
		.level = TLS_DANE,
		.hostname = address->name,
		.nexthop_domain = hop->host,
		.keep_unmet = true,
	};
	struct smtp_tls_policy *own;
	struct fault fault;

	if (smtp_tls_policy_for_host(mem, &prober->settings, prober->route.dns,
				     hop, address, &wanted, &own,
				     &fault) != RC_OK) {
		host->dane_why = mem_strdup(mem, fault.text);
		return;
	}
	if (own->level != TLS_DANE)
		return;
	host->tlsa_count = own->tlsa_count;
	policy.tlsa = own->tlsa;
	policy.tlsa_count = own->tlsa_count;
	policy.tlsa_domain = own->tlsa_domain;
	policy.servername = own->tlsa_domain;
	config.secured = unmet_take;
	config.arg = &taking;
	smtp_probe_run(mem, &config, address, &policy);
}

static void host_look(TALLOC_CTX *mem, const struct domain_prober *prober,
		      const char *domain, const struct smtp_host *address,
		      struct host_result *host)
{
	struct taking taking = { .mem = mem, .domain = domain, .host = host };
	struct smtp_probe_config config = probe_config(prober);
	const struct tls_policy policy = {
		.level = TLS_ENCRYPT,
		.hostname = address->name,
		.nexthop_domain = domain,
		.servername = address->name,
		.keep_unmet = true,
	};

	config.secured = facts_take;
	config.arg = &taking;
	host->name = address->name;
	host->preference = address->preference;
	host->probe = smtp_probe_run(mem, &config, address, &policy);
}

static struct host_result *host_of(struct domain_result *result,
				   const char *name)
{
	for (size_t i = 0; i < result->count; i++)
		if (strcasecmp(result->hosts[i].name, name) == 0)
			return &result->hosts[i];
	return NULL;
}

static void hosts_look(const struct domain_prober *prober,
		       const struct smtp_route *route,
		       const struct nexthop *hop, struct domain_result *result)
{
	const size_t limit = prober->options.hosts_max > 0
				     ? (size_t)prober->options.hosts_max
				     : SIZE_MAX;
	size_t tried = 0;

	for (size_t i = 0; i < route->count; i++) {
		struct smtp_host *address = &route->hosts[i];
		struct host_result *host = host_of(result, address->name);

		if (result->reached >= limit || tried++ >= HOSTS_TRIED_MAX)
			return;
		/* Another address of a host that has answered is no news. */
		if (host != NULL && host->probe->end != PROBE_UNREACHABLE)
			continue;
		if (host == NULL)
			host = &result->hosts[result->count++];
		net_address_set_port(&address->address, hop->port);
		host_look(result, prober, result->domain, address, host);
		if (host->probe->end == PROBE_SECURED &&
		    prober->dane_missing == NULL)
			dane_look(result, prober, hop, address, host);
		if (host->probe->end != PROBE_UNREACHABLE)
			result->reached++;
	}
}

static enum domain_grade host_grade(const struct host_result *host)
{
	if (host->probe->end != PROBE_SECURED)
		return GRADE_PLAIN;
	if (host->chain_count == 0)
		return GRADE_ENCRYPTED;
	if (host->facts.trust != TLS_TRUSTED)
		return GRADE_FINGERPRINT;
	return host->has_domain_name ? GRADE_SECURE
	       : host->has_host_name ? GRADE_VERIFIED
				     : GRADE_FINGERPRINT;
}

static void grade_find(struct domain_result *result)
{
	bool all_dane = result->reached > 0;

	result->grade = result->reached > 0 ? GRADE_SECURE : GRADE_NO_MAIL;
	for (size_t i = 0; i < result->count; i++) {
		const struct host_result *host = &result->hosts[i];

		if (host->probe->end == PROBE_UNREACHABLE)
			continue;
		result->grade = MIN_OF(result->grade, host_grade(host));
		all_dane &= host->dane_fits;
	}
	if (all_dane)
		result->grade = GRADE_DANE;
}

/* "match=" and one word for each host that was reached. */
static const char *match_text(struct domain_result *result, char separator,
			      const char *(*word)(const struct host_result *))
{
	const char *text = "";

	for (size_t i = 0; i < result->count; i++) {
		const struct host_result *host = &result->hosts[i];
		const char *one;

		if (host->probe->end != PROBE_SECURED)
			continue;
		one = word(host);
		if (strstr(text, one) == NULL)
			text = *text == '\0' ? mem_strdup(result, one)
					     : mem_printf(result, "%s%c%s",
							  text, separator, one);
	}
	return text;
}

static const char *host_word(const struct host_result *host)
{
	return host->name;
}

static const char *key_word(const struct host_result *host)
{
	return host->chain[0].key_digest;
}

static void policy_write(struct domain_result *result)
{
	const char *domain = result->domain;

	switch (result->grade) {
	case GRADE_NO_MAIL:
		break;
	case GRADE_PLAIN:
		result->policy = mem_printf(result, "%s may", domain);
		result->advice =
			"a host does not offer STARTTLS, or somebody hides "
			"it: mail may go in clear";
		break;
	case GRADE_ENCRYPTED:
		result->policy = mem_printf(result, "%s encrypt", domain);
		result->advice = "no certificate is shown: encrypted, but to "
				 "whom is not known";
		break;
	case GRADE_FINGERPRINT:
		result->policy =
			mem_printf(result, "%s fingerprint match=%s", domain,
				   match_text(result, '|', key_word));
		result->advice =
			"no authority vouches for these names; the digests of "
			"the keys hold as long as the keys are kept";
		break;
	case GRADE_VERIFIED:
		result->policy =
			mem_printf(result, "%s secure match=%s", domain,
				   match_text(result, ':', host_word));
		result->advice = "the certificates are for the hosts' names, "
				 "not for the domain: correct the line when "
				 "the hosts change";
		break;
	case GRADE_SECURE:
		result->policy = mem_printf(result, "%s secure", domain);
		result->advice = "the certificates are for the domain itself";
		break;
	case GRADE_DANE:
		result->policy = mem_printf(result, "%s dane-only", domain);
		result->advice = "signed DNS records say which certificates "
				 "the hosts have";
		break;
	}
}

struct domain_result *
domain_probe(TALLOC_CTX *mem, struct domain_prober *prober, const char *domain)
{
	struct domain_result *result = mem_new(mem, struct domain_result);
	struct span name = span_from(domain);
	struct smtp_route route = { 0 };
	struct nexthop hop;
	struct fault fault;

	/* As the keys of the policy table are written. */
	if (span_ends(name, ".") && name.len > 1)
		name.len--;
	result->domain = mem_span_dup(result, name);
	if (nexthop_parse(result, name, false, "25", &hop,
			  &fault) != RC_OK ||
	    smtp_route_find(result, &prober->route, &hop, false, &route,
			    &fault) != RC_OK) {
		result->why = mem_strdup(result, fault.text);
		return result;
	}
	if (!hop.has_port && prober->options.port != 0)
		hop.port = prober->options.port;
	result->hosts = mem_array(result, struct host_result, route.count + 1);
	hosts_look(prober, &route, &hop, result);
	grade_find(result);
	policy_write(result);
	return result;
}
