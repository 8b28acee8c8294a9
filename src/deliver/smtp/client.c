/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/smtp/client.h"

#include "net/listen.h"
#include "sys/log.h"

enum { DNS_TIMEOUT_MS = 60 * 1000 };

static enum rc bind_parse(const char *text, int family,
			  struct net_address *ret_address, struct fault *fault)
{
	struct span first, rest = span_from(text);

	if (!span_token(&rest, ", \t\r\n", &first))
		return RC_OK;
	if (!net_address_parse_literal(first, ret_address) ||
	    ret_address->sa.sa_family != family)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "smtp_bind_address: \"%.*s\" is not an "
				 "address of its family",
				 SPAN_FMT(first));
	return RC_OK;
}

static enum rc own_addresses(struct smtp_client *c, const struct conf *conf,
			     struct fault *fault)
{
	struct net_address *lists[2], *own;
	size_t counts[2], at = 0;
	const char *const texts[] = {conf->v.inet_interfaces,
				     conf->v.proxy_interfaces};

	for (size_t i = 0; i < 2; i++) {
		enum rc rc =
		    net_interfaces_parse(c, texts[i], c->route.protocols,
					 &lists[i], &counts[i], fault);

		if (rc != RC_OK && rc != RC_NONE)
			return rc;
		if (rc == RC_NONE)
			counts[i] = 0;
	}
	own = mem_array(c, struct net_address, counts[0] + counts[1] + 1);
	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0; j < counts[i]; j++)
			own[at++] = lists[i][j];
	c->route.own = own;
	c->route.own_count = at;
	return RC_OK;
}

/* "inet_interfaces = all" stands for what the interfaces have now. */
static enum rc own_expand(struct smtp_client *c, struct fault *fault)
{
	struct net_interface *list;
	struct net_address *own;
	size_t count;
	bool any = false;

	for (size_t i = 0; i < c->route.own_count; i++)
		any |= net_address_is_any(&c->route.own[i]);
	if (!any)
		return RC_OK;
	if (net_interfaces(c, &list, &count, fault) != RC_OK)
		return fault->rc;
	own = mem_array(c, struct net_address, c->route.own_count + count + 1);
	memcpy(own, c->route.own, c->route.own_count * sizeof(*own));
	for (size_t i = 0; i < count; i++)
		own[c->route.own_count++] = list[i].address;
	c->route.own = own;
	return RC_OK;
}

static enum rc tables_open(struct smtp_client *c, const struct conf *conf,
			   struct fault *fault)
{
	const char *prefix = c->settings.lmtp ? "lmtp" : "smtp";
	enum rc rc = RC_OK;

	if (*c->settings.generic_maps != '\0') {
		rc = maps_open(
		    c, conf, mem_printf(c, "%s_generic_maps", prefix),
		    c->settings.generic_maps, MAP_FOLD, &c->generic, fault);
		if (rc == RC_OK)
			rc = resolver_open(c, (struct conf *)(uintptr_t)conf,
					   &c->resolver, fault);
	}
	if (rc == RC_OK && *c->settings.tls_policy_maps != '\0')
		rc = maps_open(c, conf,
			       mem_printf(c, "%s_tls_policy_maps", prefix),
			       c->settings.tls_policy_maps, MAP_FOLD,
			       &c->tls_policy, fault);
	return rc;
}

static void log_line(const char *line)
{
	log_info("%s", line);
}

/* TLS is there when some destination may want it. A certificate of ours that
 * cannot be read keeps TLS from working, not mail without it from flowing. */
static void tls_open(struct smtp_client *c, const struct conf *conf)
{
	struct tls_config config;
	struct fault fault;

	if (*c->settings.tls_policy_maps == '\0' && !c->settings.use_tls &&
	    !c->settings.enforce_tls &&
	    (*c->settings.tls_security_level == '\0' ||
	     strcmp(c->settings.tls_security_level, "none") == 0))
		return;
	tls_config_load(conf, c->settings.lmtp ? "lmtp" : "smtp", false,
			&config);
	config.log = log_line;
	if (config.log_level >= 2)
		log_info("initializing the client-side TLS engine");
	if (tls_client_open(c, &config, &c->tls, &fault) != RC_OK) {
		c->tls = NULL;
		log_warning("TLS is not available: %s", fault.text);
	}
}

/* A relayhost that this line of master.cf has and main.cf has not. */
static enum rc relayhost_find(struct smtp_client *c, const struct conf *conf,
			      struct fault *fault)
{
	const struct conf_source source = {
	    .config_directory = conf->config_directory,
	};
	struct conf *plain;

	if (*conf->v.relayhost == '\0')
		return RC_OK;
	if (conf_load(&source, &plain, fault) != RC_OK)
		return fault->rc;
	if (strcmp(plain->v.relayhost, conf->v.relayhost) != 0)
		c->relayhost = conf->v.relayhost;
	conf_unref(plain);
	return RC_OK;
}

/* Mail that needs no DNSSEC does not wait for a trust anchor. */
static enum rc resolver_dns_open(struct smtp_client *c, const struct conf *conf,
				 struct fault *fault)
{
	struct dns_config dns = {
	    .timeout_ms = DNS_TIMEOUT_MS,
	    .dnssec = c->settings.dnssec_wanted,
	    .trust_anchor_path = conf->v.dnssec_trust_anchor_file,
	};
	enum rc rc = dns_open(c, &dns, &c->route.dns, fault);

	if (rc != RC_CONF || !dns.dnssec)
		return rc;
	log_warning("dnssec_trust_anchor_file: %s", fault->text);
	c->settings.dnssec_missing = true;
	dns.dnssec = false;
	return dns_open(c, &dns, &c->route.dns, fault);
}

enum rc smtp_client_open(TALLOC_CTX *mem, struct service *service, bool lmtp,
			 struct smtp_client **ret_client, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct smtp_client *c = mem_new(tmp, struct smtp_client);
	struct conf *conf = service->conf;

	smtp_settings_init(&c->settings, conf, lmtp);
	c->route.settings = &c->settings;
	c->unmet = smtp_settings_unmet(c, &c->settings);
	if (c->unmet != NULL)
		log_warning("%s; mail waits", c->unmet);
	if (net_protocols_parse(conf->v.inet_protocols, &c->route.protocols,
				fault) != RC_OK ||
	    bind_parse(c->settings.bind_address, AF_INET, &c->bind4, fault) !=
		RC_OK ||
	    bind_parse(c->settings.bind_address6, AF_INET6, &c->bind6, fault) !=
		RC_OK ||
	    own_addresses(c, conf, fault) != RC_OK ||
	    own_expand(c, fault) != RC_OK ||
	    resolver_dns_open(c, conf, fault) != RC_OK ||
	    tables_open(c, conf, fault) != RC_OK ||
	    relayhost_find(c, conf, fault) != RC_OK)
		return fault->rc;
	tls_open(c, conf);
	c->starttls = starttls_memory_new(c);
	c->cache = smtp_cache_new(c, &c->settings);
	*ret_client = talloc_steal(mem, c);
	return RC_OK;
}

bool smtp_client_tick(void *arg)
{
	struct smtp_client *client = arg;

	return smtp_cache_expire(client->cache, false);
}
