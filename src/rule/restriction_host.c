/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check_{client,reverse_client_hostname,helo,sender,recipient}_{a,mx,ns}_access:
 * a table is asked about the servers of a domain, by name and by address.
 */
#include "mail/address.h"
#include "rule/restriction_access.h"
#include "rule/restriction_rules.h"

enum { ADDRESSES_MAX = 100 };

struct servers {
	struct evaluation *ev;
	const struct rule_item *item;
	struct access *access;
	enum dns_type type;
	const char *domain, *subject;
	const char **names;
	size_t count;
	size_t addresses; /* looked at */
};

static const struct {
	enum rule_class class;
	enum dns_type type;
} kinds[] = {
#define KINDS(name, class)                      \
	[HOST_##name##_A] = { class, DNS_A },   \
	[HOST_##name##_MX] = { class, DNS_MX }, \
	[HOST_##name##_NS] = { class, DNS_NS }
	KINDS(CLIENT, CLASS_OF_CLIENT),
	KINDS(REVERSE, CLASS_OF_REVERSE_CLIENT),
	KINDS(HELO, CLASS_OF_HELO),
	KINDS(SENDER, CLASS_OF_SENDER),
	KINDS(RECIPIENT, CLASS_OF_RECIPIENT),
#undef KINDS
};

/* What the servers are those of; NULL: nothing to look at. */
static const char *domain_of(struct evaluation *ev, enum rule_class class)
{
	const struct restriction_request *req = ev->request;
	const char *name = NULL;
	struct address_parts parts;

	switch (class) {
	case CLASS_OF_CLIENT:
		name = req->client_name;
		break;
	case CLASS_OF_REVERSE_CLIENT:
		name = req->reverse_name;
		break;
	case CLASS_OF_HELO:
		return req->helo;
	case CLASS_OF_SENDER:
		name = req->sender;
		break;
	case CLASS_OF_RECIPIENT:
		name = req->recipient;
		break;
	default:
		break;
	}
	if (name == NULL || name[0] == '\0')
		return NULL;
	if (class == CLASS_OF_CLIENT || class == CLASS_OF_REVERSE_CLIENT)
		return strcmp(name, "unknown") == 0 ? NULL : name;
	parts = address_split(span_from(name));
	return mem_span_dup(ev->mem, parts.has_domain ? parts.domain :
							parts.local);
}

static void name_add(struct servers *s, const char *name)
{
	s->names = mem_resize(s->ev->mem, s->names, const char *, s->count + 1);
	s->names[s->count++] = name;
}

static void not_found(struct servers *s, const char *domain, const char *why)
{
	rule_note(s->ev, "warning", "Unable to look up %s host for %s: %s",
		  dns_type_name(s->type), domain, why);
}

/* RULE_DUNNO: s->names is there, maybe empty. */
static enum rule_result names_find(struct servers *s)
{
	const char *domain = s->domain, *dot = domain;
	const struct rule_dns *dns = rule_dns_ask(s->ev, domain, s->type);

	while (dns != NULL && dns->rc == RC_NONE && s->type == DNS_NS &&
	       (dot = strchr(domain, '.')) != NULL && dot[1] != '\0') {
		domain = dot + 1;
		dns = rule_dns_ask(s->ev, domain, DNS_NS);
	}
	if (dns == NULL)
		return RULE_WAIT;
	if (dns->rc == RC_NONE && s->type == DNS_MX) {
		name_add(s, domain);
		return RULE_DUNNO;
	}
	if (dns->rc != RC_OK) {
		not_found(s, dot == NULL ? s->subject : domain,
			  rule_dns_why(dns));
		return RULE_DUNNO;
	}
	for (size_t i = 0; i < dns->answer->count; i++)
		if (dns->answer->records[i].name[0] != '\0') /* no null MX */
			name_add(s, dns->answer->records[i].name);
	return RULE_DUNNO;
}

/* The addresses of one server; `begin`: only ask. RULE_WAIT, or *found. */
static enum rule_result addresses_check(struct servers *s, const char *name,
					bool *found)
{
	static const enum dns_type types[] = { DNS_A, DNS_AAAA };
	const char *why = NULL;
	bool any = false;

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		const struct rule_dns *dns =
			rule_dns_ask(s->ev, name, types[i]);

		if (dns == NULL)
			return RULE_WAIT;
		if (dns->rc != RC_OK && why == NULL)
			why = rule_dns_why(dns);
		for (size_t k = 0; dns->rc == RC_OK && k < dns->answer->count;
		     k++) {
			char text[NET_ADDRESS_TEXT_MAX];

			any = true;
			if (s->addresses++ == ADDRESSES_MAX) {
				rule_note(s->ev, "warning",
					  "%s: %s server address count limit "
					  "(%d) exceeded for %s %s -- ignoring "
					  "the remainder",
					  s->item->word, dns_type_name(s->type),
					  ADDRESSES_MAX,
					  rule_class_name(s->access->class),
					  s->subject);
				return RULE_DUNNO;
			}
			net_address_text(&dns->answer->records[k].address,
					 text);
			if (access_try_ip(s->access, span_from(text))) {
				*found = true;
				return s->access->result;
			}
		}
	}
	if (!any && s->type != DNS_A)
		rule_note(s->ev, "warning",
			  "Unable to look up %s host %s for %s %s: %s",
			  dns_type_name(s->type), name,
			  rule_class_name(s->access->class), s->subject, why);
	return RULE_DUNNO;
}

static enum rule_result servers_check(struct servers *s)
{
	bool found = false;

	for (size_t i = 0; i < s->count; i++) {
		rule_dns_begin(s->ev, s->names[i], DNS_A);
		rule_dns_begin(s->ev, s->names[i], DNS_AAAA);
	}
	for (size_t i = 0; i < s->count; i++) {
		enum rule_result result;

		if (s->type != DNS_A &&
		    access_try_domain(s->access, span_from(s->names[i])))
			return s->access->result;
		result = addresses_check(s, s->names[i], &found);
		if (found || result == RULE_WAIT ||
		    s->addresses > ADDRESSES_MAX)
			return result;
	}
	return RULE_DUNNO;
}

/* A literal has its address, and nothing to ask DNS for. */
static enum rule_result literal_check(struct servers *s)
{
	struct span ip;

	if (s->type == DNS_NS || !address_literal_ip(span_from(s->domain), &ip))
		return RULE_DUNNO;
	return access_try_ip(s->access, ip) ? s->access->result : RULE_DUNNO;
}

enum rule_result rule_check_host(struct evaluation *ev,
				 const struct rule_item *item)
{
	enum rule_class class = kinds[item->def->arg].class;
	struct access access;
	struct servers s = {
		.ev = ev,
		.item = item,
		.access = &access,
		.type = kinds[item->def->arg].type,
		.domain = domain_of(ev, class),
	};
	enum rule_result result = RULE_DUNNO;

	if (s.domain == NULL || s.domain[0] == '\0')
		return RULE_DUNNO;
	access_init(&access, ev, item, class);
	s.subject = access.subject;
	if (s.domain[0] == '[')
		return access_no_ok(&access, literal_check(&s));
	if (s.type == DNS_A)
		name_add(&s, s.domain);
	else
		result = names_find(&s);
	if (result == RULE_DUNNO)
		result = servers_check(&s);
	return access_no_ok(&access, result);
}

void rule_host_ahead(struct evaluation *ev, const struct rule_item *item)
{
	const char *domain = domain_of(ev, kinds[item->def->arg].class);
	enum dns_type type = kinds[item->def->arg].type;

	if (domain == NULL || domain[0] == '\0' || domain[0] == '[')
		return;
	rule_dns_begin(ev, domain, type);
	if (type == DNS_A)
		rule_dns_begin(ev, domain, DNS_AAAA);
}
