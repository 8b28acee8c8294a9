/* SPDX-License-Identifier: Apache-2.0 */
/* Where mail is to go: may this server pass it on, does the recipient exist? */
#include <limits.h>

#include "mail/address.h"
#include "rule/restriction_access.h"
#include "rule/restriction_rules.h"
#include "rule/rule_priv.h"

const struct route *rule_route(struct evaluation *ev, enum rule_class class,
			       enum rule_result *ret)
{
	bool sender = class == CLASS_OF_SENDER;
	struct route **route =
		sender ? &ev->sender_route : &ev->recipient_route;
	const char *address =
		sender ? ev->request->sender : ev->request->recipient;
	const char *from = ev->request->sender;
	struct fault fault = { 0 };
	enum rc rc;

	if (*route != NULL)
		return *route;
	rc = resolve(ev->set->resolver, ev->mem,
		     span_from(from == NULL ? "" : from), span_from(address),
		     route, &fault);
	if (rc == RC_OK || (rc == RC_PERM && *route != NULL))
		return *route;
	if (rc == RC_PERM) {
		*ret = rule_reject(ev, 550,
				   fault.dsn[0] != '\0' ? fault.dsn : "5.1.3",
				   "<%s>: %s rejected: %s", address,
				   rule_class_name(class), fault.text);
		return NULL;
	}
	*ret = rule_lookup_failed(ev, address, &fault);
	return NULL;
}

/* Is the recipient's domain one that we are final for or relay to? */
static bool is_auth_destination(struct evaluation *ev,
				const struct route *route)
{
	if (route->class == CLASS_DEFAULT)
		return false;
	return !route->untrusted_routing ||
	       ev->set->conf->v.allow_untrusted_routing;
}

enum rule_result rule_permit_auth(struct evaluation *ev,
				  const struct rule_item *item)
{
	enum rule_result result = RULE_DUNNO;
	const struct route *route;

	if (ev->request->recipient == NULL)
		return RULE_DUNNO;
	route = rule_route(ev, CLASS_OF_RECIPIENT, &result);
	if (route == NULL)
		return result;
	return is_auth_destination(ev, route) ? RULE_OK : RULE_DUNNO;
}

enum rule_result rule_run_unauth_destination(struct evaluation *ev,
					     const struct rule_item *item)
{
	int code = ev->set->conf->v.relay_domains_reject_code - item->def->arg;
	enum rule_result result = RULE_DUNNO;
	const struct route *route;

	if (ev->request->recipient == NULL)
		return RULE_DUNNO;
	route = rule_route(ev, CLASS_OF_RECIPIENT, &result);
	if (route == NULL)
		return result;
	if (is_auth_destination(ev, route))
		return RULE_DUNNO;
	return rule_reject(ev, code, "4.7.1", "<%s>: Relay access denied",
			   ev->request->recipient);
}

static enum rule_result unlisted(struct evaluation *ev, enum rule_class class,
				 const char *address, const char *dsn)
{
	enum rule_result result = RULE_DUNNO;
	const struct route *route;
	struct fault fault = { 0 };
	int code = 550;
	enum rc rc;

	if (address == NULL || address[0] == '\0')
		return RULE_DUNNO;
	route = rule_route(ev, class, &result);
	if (route == NULL)
		return result;
	rc = recipient_is_listed(ev->set->recipients, ev->mem,
				 span_from(address), route, &code, &fault);
	if (rc == RC_OK)
		return RULE_DUNNO;
	if (rc != RC_PERM)
		return rule_lookup_failed(ev, address, &fault);
	if (strcmp(route->transport, "error") == 0)
		access_fit_dsn(fault.dsn, class);
	else if (dsn != NULL)
		snprintf(fault.dsn, sizeof(fault.dsn), "%s", dsn);
	if (fault.dsn[0] == '\0')
		snprintf(fault.dsn, sizeof(fault.dsn), "5.1.1");
	return rule_reject(ev, code, fault.dsn, "<%s>: %s rejected: %s",
			   address, rule_class_name(class), fault.text);
}

enum rule_result rule_unlisted_recipient(struct evaluation *ev,
					 const struct rule_item *item)
{
	ev->unlisted_done = true;
	return unlisted(ev, CLASS_OF_RECIPIENT, ev->request->recipient, NULL);
}

enum rule_result rule_unlisted_sender(struct evaluation *ev,
				      const struct rule_item *item)
{
	return unlisted(ev, CLASS_OF_SENDER, ev->request->sender, "5.1.0");
}

/* ---- permit_mx_backup ---- */

static const char *foreign_recipient(struct evaluation *ev,
				     enum rule_result *ret)
{
	const struct route *route;
	struct span domain;

	if (ev->request->recipient == NULL)
		return NULL;
	route = rule_route(ev, CLASS_OF_RECIPIENT, ret);
	if (route == NULL)
		return NULL;
	domain = address_split(span_from(route->recipient != NULL
						 ? route->recipient
						 : ev->request->recipient))
			 .domain;
	if (domain.len == 0 || route->class != CLASS_DEFAULT) {
		if (*ret == RULE_DUNNO && is_auth_destination(ev, route))
			*ret = RULE_OK;
		return NULL;
	}
	if (route->untrusted_routing || domain.ptr[0] == '[')
		return NULL;
	return mem_span_dup(ev->mem, domain);
}

/* Does one of its addresses satisfy the question? RULE_OK, RULE_DUNNO no,
 * RULE_REJECT not known, RULE_WAIT. */
static enum rule_result host_is(struct evaluation *ev, const char *host,
				bool ours)
{
	static const enum dns_type types[] = { DNS_A, DNS_AAAA };
	bool failed = false;

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		const struct rule_dns *dns = rule_dns_ask(ev, host, types[i]);

		if (dns == NULL)
			return RULE_WAIT;
		failed = failed || (dns->rc != RC_OK && dns->rc != RC_NONE);
		for (size_t k = 0; dns->rc == RC_OK && k < dns->answer->count;
		     k++) {
			char text[NET_ADDRESS_TEXT_MAX];
			struct span ip = span_from(net_address_text(
				&dns->answer->records[k].address, text));
			enum rc rc;

			if (ours) {
				rc = own_ips_has(ev->set->own, ip) ? RC_OK
								   : RC_NONE;
			} else {
				rc = match_list_client(
					ev->set->mx_backup_networks,
					span_from(host), ip, NULL);
			}
			if (rc == RC_OK)
				return RULE_OK;
			failed = failed || rc != RC_NONE;
		}
	}
	return failed ? RULE_REJECT : RULE_DUNNO;
}

/* Any of the exchangers, or the best of them. */
static enum rule_result any_host_is(struct evaluation *ev,
				    const struct dns_answer *mx, bool ours)
{
	enum rule_result answer = RULE_DUNNO;
	unsigned int best = UINT_MAX;

	for (size_t i = 0; i < mx->count; i++)
		best = MIN_OF(best, mx->records[i].preference);
	for (size_t i = 0; i < mx->count; i++) {
		enum rule_result one;

		if (!ours && mx->records[i].preference != best)
			continue;
		if (ours && resolve_is_local(ev->set->resolver,
					     span_from(mx->records[i].name),
					     NULL) == RC_OK)
			return RULE_OK;
		one = host_is(ev, mx->records[i].name, ours);
		if (one == RULE_OK || one == RULE_WAIT)
			return one;
		if (one == RULE_REJECT)
			answer = RULE_REJECT;
	}
	return answer;
}

/* Whether we are a backup cannot be told now. */
static enum rule_result backup_unknown(struct evaluation *ev, const char *why)
{
	rule_defer_if_reject(
		ev, mem_printf(ev->mem,
			       "450 4.4.4 <%s>: %s rejected: Unable to look up "
			       "mail exchanger information: %s",
			       ev->request->recipient,
			       rule_class_name(CLASS_OF_RECIPIENT), why));
	return RULE_DUNNO;
}

enum rule_result rule_run_mx_backup(struct evaluation *ev,
				    const struct rule_item *item)
{
	enum rule_result result = RULE_DUNNO;
	const char *domain = foreign_recipient(ev, &result);
	const struct rule_dns *mx;

	if (domain == NULL)
		return result;
	mx = rule_dns_ask(ev, domain, DNS_MX);
	if (mx == NULL)
		return RULE_WAIT;
	if (mx->rc == RC_NONE)
		return RULE_DUNNO;
	if (mx->rc != RC_OK) {
		return backup_unknown(ev, rule_dns_why(mx));
	}
	for (size_t i = 0; i < mx->answer->count; i++) {
		rule_dns_begin(ev, mx->answer->records[i].name, DNS_A);
		rule_dns_begin(ev, mx->answer->records[i].name, DNS_AAAA);
	}
	result = any_host_is(ev, mx->answer, true);
	if (result == RULE_OK &&
	    !match_list_is_empty(ev->set->mx_backup_networks))
		result = any_host_is(ev, mx->answer, false);
	return result == RULE_REJECT
		       ? backup_unknown(ev, "Host not found, try again")
		       : result;
}

void rule_mx_backup_ahead(struct evaluation *ev, const struct rule_item *item)
{
	struct span domain;

	if (ev->request->recipient == NULL)
		return;
	domain = address_split(span_from(ev->request->recipient)).domain;
	if (domain.len > 0 && domain.ptr[0] != '[')
		rule_dns_begin(ev, mem_span_dup(ev->mem, domain), DNS_MX);
}
