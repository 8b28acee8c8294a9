/* SPDX-License-Identifier: Apache-2.0 */
/* Names that a client gives: are they well formed, are they in DNS? */
#include "mail/address.h"
#include "rule/restriction_rules.h"

static enum rule_result reject_hostname(struct evaluation *ev, int code,
					const char *dsn, const char *why)
{
	return rule_reject(ev, code, dsn, "<%s>: Helo command rejected: %s",
			   ev->request->helo, why);
}

enum rule_result rule_run_invalid_helo(struct evaluation *ev,
				       const struct rule_item *item)
{
	int code = ev->set->conf->v.invalid_hostname_reject_code;
	struct net_address address;
	struct span helo, ip;

	if (ev->request->helo == NULL)
		return RULE_DUNNO;
	helo = span_from(ev->request->helo);
	if (span_ends(helo, "."))
		helo = span_take(helo, helo.len - 1);
	if (span_starts(helo, "["))
		return address_literal_ip(helo, &ip)
			       ? RULE_DUNNO
			       : reject_hostname(ev, code, "5.5.2",
						 "invalid ip address");
	return domain_is_valid(helo, true) || net_address_parse(helo, &address)
		       ? RULE_DUNNO
		       : reject_hostname(ev, code, "5.5.2", "Invalid name");
}

enum rule_result rule_run_non_fqdn_helo(struct evaluation *ev,
					const struct rule_item *item)
{
	int code = ev->set->conf->v.non_fqdn_reject_code;
	int invalid_code = ev->set->conf->v.invalid_hostname_reject_code;
	struct span helo, ip;

	if (ev->request->helo == NULL)
		return RULE_DUNNO;
	helo = span_from(ev->request->helo);
	if (span_ends(helo, "."))
		helo = span_take(helo, helo.len - 1);
	if (span_starts(helo, "["))
		return address_literal_ip(helo, &ip)
			       ? RULE_DUNNO
			       : reject_hostname(ev, invalid_code, "5.5.2",
						 "invalid ip address");
	if (span_find(helo, '.') < 0 || !domain_is_valid(helo, true))
		return reject_hostname(ev, code, "5.5.2",
				       "need fully-qualified hostname");
	return RULE_DUNNO;
}

enum rule_result rule_run_non_fqdn_address(struct evaluation *ev,
					   const struct rule_item *item)
{
	enum rule_class class = (enum rule_class)item->def->arg;
	struct address_parts parts;
	const char *address = class == CLASS_OF_SENDER ? ev->request->sender
						       : ev->request->recipient;
	struct span domain, ip;

	if (address == NULL || address[0] == '\0')
		return RULE_DUNNO;
	parts = address_split(span_from(address));
	domain = parts.domain;
	if (span_ends(domain, "."))
		domain = span_take(domain, domain.len - 1);
	if (parts.has_domain &&
	    (address_literal_ip(domain, &ip) ||
	     (span_find(domain, '.') >= 0 && domain_is_valid(domain, true))))
		return RULE_DUNNO;
	return rule_reject(ev, ev->set->conf->v.non_fqdn_reject_code, "4.5.2",
			   "<%s>: %s rejected: need fully-qualified address",
			   address, rule_class_name(class));
}

/* ---- are they in DNS? ---- */

enum rule_result rule_tempfail(struct evaluation *ev, const char *action,
			       int code, const char *dsn, const char *text)
{
	if (span_is_nocase(span_from(action), "defer"))
		return rule_reject(ev, code, dsn, "%s", text);
	rule_defer_if_permit(ev, code, dsn, "%s", text);
	return RULE_DUNNO;
}

enum existence { EXISTS, EXISTS_NOT, EXISTS_MAYBE, EXISTS_NULL_MX };

static const enum dns_type mail_types[] = { DNS_MX, DNS_A, DNS_AAAA };

static bool is_null_mx(const struct dns_answer *answer)
{
	return answer->count == 1 && answer->records[0].type == DNS_MX &&
	       answer->records[0].name[0] == '\0';
}

/* Is there a host or a mail exchanger of this name? False: wait. */
static bool find_host(struct evaluation *ev, const char *name,
		      enum existence *ret_existence, const char **ret_why)
{
	bool maybe = false, wait = false;

	*ret_existence = EXISTS;
	for (size_t i = 0; i < ARRAY_LEN(mail_types); i++)
		rule_dns_begin(ev, name, mail_types[i]);
	for (size_t i = 0; i < ARRAY_LEN(mail_types); i++) {
		const struct rule_dns *dns =
			rule_dns_ask(ev, name, mail_types[i]);

		if (dns == NULL) {
			wait = true; /* another may be there already */
			if (mail_types[i] == DNS_MX)
				return false;
			continue;
		}
		if (dns->rc == RC_OK && is_null_mx(dns->answer)) {
			*ret_existence = EXISTS_NULL_MX;
			return true;
		}
		if (dns->rc == RC_OK)
			return true;
		if (dns->rc != RC_NONE && !maybe)
			*ret_why = dns->fault.text;
		maybe = maybe || dns->rc != RC_NONE;
	}
	*ret_existence = maybe ? EXISTS_MAYBE : EXISTS_NOT;
	return !wait;
}

static void host_ahead(struct evaluation *ev, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(mail_types); i++)
		rule_dns_begin(ev, name, mail_types[i]);
}

static bool is_literal(const char *name)
{
	return name[0] == '[';
}

enum rule_result rule_run_unknown_helo(struct evaluation *ev,
				       const struct rule_item *item)
{
	const struct conf_values *v = &ev->set->conf->v;
	const char *helo = ev->request->helo, *why = "", *text;
	enum existence existence;
	struct span ip;

	if (helo == NULL)
		return RULE_DUNNO;
	if (is_literal(helo))
		return address_literal_ip(span_from(helo), &ip)
			       ? RULE_DUNNO
			       : reject_hostname(
					 ev, v->invalid_hostname_reject_code,
					 "5.5.2", "invalid ip address");
	if (!find_host(ev, helo, &existence, &why))
		return RULE_WAIT;
	text = mem_printf(ev->mem,
			  "<%s>: Helo command rejected: Host not found", helo);
	switch (existence) {
	case EXISTS:
	case EXISTS_NULL_MX:
		return RULE_DUNNO;
	case EXISTS_NOT:
		return rule_reject(ev, v->unknown_hostname_reject_code, "4.7.1",
				   "%s", text);
	case EXISTS_MAYBE:
		break;
	}
	rule_note(ev, "warning", "%s: address or MX lookup error: %s", helo,
		  why);
	return rule_tempfail(ev, v->unknown_helo_hostname_tempfail_action, 450,
			     "4.7.1", text);
}

void rule_unknown_helo_ahead(struct evaluation *ev,
			     const struct rule_item *item)
{
	if (ev->request->helo != NULL && !is_literal(ev->request->helo))
		host_ahead(ev, ev->request->helo);
}

/* The domain of the address, when DNS has to know it; NULL: it need not, or
 * *ret says why. */
static const char *foreign_domain(struct evaluation *ev, enum rule_class class,
				  enum rule_result *ret)
{
	const char *address = class == CLASS_OF_SENDER ? ev->request->sender
						       : ev->request->recipient;
	const struct route *route;
	struct span domain;

	if (address == NULL || address[0] == '\0')
		return NULL;
	route = rule_route(ev, class, ret);
	if (route == NULL ||
	    (route->class != CLASS_DEFAULT && route->class != CLASS_RELAY))
		return NULL;
	domain = address_split(span_from(route->recipient != NULL
						 ? route->recipient
						 : address))
			 .domain;
	if (domain.len == 0 || domain.ptr[0] == '[')
		return NULL;
	return mem_span_dup(ev->mem, domain);
}

enum rule_result rule_run_unknown_domain(struct evaluation *ev,
					 const struct rule_item *item)
{
	const struct conf_values *v = &ev->set->conf->v;
	enum rule_class class = (enum rule_class)item->def->arg;
	bool sender = class == CLASS_OF_SENDER;
	const char *address =
		sender ? ev->request->sender : ev->request->recipient;
	const char *dsn = sender ? "4.1.8" : "4.1.2", *why = "", *text;
	enum rule_result result = RULE_DUNNO;
	const char *domain = foreign_domain(ev, class, &result);
	enum existence existence;

	if (domain == NULL)
		return result;
	if (!find_host(ev, domain, &existence, &why))
		return RULE_WAIT;
	text = mem_printf(ev->mem, "<%s>: %s rejected: Domain not found",
			  address, rule_class_name(class));
	switch (existence) {
	case EXISTS:
		return RULE_DUNNO;
	case EXISTS_NOT:
		return rule_reject(ev, v->unknown_address_reject_code, dsn,
				   "%s", text);
	case EXISTS_NULL_MX:
		return rule_reject(ev, sender ? 550 : 556,
				   sender ? "5.7.27" : "5.1.10",
				   "<%s>: %s rejected: Domain %s does not "
				   "accept mail (nullMX)",
				   address, rule_class_name(class), domain);
	case EXISTS_MAYBE:
		break;
	}
	rule_note(ev, "warning", "%s: MX or address lookup error: %s", domain,
		  why);
	return rule_tempfail(ev, v->unknown_address_tempfail_action, 450, dsn,
			     text);
}

void rule_unknown_domain_ahead(struct evaluation *ev,
			       const struct rule_item *item)
{
	bool sender = item->def->arg == CLASS_OF_SENDER;
	const char *address =
		sender ? ev->request->sender : ev->request->recipient;
	struct span domain;

	if (address == NULL)
		return;
	/* a guess that costs nothing: no table is asked */
	domain = address_split(span_from(address)).domain;
	if (domain.len > 0 && domain.ptr[0] != '[')
		host_ahead(ev, mem_span_dup(ev->mem, domain));
}
