/* SPDX-License-Identifier: Apache-2.0 */
#include "command/posttls_finger.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/conf.h"
#include "deliver/smtp/route.h"
#include "net/dns.h"

enum { SERVERS_MAX = 32, HOSTS_MAX_TRIED = 100, TLSA_SHOWN_BYTES = 64 };

static const char *const verify_words[] = { "hostname" };
static const char *const dane_words[] = { "hostname", "nexthop" };
static const char *const secure_words[] = { "nexthop", "dot-nexthop" };

struct run {
	struct finger *finger;
	struct conf *conf;
	struct smtp_settings settings;
	struct smtp_route_config route;
	struct tls_client *tls_client;
	struct nexthop hop;
	struct smtp_probe_config probe;
	struct tls_policy policy;
};

NORETURN static void die(const struct fault *fault)
{
	finger_say("fatal: %s", fault->text);
	exit(1);
}

static struct conf *conf_read(struct finger *f)
{
	const char *lookup =
		mem_printf(f, "smtp_host_lookup=%s",
			   f->host_lookup != NULL ? f->host_lookup : "dns");
	const char **overrides =
		mem_array(f, const char *, f->override_count + 1);
	const struct conf_source source = {
		.overrides = overrides,
		.override_count = f->override_count + 1,
		.process_name = "posttls-finger",
		.service_name = "posttls-finger",
	};
	struct fault fault;
	struct conf *conf;

	overrides[0] = lookup;
	for (size_t i = 0; i < f->override_count; i++)
		overrides[i + 1] = f->overrides[i];
	if (conf_load(&source, &conf, &fault) != RC_OK)
		die(&fault);
	return conf;
}

static void trace_show(const char *line)
{
	finger_say("%s", line);
}

/* Only what the command line says; main.cf gives lists and limits. */
static void tls_open(struct run *run)
{
	const struct finger *f = run->finger;
	struct tls_config config;
	struct fault fault;

	if (f->level == TLS_NONE)
		return;
	tls_config_load(run->conf, f->lmtp ? "lmtp" : "smtp", true, &config);
	config.chain_files = f->chain_files;
	config.cert_file = f->cert_file;
	config.key_file = f->key_file;
	config.dcert_file = config.dkey_file = NULL;
	config.eccert_file = config.eckey_file = NULL;
	config.ca_file = f->ca_file;
	config.ca_path = f->ca_path;
	config.append_default_ca = false;
	config.trust_anchor_files = f->trust_anchors;
	config.log_level = f->tls_loglevel;
	config.log = trace_show;
	config.sessions = f->reconnect_s > 0;
	if (f->digest != NULL)
		config.fingerprint_digest = f->digest;
	if (config.log_level >= 2)
		finger_say("initializing the client-side TLS engine");
	if (tls_client_open(run->finger, &config, &run->tls_client, &fault) !=
	    RC_OK)
		die(&fault);
}

static void names_set(struct tls_policy *policy, const char *const *words,
		      size_t count)
{
	policy->match = words;
	policy->match_count = count;
}

static bool asks_dns(const struct finger *f)
{
	return f->level == TLS_DANE || f->level == TLS_DANE_ONLY;
}

static void policy_make(struct run *run)
{
	const struct finger *f = run->finger;

	run->policy = (struct tls_policy){
		.level = f->level,
		.strength = { .protocols = f->protocols, .grade = f->grade },
		.servername = f->servername,
		.nexthop_domain = run->hop.host,
		.session_key = f->destination,
		.keep_unmet = true,
	};
	if (asks_dns(f))
		names_set(&run->policy, dane_words, ARRAY_LEN(dane_words));
	else if (f->match_count > 0)
		names_set(&run->policy, f->match, f->match_count);
	else if (f->level == TLS_VERIFY)
		names_set(&run->policy, verify_words, ARRAY_LEN(verify_words));
	else if (f->level == TLS_SECURE)
		names_set(&run->policy, secure_words, ARRAY_LEN(secure_words));
}

static void records_show(const struct run *run,
			 const struct smtp_tls_policy *found)
{
	for (size_t i = 0; i < found->tlsa_count; i++) {
		const struct tls_tlsa *tlsa = &found->tlsa[i];
		char hex[TLSA_SHOWN_BYTES * 3 + 1] = "";
		size_t len = MIN_OF(tlsa->data.len, (size_t)TLSA_SHOWN_BYTES);

		for (size_t k = 0; k < len; k++)
			snprintf(hex + 3 * k, 4,
				 "%02X:", (unsigned char)tlsa->data.ptr[k]);
		if (len > 0)
			hex[3 * len - 1] = '\0';
		finger_say("using DANE RR: _%u._tcp.%s IN TLSA %u %u %u %s",
			   run->hop.port, found->tlsa_domain, tlsa->usage,
			   tlsa->selector, tlsa->matching, hex);
	}
}

/* At level dane: what DNS says about this host, or secure. false: it may not
 * be talked to. */
static bool host_policy(struct run *run, const struct smtp_host *host)
{
	struct finger *f = run->finger;
	const struct smtp_tls_policy wanted = { .wanted = f->level,
						.level = f->level };
	struct smtp_tls_policy *found;
	struct fault fault;

	run->policy.hostname = host->name;
	if (!asks_dns(f))
		return true;
	if (smtp_tls_policy_for_host(f, &run->settings, run->route.dns,
				     &run->hop, host, &wanted, &found,
				     &fault) != RC_OK) {
		finger_say("%s", fault.text);
		return false;
	}
	policy_make(run);
	run->policy.hostname = host->name;
	if (found->level != f->level) {
		if (f->level_given)
			finger_say("no TLSA records found, resorting to "
				   "\"secure\"");
		run->policy.level = TLS_SECURE;
		return true;
	}
	run->policy.tlsa = found->tlsa;
	run->policy.tlsa_count = found->tlsa_count;
	run->policy.tlsa_domain = run->policy.servername = found->tlsa_domain;
	run->policy.tlsa_insecure_mx = found->tlsa_insecure_mx;
	records_show(run, found);
	return true;
}

/* dane is the level unless another was asked for; without a trust anchor it is
 * secure. */
static enum rc resolver_open(struct run *run, struct fault *fault)
{
	struct finger *f = run->finger;
	struct dns_config dns = {
		.dnssec = !f->level_given || f->level == TLS_DANE ||
			  f->level == TLS_DANE_ONLY,
		.trust_anchor_path = run->conf->v.dnssec_trust_anchor_file,
	};
	enum rc rc = dns_open(f, &dns, &run->route.dns, fault);

	if (!f->level_given)
		f->level = rc == RC_OK ? TLS_DANE : TLS_SECURE;
	if (rc != RC_CONF || !dns.dnssec)
		return rc;
	if (f->level_given) {
		finger_say("warning: DNSSEC validation may be unavailable");
		finger_say("warning: reason: dnssec_trust_anchor_file: %s",
			   fault->text);
	}
	dns.dnssec = false;
	return dns_open(f, &dns, &run->route.dns, fault);
}

static void run_open(struct run *run, struct finger *f)
{
	struct span destination = span_from(f->destination);
	struct fault fault;

	run->finger = f;
	run->conf = conf_read(f);
	smtp_settings_init(&run->settings, run->conf, f->lmtp);
	run->settings.address_preference = f->family;
	run->settings.mx_address_limit = 0;
	run->route.settings = &run->settings;
	if (!f->lmtp && span_starts(destination, "inet:"))
		destination = span_skip(destination, 5);
	if (net_protocols_parse(run->conf->v.inet_protocols,
				&run->route.protocols, &fault) != RC_OK ||
	    resolver_open(run, &fault) != RC_OK ||
	    nexthop_parse(f, destination, f->lmtp, f->lmtp ? "24" : "smtp",
			  &run->hop, &fault) != RC_OK)
		die(&fault);
	tls_open(run);
	policy_make(run);
	run->probe = (struct smtp_probe_config){
		.settings = &run->settings,
		.tls_client = run->tls_client,
		.connect_timeout_s = f->connect_timeout_s,
		.command_timeout_s = f->command_timeout_s,
		.wrapper = f->wrapper,
		.connected = finger_show_connected,
		.chat = finger_show_chat,
		.secured = finger_show_tls,
		.arg = f,
	};
}

/* The first that can be reached; NULL and a line when none can. */
static struct smtp_probe *first_host(struct run *run, struct smtp_route *route,
				     const struct smtp_host **ret_host)
{
	struct finger *f = run->finger;
	struct smtp_probe *probe = NULL;
	const char *name = "";

	for (size_t i = 0; i < route->count && i < HOSTS_MAX_TRIED; i++) {
		struct smtp_host *host = &route->hosts[i];

		if (net_address_port(&host->address) == 0)
			net_address_set_port(&host->address, run->hop.port);
		name = host->name;
		if (!host_policy(run, host))
			continue;
		probe = smtp_probe_run(f, &run->probe, host, &run->policy);
		*ret_host = host;
		if (probe->end != PROBE_UNREACHABLE)
			return probe;
	}
	if (probe != NULL)
		finger_say("Failed to establish session to %s via %s: connect "
			   "to %s: %s",
			   f->destination, name, probe->peer, probe->why);
	return NULL;
}

/* false: there is nothing more to see. */
static bool report(const struct smtp_probe *probe)
{
	if (probe->why != NULL)
		finger_say("%s", probe->why);
	return probe->end == PROBE_SECURED;
}

static bool known(const char *const *servers, int count, const char *name)
{
	for (int i = 0; i < count; i++)
		if (strcasecmp(servers[i], name) == 0)
			return true;
	return false;
}

/* -r: is the session resumed, and by every server behind the address? */
static void reconnect(struct run *run, const struct smtp_host *host,
		      const struct smtp_probe *first)
{
	struct finger *f = run->finger;
	const char *servers[SERVERS_MAX] = { first->ehlo_name };
	int count = 1;

	f->log = (f->log & ~(unsigned)(FINGER_PEERCERT | FINGER_CERTMATCH |
				       FINGER_VERBOSE)) |
		 FINGER_CACHE | FINGER_SUMMARY;
	for (int i = 0; i < f->reconnects_max && count < SERVERS_MAX; i++) {
		struct smtp_probe *probe;

		finger_say("Reconnecting after %d seconds", f->reconnect_s);
		sleep((unsigned)f->reconnect_s);
		probe = smtp_probe_run(f, &run->probe, host, &run->policy);
		if (!report(probe))
			return;
		if (known(servers, count, probe->ehlo_name)) {
			finger_say("Found a previously used server.  Done "
				   "reconnecting.");
			return;
		}
		servers[count++] = probe->ehlo_name;
	}
	finger_say("%d servers seen, none twice", count);
}

static void finger_unix(struct run *run)
{
	run->policy.hostname = run->conf->v.myhostname;
	report(smtp_probe_unix(run->finger, &run->probe, run->hop.unix_path,
			       &run->policy));
}

static void finger_hosts(struct run *run)
{
	const struct smtp_host *host = NULL;
	struct smtp_probe *probe;
	struct smtp_route route;
	struct fault fault;

	if (smtp_route_find(run->finger, &run->route, &run->hop, false, &route,
			    &fault) != RC_OK) {
		finger_say("Destination address lookup failed: %s", fault.text);
		return;
	}
	probe = first_host(run, &route, &host);
	if (probe != NULL && report(probe) && run->finger->reconnect_s > 0)
		reconnect(run, host, probe);
}

int main(int argc, char **argv)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct run run = { 0 };

	run_open(&run, finger_parse(mem, argc, argv));
	if (run.hop.unix_path != NULL)
		finger_unix(&run);
	else
		finger_hosts(&run);
	conf_unref(run.conf);
	talloc_free(mem);
	return 0;
}
