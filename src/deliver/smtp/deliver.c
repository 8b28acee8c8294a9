/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "base/clock.h"
#include "deliver/smtp/client.h"
#include "deliver/smtp/transaction.h"
#include "mail/address.h"
#include "net/connect.h"
#include "sys/log.h"
#include "sys/socket_unix.h"

enum { NEXTHOPS_MAX = 20, SMTP_PORT = 25 };

/* One delivery on its way through next hops and hosts. */
struct journey {
	struct smtp_client *client;
	struct delivery *d;
	struct nexthop hops[NEXTHOPS_MAX];
	size_t hop_count;
	const struct nexthop *hop;
	struct smtp_tls_policy *policy; /* of the next hop; then of a host */
	const char *cache_key;
	struct outcome why; /* of what failed last */
	const char *tls_text;
	int sessions;
	bool reached; /* a transaction was begun somewhere */
};

static void why_fault(struct journey *j, const struct fault *fault)
{
	j->why = (struct outcome){
	    .action =
		fault->rc == RC_PERM ? DELIVERY_BOUNCED : DELIVERY_DEFERRED,
	    .dsn = mem_strdup(j->d, fault->dsn),
	    .text = mem_strdup(j->d, fault->text),
	    .tls = j->tls_text,
	};
}

/* A next hop that is only the recipient's domain gives way to -o relayhost. */
static const char *nexthop_text(const struct journey *j)
{
	const struct delivery_request *request = j->d->request;
	struct address_parts to;

	if (j->client->relayhost == NULL)
		return request->nexthop;
	to = address_split(span_from(request->recipients[0].address));
	return span_is_nocase(to.domain, request->nexthop)
		   ? j->client->relayhost
		   : request->nexthop;
}

static bool hops_parse(struct journey *j, const char *text)
{
	const struct smtp_settings *set = &j->client->settings;
	struct span rest = span_from(text), word;
	struct fault fault;

	while (j->hop_count < NEXTHOPS_MAX &&
	       span_token(&rest, ", \t\r\n", &word)) {
		if (nexthop_parse(j->d, word, set->lmtp, set->tcp_port,
				  &j->hops[j->hop_count], &fault) != RC_OK) {
			log_warning("%s", fault.text);
			why_fault(j, &fault);
			return false;
		}
		j->hop_count++;
	}
	return true;
}

static bool connect_failed(struct journey *j, const char *name,
			   const char *address, uint16_t port,
			   const char *reason)
{
	const char *at = port == 0 ? "" : mem_printf(j->d, ":%u", port);
	const char *text = mem_printf(j->d, "connect to %s[%s]%s: %s", name,
				      address, at, reason);

	log_info("%s", text);
	j->why = (struct outcome){.action = DELIVERY_DEFERRED,
				  .dsn = "4.4.1",
				  .text = text,
				  .tls = j->tls_text,
				  .remote_mta = name};
	return false;
}

static bool host_connect(struct journey *j, const struct smtp_host *host,
			 struct smtp_session **ret_session)
{
	const struct smtp_client *c = j->client;
	const struct net_address *bind =
	    host->address.sa.sa_family == AF_INET6 ? &c->bind6 : &c->bind4;
	const int timeout_s = c->settings.connect_timeout;
	char address[NET_ADDRESS_TEXT_MAX];
	struct net_address to = host->address;
	struct fault fault;
	int fd;

	net_address_set_port(&to, j->hop->port);
	net_address_text(&to, address);
	if (net_connect(&to, bind->sa.sa_family != 0 ? bind : NULL,
			timeout_s * 1000, &fd, &fault) != RC_OK)
		return connect_failed(j, host->name, address, j->hop->port,
				      fault.text);
	*ret_session = smtp_session_new(&c->settings, fd, host->name, address,
					j->hop->port);
	return true;
}

static bool unix_connect(struct journey *j, struct smtp_session **ret_session)
{
	const struct smtp_settings *set = &j->client->settings;
	const char *name = set->conf->v.myhostname;
	struct fault fault;
	int fd;

	if (socket_unix_connect(-100 /* AT_FDCWD */, j->hop->unix_path,
				SOCK_STREAM, 0, &fd, &fault) != RC_OK)
		return connect_failed(j, name, j->hop->unix_path, 0,
				      fault.text);
	*ret_session = smtp_session_new(set, fd, name, j->hop->unix_path, 0);
	return true;
}

/* Old enough to go in clear when TLS does not work (level may). */
static bool plaintext_allowed(const struct journey *j)
{
	const struct smtp_settings *set = &j->client->settings;
	const uint64_t age_us =
	    clock_wall_us() - j->d->request->env->arrival_us;

	return j->policy->level == TLS_MAY && !set->sasl_auth_enable &&
	       age_us >= (uint64_t)set->conf->v.minimal_backoff_time * 1000000;
}

/* *host NULL: the Unix socket of the next hop. */
static bool session_open(struct journey *j, const struct smtp_host *host,
			 struct smtp_session **ret_session)
{
	struct smtp_hello hello = {
	    .policy = j->policy,
	    .tls_client = j->client->tls,
	    .memory = j->client->starttls,
	    .domain = j->hop->host,
	    .detect_loop =
		j->hop->port == SMTP_PORT && !j->client->settings.lmtp,
	};
	struct smtp_session *s;

	for (;;) {
		if (host != NULL ? !host_connect(j, host, &s)
				 : !unix_connect(j, &s))
			return false;
		s->key = mem_strdup(s, j->cache_key);
		if (smtp_session_hello(s, j->d, &hello, &j->why)) {
			*ret_session = s;
			return true;
		}
		/* why has texts of the session. */
		if (j->why.relay != NULL)
			j->why.relay = mem_strdup(j->d, j->why.relay);
		if (j->why.tls != NULL)
			j->why.tls = mem_strdup(j->d, j->why.tls);
		if (j->why.remote_mta != NULL)
			j->why.remote_mta = mem_strdup(j->d, j->why.remote_mta);
		smtp_session_close(s);
		if (!hello.tls_failed || !plaintext_allowed(j))
			return false;
		hello.tls_failed = false;
		hello.plaintext_only = true;
	}
}

static void session_end(struct journey *j, struct smtp_session *s)
{
	if ((s->tls == NULL || s->tls_reuse) &&
	    smtp_cache_keep(j->client->cache, s))
		agent_wake(j->client->agent);
	else
		smtp_session_close(s);
}

/* why points at texts of the session, which may be gone soon. */
static void why_keep(struct journey *j)
{
	const char **const texts[] = {&j->why.relay, &j->why.tls,
				      &j->why.remote_mta, &j->why.dsn};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (*texts[i] != NULL)
			*texts[i] = mem_strdup(j->d, *texts[i]);
}

/* false: the session was over before it began; try a fresh one. */
static bool session_use(struct journey *j, struct smtp_session *s,
			bool last_host)
{
	enum smtp_transaction_end end;

	s->uses++;
	j->d->connected_us = clock_wall_us();
	end = smtp_transaction_run(j->client, j->d, s, last_host, &j->why);
	why_keep(j);
	if (end == SMTP_TRANSACTION_STALE) {
		smtp_session_close(s);
		return false;
	}
	j->reached = true;
	j->sessions++;
	delivery_report(j->d, j->d->open_count == 0);
	if (end == SMTP_TRANSACTION_DONE)
		session_end(j, s);
	else
		smtp_session_close(s);
	return true;
}

static bool sessions_used_up(const struct journey *j, int more)
{
	const int limit = j->client->settings.mx_session_limit;

	return limit > 0 && j->sessions + more >= limit;
}

static void cached_try(struct journey *j)
{
	struct smtp_session *s;

	while (j->d->open_count > 0 &&
	       (s = smtp_cache_take(j->client->cache, j->cache_key)) != NULL) {
		if (s->tls != NULL && s->settings->tls_loglevel[0] > '0')
			log_info("%s", tls_summary_reused(j->d, s->tls, "to",
							  s->relay));
		if (session_use(j, s, false))
			return;
	}
}

/* What this host has to meet. */
static bool host_policy(struct journey *j, const struct smtp_tls_policy *policy,
			const struct smtp_host *host)
{
	struct smtp_client *c = j->client;
	struct fault fault;

	if (smtp_tls_policy_for_host(j->d, &c->settings, c->route.dns, j->hop,
				     host, policy, &j->policy,
				     &fault) != RC_OK) {
		why_fault(j, &fault);
		return false;
	}
	j->tls_text = smtp_tls_text(j->d, &c->settings, j->policy, "?");
	return true;
}

static void hosts_try(struct journey *j, bool last_hop)
{
	const struct smtp_tls_policy *policy = j->policy;
	const bool detect_loop =
	    j->hop->port == SMTP_PORT && !j->client->settings.lmtp;
	struct smtp_route route = {0};
	struct smtp_session *s;
	struct fault fault;

	if (j->hop->unix_path != NULL) {
		if (session_open(j, NULL, &s))
			session_use(j, s, last_hop);
		return;
	}
	if (smtp_route_find(j->d, &j->client->route, j->hop, detect_loop,
			    &route, &fault) != RC_OK) {
		why_fault(j, &fault);
		if (j->policy->level == TLS_MAY)
			j->why.tls = NULL;
		return;
	}
	for (size_t i = 0; i < route.count && j->d->open_count > 0; i++) {
		const bool last_host = last_hop && i + 1 == route.count;

		if (sessions_used_up(j, 0))
			return;
		if (!host_policy(j, policy, &route.hosts[i]))
			continue;
		if (!session_open(j, &route.hosts[i], &s)) {
			if (j->why.action == DELIVERY_BOUNCED)
				return;
			continue;
		}
		session_use(j, s, last_host || sessions_used_up(j, 1));
	}
}

static void hop_try(struct journey *j, bool last_hop)
{
	struct smtp_client *c = j->client;
	struct fault fault;

	if (smtp_tls_policy_find(j->d, &c->settings, c->tls_policy, j->hop,
				 &j->policy, &fault) != RC_OK) {
		log_warning("TLS policy lookup for %s/%s: %s", j->hop->host,
			    j->hop->host, fault.text);
		why_fault(j, &fault);
		return;
	}
	j->tls_text = smtp_tls_text(j->d, &c->settings, j->policy, "?");
	/* What was opened under another policy is not for this mail. */
	j->cache_key =
	    mem_printf(j->d, "%s\n%s", j->hop->text,
		       smtp_tls_policy_text(j->d, j->policy));
	smtp_cache_enter(c->cache, j->cache_key);
	cached_try(j);
	if (j->d->open_count > 0)
		hosts_try(j, last_hop);
	smtp_cache_leave(c->cache, j->cache_key);
}

static void journey_end(struct journey *j)
{
	if (!j->reached && j->why.text != NULL)
		fault_set(&j->d->site,
			  j->why.action == DELIVERY_BOUNCED ? RC_PERM : RC_TEMP,
			  j->why.dsn, "%s", j->why.text);
	if (j->d->open_count == 0)
		return;
	if (j->d->connected_us == 0)
		j->d->connected_us = clock_wall_us();
	delivery_settle_open(j->d, &j->why);
}

void smtp_client_deliver(void *arg, struct delivery *d)
{
	struct journey *j = mem_new(d, struct journey);
	struct smtp_client *client = arg;
	struct fault fault;

	j->client = client;
	j->d = d;
	if (client->unmet != NULL || client->settings.sasl_auth_enable) {
		fault_set(&fault, RC_TEMP, "4.3.5", "%s",
			  client->unmet != NULL
			      ? client->unmet
			      : "smtp_sasl_auth_enable is set and not "
				"supported yet");
		why_fault(j, &fault);
	} else if (hops_parse(j, nexthop_text(j)) &&
		   hops_parse(j, client->settings.fallback_relay)) {
		for (size_t i = 0; i < j->hop_count && d->open_count > 0; i++) {
			j->hop = &j->hops[i];
			hop_try(j, i + 1 == j->hop_count);
		}
	}
	journey_end(j);
}
