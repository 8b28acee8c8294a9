/* SPDX-License-Identifier: Apache-2.0 */
#include "rule/resolve.h"

#include <stdatomic.h>

#include "base/clock.h"
#include "mail/address.h"
#include "rule/resolve_priv.h"
#include "rule/rewrite.h"
#include "sys/log.h"

enum { ROUTE_HOPS_MAX = 100, WARN_EVERY_MS = 1000 };

/* Whoever asked tells its peer "try later"; the operator hears why. */
static void failure_log(struct resolver *resolver, const struct fault *fault)
{
	uint64_t now_ms = clock_mono_ms();
	uint64_t last_ms = atomic_load(&resolver->warned_ms);

	if (last_ms != 0 && now_ms - last_ms < WARN_EVERY_MS)
		return;
	if (atomic_compare_exchange_strong(&resolver->warned_ms, &last_ms,
					   now_ms))
		log_warning_as("trivial-rewrite", "%s", fault->text);
}

static enum rc bad_syntax(TALLOC_CTX *mem, struct span address,
			  struct route **ret_route, struct fault *fault)
{
	struct route *route = mem_new(mem, struct route);

	route->transport = mem_strdup(route, "error");
	route->recipient = mem_span_dup(route, address);
	route->nexthop = mem_strdup(route, "5.1.3 bad address syntax");
	route->class = CLASS_DEFAULT;
	*ret_route = route;
	return fault_set(fault, RC_PERM, "5.1.3", "bad address syntax");
}

enum rc resolve_is_local(struct resolver *resolver, struct span domain,
			 struct fault *fault)
{
	struct span ip;

	if (domain.len > 1 && domain.ptr[domain.len - 1] == '.')
		domain.len--;
	if (domain.len > 0 && domain.ptr[0] == '[') {
		if (!address_literal_ip(domain, &ip))
			return RC_NONE;
		return own_ips_has(resolver->own, ip) ? RC_OK : RC_NONE;
	}
	return match_list_domain(resolver->mydestination, domain, fault);
}

/* Does a local part send the mail on? With resolve_dequoted_address=no what
 * had to be quoted is text and no operator. */
static bool local_has_route(const struct resolver *resolver, struct span local)
{
	if (!resolver->conf->v.resolve_dequoted_address &&
	    address_needs_quotes(local))
		return false;
	return span_find(local, '@') >= 0 || span_find(local, '%') >= 0 ||
	       span_find(local, '!') >= 0;
}

/* user@there@here: take what is left of our own domain. false when there is
 * nothing that goes on. */
static bool local_route_take(const struct resolver *resolver,
			     TALLOC_CTX *scratch, struct span local,
			     struct span *address)
{
	struct buf out;

	if (!local_has_route(resolver, local))
		return false;
	if (span_find(local, '@') >= 0) {
		*address = local;
		return true;
	}
	buf_init(&out, scratch, local.len + 2);
	if (!rewrite_route_address(resolver->conf, local, &out))
		return false;
	*address = buf_span(&out);
	return true;
}

/* An address without @: of a route form, or of our own domain. */
static struct span domain_give(const struct resolver *resolver,
			       TALLOC_CTX *scratch, struct span local)
{
	struct buf out;

	buf_init(&out, scratch, local.len + 2);
	if (rewrite_route_address(resolver->conf, local, &out))
		return buf_span(&out);
	return span_from(mem_printf(scratch, "%.*s@%s", SPAN_FMT(local),
				    resolver->conf->v.myorigin));
}

static enum rc own_domain(struct resolver *resolver, TALLOC_CTX *scratch,
			  struct target *target, bool *again)
{
	struct address_parts parts = address_split(target->address);

	*again = local_route_take(resolver, scratch, parts.local,
				  &target->address);
	if (*again)
		return RC_OK;
	if (parts.local.len == 0)
		target->address = span_from(mem_printf(
			scratch, "%s@%.*s",
			resolver->conf->v.empty_address_recipient,
			SPAN_FMT(parts.domain)));
	target->is_local = true;
	return RC_OK;
}

/* "1.2.3.4" without brackets, when the operator allows it. */
static struct span numeric_bracket(const struct resolver *resolver,
				   TALLOC_CTX *scratch, struct span domain)
{
	struct span ip;
	char *literal;

	if (!resolver->conf->v.resolve_numeric_domain)
		return domain;
	literal = mem_printf(scratch, "[%.*s]", SPAN_FMT(domain));
	return address_literal_ip(span_from(literal), &ip) ?
		       span_from(literal) :
		       domain;
}

static enum rc foreign_domain(struct resolver *resolver, TALLOC_CTX *scratch,
			      struct target *target)
{
	struct address_parts parts = address_split(target->address);
	struct span domain, ip;

	domain = numeric_bracket(resolver, scratch, parts.domain);
	if (domain.ptr != parts.domain.ptr) {
		target->address = span_from(
			mem_printf(scratch, "%.*s@%.*s", SPAN_FMT(parts.local),
				   SPAN_FMT(domain)));
		parts = address_split(target->address);
	}
	target->routed = local_has_route(resolver, parts.local);
	if (domain.len > 0 && domain.ptr[0] == '[')
		return address_literal_ip(domain, &ip) ? RC_OK : RC_PERM;
	return domain_is_valid(domain, resolver->conf->v.smtputf8_enable) ?
		       RC_OK :
		       RC_PERM;
}

/* One round: RC_OK with *again when the address has become another one. */
static enum rc target_step(struct resolver *resolver, TALLOC_CTX *scratch,
			   struct target *target, bool *again,
			   struct fault *fault)
{
	struct address_parts parts = address_split(target->address);
	enum rc rc;

	*again = false;
	if (!parts.has_domain) {
		target->address = domain_give(resolver, scratch, parts.local);
		*again = true;
		return RC_OK;
	}
	if (parts.domain.len > 1 && span_ends(parts.domain, ".") &&
	    !span_ends(parts.domain, "..")) {
		target->address.len--;
		*again = true;
		return RC_OK;
	}
	if (parts.domain.len == 0) {
		if (!resolver->conf->v.resolve_null_domain)
			return RC_PERM;
		return own_domain(resolver, scratch, target, again);
	}
	rc = resolve_is_local(resolver, parts.domain, fault);
	if (rc == RC_OK)
		return own_domain(resolver, scratch, target, again);
	if (rc != RC_NONE)
		return rc;
	return foreign_domain(resolver, scratch, target);
}

static enum rc target_find(struct resolver *resolver, TALLOC_CTX *scratch,
			   struct target *target, struct fault *fault)
{
	for (int hop = 0; hop < ROUTE_HOPS_MAX; hop++) {
		bool again;
		enum rc rc = target_step(resolver, scratch, target, &again,
					 fault);

		if (rc != RC_OK)
			return rc;
		if (!again) {
			target->domain = address_split(target->address).domain;
			return RC_OK;
		}
	}
	return RC_PERM;
}

enum rc resolve(struct resolver *resolver, TALLOC_CTX *mem, struct span sender,
		struct span recipient, struct route **ret_route,
		struct fault *fault)
{
	SCRATCH TALLOC_CTX *scratch = talloc_new(NULL);
	struct target target = { .sender = sender, .address = recipient };
	struct fault own;
	struct route *route;
	enum rc rc;

	if (fault == NULL)
		fault = &own;
	if (recipient.len == 0)
		target.address =
			span_from(resolver->conf->v.empty_address_recipient);
	rc = target_find(resolver, scratch, &target, fault);
	/* A command that gets it as an argument would take it for an option. */
	if (rc == RC_OK && !resolver->conf->v.allow_min_user &&
	    span_starts(target.address, "-"))
		rc = RC_PERM;
	if (rc == RC_PERM)
		return bad_syntax(mem, target.address, ret_route, fault);
	if (rc == RC_OK)
		rc = resolve_transport(resolver, scratch, &target, fault);
	if (rc != RC_OK) {
		failure_log(resolver, fault);
		return rc;
	}
	route = mem_new(mem, struct route);
	route->transport = mem_span_dup(route, target.transport);
	route->nexthop = mem_span_dup(route, target.nexthop);
	route->recipient = mem_span_dup(route, target.address);
	route->class = target.class;
	route->untrusted_routing = target.routed;
	*ret_route = route;
	return RC_OK;
}
