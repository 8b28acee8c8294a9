/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/smtp/route.h"

#include <sys/random.h>

enum { HOSTS_MAX = 200 };

static bool host_is_ipv6(const struct smtp_host *host)
{
	return host->address.sa.sa_family == AF_INET6;
}

static int compare_preference(const void *a, const void *b)
{
	const struct smtp_host *x = a, *y = b;

	return (x->preference > y->preference) -
	       (x->preference < y->preference);
}

static void hosts_swap(struct smtp_host *a, struct smtp_host *b)
{
	struct smtp_host kept = *a;

	*a = *b;
	*b = kept;
}

/* Put the wanted family first among hosts [from, to), order kept otherwise. */
static void family_first(struct smtp_host *hosts, size_t from, size_t to,
			 bool ipv6)
{
	for (size_t at = from, i = from; i < to; i++) {
		if (host_is_ipv6(&hosts[i]) != ipv6)
			continue;
		for (size_t j = i; j > at; j--)
			hosts_swap(&hosts[j], &hosts[j - 1]);
		at++;
	}
}

/* Of the hosts that would be cut off, bring up the first of a family that is
 * not among those that stay. */
static void families_balance(struct smtp_route *route, size_t limit)
{
	bool has[2] = {false, false};

	if (limit < 2 || route->count <= limit)
		return;
	for (size_t i = 0; i < limit; i++)
		has[host_is_ipv6(&route->hosts[i])] = true;
	if (has[0] && has[1])
		return;
	for (size_t i = limit; i < route->count; i++)
		if (!has[host_is_ipv6(&route->hosts[i])]) {
			hosts_swap(&route->hosts[limit - 1], &route->hosts[i]);
			return;
		}
}

void smtp_route_order(const struct smtp_settings *settings,
		      struct smtp_route *route, unsigned *seed)
{
	const char *prefer = settings->address_preference;
	const size_t limit = settings->mx_address_limit > 0
				 ? (size_t)settings->mx_address_limit
				 : SIZE_MAX;

	if (settings->randomize_addresses)
		for (size_t i = route->count; i > 1; i--)
			hosts_swap(&route->hosts[i - 1],
				   &route->hosts[(size_t)rand_r(seed) % i]);
	/* A stable sort would do; equal ones are in random order already. */
	for (size_t i = 1; i < route->count; i++)
		for (size_t j = i;
		     j > 0 && compare_preference(&route->hosts[j - 1],
						 &route->hosts[j]) > 0;
		     j--)
			hosts_swap(&route->hosts[j - 1], &route->hosts[j]);
	for (size_t from = 0, to; from < route->count; from = to) {
		for (to = from + 1;
		     to < route->count && route->hosts[to].preference ==
					      route->hosts[from].preference;
		     to++)
			;
		if (strcmp(prefer, "ipv6") == 0)
			family_first(route->hosts, from, to, true);
		else if (strcmp(prefer, "ipv4") == 0)
			family_first(route->hosts, from, to, false);
	}
	if (settings->balance_inet_protocols)
		families_balance(route, limit);
	route->count = MIN_OF(route->count, limit);
}

static bool host_is_own(const struct smtp_route_config *config,
			const struct smtp_host *host)
{
	for (size_t i = 0; i < config->own_count; i++)
		if (net_address_eq(&config->own[i], &host->address))
			return true;
	return false;
}

/* Hosts as good as this machine or worse would send the mail back here. */
static enum rc loop_cut(const struct smtp_route_config *config,
			const struct nexthop *hop, struct smtp_route *route,
			struct fault *fault)
{
	unsigned best = UINT16_MAX + 1U;
	size_t kept = 0;

	for (size_t i = 0; i < route->count; i++)
		if (host_is_own(config, &route->hosts[i]))
			best =
			    MIN_OF(best, (unsigned)route->hosts[i].preference);
	for (size_t i = 0; i < route->count; i++)
		if (route->hosts[i].preference < best)
			route->hosts[kept++] = route->hosts[i];
	route->count = kept;
	if (kept > 0)
		return RC_OK;
	return fault_set(fault, RC_PERM, "5.4.6",
			 "mail for %s loops back to myself", hop->host);
}

static enum rc host_lookup(TALLOC_CTX *mem,
			   const struct smtp_route_config *config,
			   const char *name, struct dns_host **ret_host,
			   struct fault *fault)
{
	const int families = (config->protocols.ipv4 ? DNS_IPV4 : 0) |
			     (config->protocols.ipv6 ? DNS_IPV6 : 0);
	const struct smtp_settings *s = config->settings;
	enum rc rc = RC_NONE;

	if (!s->dns && !s->dns_native)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "bad configuration: %s_host_lookup = %s (use "
				 "\"dns\", \"native\" or both)",
				 s->lmtp ? "lmtp" : "smtp", s->host_lookup);
	if (s->dns)
		rc = dns_host_addresses_dns(mem, config->dns, name, families,
					    ret_host, fault);
	if (rc != RC_OK && s->dns_native)
		rc = dns_host_addresses(mem, config->dns, name, families,
					ret_host, fault);
	return rc;
}

static enum rc host_add(TALLOC_CTX *mem, const struct smtp_route_config *config,
			const struct dns_record *mx, bool mx_secure,
			struct smtp_route *route, struct fault *fault)
{
	const char *name = mx->name;
	const uint16_t preference = mx->preference;
	struct net_address literal;
	struct dns_host *host;
	bool is_name = true;
	enum rc rc;

	if (net_address_parse(span_from(name), &literal)) {
		is_name = false;
		host = mem_new(mem, struct dns_host);
		host->addresses = &literal;
		host->count = 1;
	} else {
		rc = host_lookup(mem, config, name, &host, fault);
		if (rc != RC_OK)
			return rc;
	}
	for (size_t i = 0; i < host->count && route->count < HOSTS_MAX; i++)
		route->hosts[route->count++] = (struct smtp_host){
		    .name = mem_strdup(mem, name),
		    .address = host->addresses[i],
		    .preference = preference,
		    .secure = host->secure,
		    .mx_secure = mx_secure,
		    .canonical = is_name && host->name != NULL
				     ? mem_strdup(mem, host->name)
				     : NULL,
		};
	return RC_OK;
}

/* No such domain or no address: never, unless the operator wants to wait. */
static enum rc not_found(const struct smtp_settings *s, enum rc rc,
			 struct fault *fault)
{
	if (rc != RC_NONE)
		return rc;
	fault->rc = s->defer_if_no_mx_address_found ? RC_TEMP : RC_PERM;
	snprintf(fault->dsn, sizeof(fault->dsn), "%c.4.4",
		 fault->rc == RC_PERM ? '5' : '4');
	return fault->rc;
}

static enum rc exchangers_add(TALLOC_CTX *mem,
			      const struct smtp_route_config *config,
			      const struct nexthop *hop,
			      const struct dns_answer *answer,
			      struct smtp_route *route, struct fault *fault)
{
	enum rc worst = RC_NONE;
	struct fault why;

	if (answer->count == 1 && (*answer->records[0].name == '\0' ||
				   strcmp(answer->records[0].name, ".") == 0))
		return fault_set(fault, RC_PERM, "5.1.0",
				 "Domain %s does not accept mail (nullMX)",
				 hop->host);
	for (size_t i = 0; i < answer->count; i++) {
		const struct dns_record *mx = &answer->records[i];
		enum rc rc = host_add(mem, config, mx, answer->secure, route,
				      &why);

		if (rc != RC_OK && worst != RC_TEMP) {
			worst = rc;
			*fault = why;
		}
	}
	return route->count > 0 ? RC_OK
				: not_found(config->settings, worst, fault);
}

static enum rc domain_add(TALLOC_CTX *mem,
			  const struct smtp_route_config *config,
			  const struct nexthop *hop, struct smtp_route *route,
			  struct fault *fault)
{
	const struct dns_record self = {.name = hop->host};
	struct dns_answer *answer = NULL;
	enum rc rc =
	    dns_query(mem, config->dns, hop->host, DNS_MX, &answer, fault);

	if (rc == RC_OK)
		return exchangers_add(mem, config, hop, answer, route, fault);
	if (rc == RC_TEMP && !config->settings->conf->v.ignore_mx_lookup_error)
		return rc;
	/* That there is no MX record can be as sure as one. */
	rc = host_add(mem, config, &self,
		      rc == RC_NONE && answer != NULL && answer->secure, route,
		      fault);
	if (rc == RC_NONE) {
		fault->rc = RC_PERM;
		snprintf(fault->dsn, sizeof(fault->dsn), "5.4.4");
		return RC_PERM;
	}
	return rc;
}

enum rc smtp_route_find(TALLOC_CTX *mem, const struct smtp_route_config *config,
			const struct nexthop *hop, bool detect_loop,
			struct smtp_route *ret_route, struct fault *fault)
{
	struct smtp_route route = {
	    .hosts = mem_array(mem, struct smtp_host, HOSTS_MAX),
	};
	const struct dns_record self = {.name = hop->host};
	unsigned seed = 0;
	struct net_address literal;
	enum rc rc;

	if (hop->literal_host || !config->settings->exchangers ||
	    net_address_parse(span_from(hop->host), &literal))
		rc = not_found(
		    config->settings,
		    host_add(mem, config, &self, true, &route, fault), fault);
	else
		rc = domain_add(mem, config, hop, &route, fault);
	if (rc != RC_OK)
		return rc;
	if (detect_loop && loop_cut(config, hop, &route, fault) != RC_OK)
		return fault->rc;
	if (route.count > 1) {
		if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) < 0)
			seed = (unsigned)(uintptr_t)&route;
		smtp_route_order(config->settings, &route, &seed);
	}
	*ret_route = route;
	return RC_OK;
}
