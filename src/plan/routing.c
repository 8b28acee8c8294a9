/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/routing.h"

#include <pwd.h>

#include "base/clock.h"
#include "rule/verify_sender.h"

static int plan_conf_done(struct plan_conf *plan_conf)
{
	/* it counts on the same snapshot, by way of a copy that is ours */
	if (plan_conf->probe_resolver != plan_conf->resolver)
		talloc_free(plan_conf->probe_resolver);
	conf_unref(plan_conf->conf);
	return 0;
}

static enum rc lists_open(struct plan_conf *plan_conf, struct fault *fault)
{
	const struct conf_values *v = &plan_conf->conf->v;

	const struct {
		const char *parameter, *text;
		struct match_list **list;
	} lists[] = {
		{ "authorized_mailq_users", v->authorized_mailq_users,
		  &plan_conf->mailq_users },
		{ "authorized_flush_users", v->authorized_flush_users,
		  &plan_conf->flush_users },
		{ "defer_transports", v->defer_transports,
		  &plan_conf->defer_transports },
		{ "fast_flush_domains", v->fast_flush_domains,
		  &plan_conf->flush_domains },
	};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		if (match_list_open(plan_conf, plan_conf->conf,
				    lists[i].parameter, lists[i].text,
				    lists[i].list, fault) != RC_OK)
			return fault_add(fault, "%s", lists[i].parameter);
	return RC_OK;
}

/* Probes may go another way than mail. */
static enum rc probe_resolver_open(struct plan_conf *plan_conf,
				   struct fault *fault)
{
	struct conf *conf = mem_new(plan_conf, struct conf);
	struct conf_values *v = &conf->v;
	const struct conf_values *usual = &plan_conf->conf->v;
	bool same = true;

	plan_conf->probe_conf = conf;
	*conf = *plan_conf->conf;
#define OWN(name, probe)        \
	v->name = usual->probe; \
	same = same && strcmp(v->name, usual->name) == 0
	OWN(transport_maps, address_verify_transport_maps);
	OWN(default_transport, address_verify_default_transport);
	OWN(local_transport, address_verify_local_transport);
	OWN(virtual_transport, address_verify_virtual_transport);
	OWN(relay_transport, address_verify_relay_transport);
	OWN(relayhost, address_verify_relayhost);
	OWN(sender_dependent_relayhost_maps,
	    address_verify_sender_dependent_relayhost_maps);
	OWN(sender_dependent_default_transport_maps,
	    address_verify_sender_dependent_default_transport_maps);
#undef OWN
	if (!same)
		return resolver_open(plan_conf, conf,
				     &plan_conf->probe_resolver, fault);
	plan_conf->probe_resolver = plan_conf->resolver;
	return RC_OK;
}

enum rc plan_conf_open(struct conf *conf, struct plan_conf **ret_plan_conf,
		       struct fault *fault)
{
	struct plan_conf *plan_conf = mem_new(NULL, struct plan_conf);
	const struct passwd *owner = getpwnam(conf->v.mail_owner);
	enum rc rc;

	plan_conf->uses = 1;
	plan_conf->conf = conf_ref(conf);
	plan_conf->mail_owner_uid = owner == NULL ? UINT32_MAX : owner->pw_uid;
	talloc_set_destructor(plan_conf, plan_conf_done);
	rc = resolver_open(plan_conf, conf, &plan_conf->resolver, fault);
	if (rc == RC_OK)
		rc = probe_resolver_open(plan_conf, fault);
	if (rc == RC_OK)
		rc = lists_open(plan_conf, fault);
	if (rc != RC_OK) {
		talloc_free(plan_conf);
		return rc;
	}
	*ret_plan_conf = plan_conf;
	return RC_OK;
}

struct plan_conf *plan_conf_ref(struct plan_conf *plan_conf)
{
	__atomic_add_fetch(&plan_conf->uses, 1, __ATOMIC_RELAXED);
	return plan_conf;
}

void plan_conf_unref(struct plan_conf *plan_conf)
{
	if (__atomic_sub_fetch(&plan_conf->uses, 1, __ATOMIC_ACQ_REL) == 0)
		talloc_free(plan_conf);
}

static const char *domain_of(const char *address)
{
	const char *at = strrchr(address, '@');

	return at == NULL ? address : at + 1;
}

/* "transport:nexthop" of a content filter or FILTER action. */
static void route_by_filter(TALLOC_CTX *mem, const struct conf *conf,
			    const char *filter, struct routing *routing)
{
	const char *colon = strchr(filter, ':');

	routing->transport =
		colon == NULL
			? filter
			: mem_span_dup(mem, (struct span){
						    filter,
						    (size_t)(colon - filter) });
	routing->nexthop = colon == NULL ? "" : colon + 1;
	if (routing->nexthop[0] == '\0')
		routing->nexthop = conf->v.default_filter_nexthop;
	if (routing->nexthop[0] == '\0')
		routing->nexthop = domain_of(routing->address);
}

static bool is_double_bounce(const struct conf *conf, const struct route *route)
{
	size_t len = strlen(conf->v.double_bounce_sender);

	if (route->class != CLASS_LOCAL)
		return false;
	if (conf->v.address_verify_sender_ttl > 0 &&
	    verify_sender_is(conf, span_from(route->recipient),
			     (int64_t)(clock_wall_us() / 1000000)))
		return true;
	return strncasecmp(route->recipient, conf->v.double_bounce_sender,
			   len) == 0 &&
	       (route->recipient[len] == '@' || route->recipient[len] == '\0');
}

static void route_one(TALLOC_CTX *mem, const struct plan_conf *plan_conf,
		      const struct envelope *env, struct routing *routing)
{
	const char *address = env->recipients[routing->recipient].address;
	struct route *route = NULL;
	struct fault fault;
	enum rc rc;

	routing->address = address;
	rc = resolve((env->flags & ENVELOPE_VERIFY) != 0
			     ? plan_conf->probe_resolver
			     : plan_conf->resolver,
		     mem, span_from(env->sender), span_from(address), &route,
		     &fault);
	if (rc == RC_OK) {
		routing->transport = route->transport;
		routing->nexthop = route->nexthop;
		routing->address = route->recipient;
		routing->is_double_bounce =
			is_double_bounce(plan_conf->conf, route);
		if (env->filter != NULL && env->filter[0] != '\0')
			route_by_filter(mem, plan_conf->conf, env->filter,
					routing);
		return;
	}
	if (rc == RC_PERM) {
		routing->transport = "error";
		routing->nexthop =
			mem_printf(mem, "%s %s", fault.dsn, fault.text);
		return;
	}
	routing->transport = "retry";
	routing->nexthop = "4.3.0 address resolver failure";
}

void routing_resolve(TALLOC_CTX *mem, const struct plan_conf *plan_conf,
		     const struct envelope *env, struct routing *routings,
		     size_t count)
{
	for (size_t i = 0; i < count; i++)
		route_one(mem, plan_conf, env, &routings[i]);
}
