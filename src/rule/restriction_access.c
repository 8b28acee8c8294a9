/* SPDX-License-Identifier: Apache-2.0 */
/* Access tables: which keys are tried, in which order. */
#include "mail/address.h"
#include "rule/restriction_access.h"

/* False: nothing under this key, go on. */
bool access_try_key(struct access *a, struct span key)
{
	struct evaluation *ev = a->ev;
	struct fault fault = { 0 };
	struct span value;
	enum rc rc = maps_lookup(a->maps, ev->mem, key, &value, &fault);

	if (rc == RC_NONE)
		return false;
	a->found = true;
	if (rc == RC_OK) {
		a->result = access_act(a, value);
		return true;
	}
	if (fault.text[0] != '\0')
		rule_note(ev, "warning", "%s", fault.text);
	rule_note(ev, "warning", "%s lookup error for \"%.*s\"", a->source,
		  SPAN_FMT(key));
	a->result = access_config_error(a);
	return true;
}

/* example.test, and its parents in the style of the configuration. */
bool access_try_domain(struct access *a, struct span domain)
{
	bool numeric = domain.len > 0 &&
		       ascii_is_digit(domain.ptr[domain.len - 1]);

	if (access_try_key(a, domain))
		return true;
	while (!a->pattern && !numeric) {
		ssize_t dot = span_find(span_skip(domain, 1), '.');

		if (dot < 0)
			return false;
		domain = span_skip(domain, (size_t)dot + 1); /* at the dot */
		if (domain.len < 2)
			return false;
		if (access_try_key(a, a->ev->set->parent_domains
					      ? span_skip(domain, 1)
					      : domain))
			return true;
		if (a->ev->set->parent_domains)
			domain = span_skip(domain, 1);
	}
	return false;
}

/* 192.0.2.1, 192.0.2, 192.0, 192; 2001:db8::1, 2001:db8:, ... */
bool access_try_ip(struct access *a, struct span ip)
{
	char separator = span_find(ip, ':') >= 0 ? ':' : '.';
	ssize_t cut;

	if (access_try_key(a, ip))
		return true;
	while (!a->pattern && (cut = span_rfind(ip, separator)) > 0) {
		ip = span_take(ip, (size_t)cut);
		if (separator == ':' && span_ends(ip, ":"))
			ip = span_take(ip, ip.len - 1);
		if (access_try_key(a, ip))
			return true;
	}
	return false;
}

static bool try_user(struct access *a, struct span local, struct span domain)
{
	struct evaluation *ev = a->ev;

	return access_try_key(
		a, span_from(mem_printf(ev->mem, "%.*s@%.*s", SPAN_FMT(local),
					SPAN_FMT(domain))));
}

static bool try_address(struct access *a, const char *address)
{
	struct evaluation *ev = a->ev;
	struct address_parts parts = address_split(span_from(address));
	struct span none = { "", 0 }, base = none, extension;
	bool extended;

	if (a->pattern || !parts.has_domain)
		return access_try_key(a, span_from(address));
	extended = address_split_extension(
		parts.local, ev->set->conf->v.recipient_delimiter,
		ev->set->conf->v.owner_request_special, &base, &extension);
	return try_user(a, parts.local, parts.domain) ||
	       (extended && try_user(a, base, parts.domain)) ||
	       access_try_domain(a, parts.domain) ||
	       try_user(a, parts.local, none) ||
	       (extended && try_user(a, base, none));
}

static bool try_mail_address(struct access *a)
{
	const struct route *route;

	if (a->subject[0] == '\0')
		return access_try_key(
			a, span_from(a->ev->set->conf->v
					     .smtpd_null_access_lookup_key));
	route = rule_route(a->ev, a->class, &a->result);
	if (route == NULL)
		return true; /* refused already */
	return try_address(a, route->recipient != NULL ? route->recipient :
							 a->subject);
}

/* The fingerprints of the client's certificate, in the order of the rule. */
static bool try_certificate(struct access *a)
{
	const struct restriction_request *req = a->ev->request;
	struct span order = span_from(a->item->order), word;

	if (a->item->order == NULL)
		order = SPAN_OF("cert_fingerprint, pubkey_fingerprint");
	while (span_token(&order, ", \t", &word)) {
		const char *key = span_is_nocase(word, "cert_fingerprint")
					  ? req->cert_fingerprint
					  : req->pubkey_fingerprint;

		if (key != NULL && access_try_key(a, span_from(key)))
			return true;
	}
	return false;
}

static bool ask_table(struct access *a)
{
	const struct restriction_request *req = a->ev->request;

	switch (a->class) {
	case CLASS_OF_CLIENT:
		return access_try_domain(a, span_from(req->client_name)) ||
		       access_try_ip(a, span_from(req->client_address));
	case CLASS_OF_REVERSE_CLIENT:
		return access_try_domain(a, span_from(req->reverse_name)) ||
		       access_try_ip(a, span_from(req->client_address));
	case CLASS_OF_HELO:
		return req->helo != NULL &&
		       access_try_domain(a, span_from(req->helo));
	case CLASS_OF_SENDER:
		return req->sender != NULL && try_mail_address(a);
	case CLASS_OF_RECIPIENT:
		return req->recipient != NULL && try_mail_address(a);
	case CLASS_OF_ETRN:
		return req->etrn_domain != NULL &&
		       access_try_domain(a, span_from(req->etrn_domain));
	case CLASS_OF_CERT:
		return try_certificate(a);
	case CLASS_OF_LOGIN:
		return req->sasl_username != NULL &&
		       access_try_key(a, span_from(req->sasl_username));
	default:
		return false;
	}
}

void access_init(struct access *a, struct evaluation *ev,
		 const struct rule_item *item, enum rule_class class)
{
	*a = (struct access){
		.ev = ev,
		.item = item,
		.maps = item->maps,
		.source = item->arg,
		.class = class,
		.subject = rule_subject(ev, class),
		.pattern = item->maps != NULL && maps_count(item->maps) > 0 &&
			   map_is_pattern(maps_at(item->maps, 0)),
		.result = RULE_DUNNO,
	};
}

static enum rule_result check(struct evaluation *ev,
			      const struct rule_item *item,
			      enum rule_class class)
{
	struct access a;

	access_init(&a, ev, item, class);
	return ask_table(&a) ? a.result : RULE_DUNNO;
}

enum rule_result access_no_ok(struct access *a, enum rule_result result)
{
	if (result != RULE_OK || a->ev->state->discard)
		return result;
	rule_note(a->ev, "warning", "restriction %s returns OK for %s",
		  a->item->word,
		  a->class == CLASS_OF_CLIENT ? a->ev->request->client_name :
						a->subject);
	rule_note(a->ev, "warning", "this is not allowed for security reasons");
	rule_note(a->ev, "warning",
		  "use DUNNO instead of OK if you want to make an exception");
	return rule_config_error(a->ev);
}

/* Certificates and logins are there only when they are asked for. */
static bool has_subject(struct evaluation *ev, const struct rule_item *item,
			enum rule_class class)
{
	const struct conf_values *v = &ev->set->conf->v;

	if (class == CLASS_OF_CERT && !v->smtpd_tls_ask_ccert &&
	    !v->smtpd_tls_req_ccert) {
		rule_note(ev, "warning",
			  "%s is requested, but \"smtpd_tls_ask_ccert = no\"",
			  item->def->name);
		return ev->request->cert_fingerprint != NULL;
	}
	if (class == CLASS_OF_LOGIN && !v->smtpd_sasl_auth_enable) {
		rule_note(ev, "warning",
			  "restriction `%s' ignored: no SASL support",
			  item->def->name);
		return false;
	}
	return true;
}

enum rule_result rule_check_access(struct evaluation *ev,
				   const struct rule_item *item)
{
	enum rule_class class = (enum rule_class)item->def->arg;
	struct access a;

	if (!has_subject(ev, item, class))
		return RULE_DUNNO;
	access_init(&a, ev, item, class);
	if (!ask_table(&a))
		return RULE_DUNNO;
	return class == CLASS_OF_REVERSE_CLIENT ? access_no_ok(&a, a.result)
						: a.result;
}

enum rule_result rule_check_default(struct evaluation *ev,
				    const struct rule_item *item)
{
	enum rule_class class = rule_list_class(ev->list);

	if (class == CLASS_OF_DATA || class == CLASS_OF_END_OF_DATA) {
		rule_note(ev, "warning",
			  "specify one of (check_client_access, "
			  "check_reverse_client_hostname_access, "
			  "check_helo_access, check_sender_access, "
			  "check_recipient_access, check_etrn_access) before "
			  "%s restriction \"%s\"",
			  rule_class_name(ev->class), item->word);
		return rule_config_error(ev);
	}
	return check(ev, item, class);
}
