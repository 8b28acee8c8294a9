/* SPDX-License-Identifier: Apache-2.0 */
/* The words of restriction lists and what they do. */
#include "base/clock.h"
#include "mail/address.h"
#include "rule/restriction_priv.h"

enum { SLEEP_MAX_S = 3600 };

static enum rule_result run_permit(struct evaluation *ev,
				   const struct rule_item *item)
{
	return RULE_OK;
}

static enum rule_result run_reject(struct evaluation *ev,
				   const struct rule_item *item)
{
	enum rule_class class = rule_list_class(ev->list);

	return rule_reject(ev, ev->set->conf->v.reject_code, "5.7.1",
			   "<%s>: %s rejected: Access denied",
			   rule_subject(ev, class), rule_class_name(class));
}

static enum rule_result run_defer(struct evaluation *ev,
				  const struct rule_item *item)
{
	enum rule_class class = rule_list_class(ev->list);

	return rule_reject(ev, ev->set->conf->v.defer_code, "4.3.2",
			   "<%s>: %s rejected: Try again later",
			   rule_subject(ev, class), rule_class_name(class));
}

static enum rule_result run_defer_if_permit(struct evaluation *ev,
					    const struct rule_item *item)
{
	enum rule_class class = rule_list_class(ev->list);

	rule_defer_if_permit(ev, 450, "4.7.0",
			     "<%s>: %s rejected: defer_if_permit requested",
			     rule_subject(ev, class), rule_class_name(class));
	return RULE_DUNNO;
}

static enum rule_result run_defer_if_reject(struct evaluation *ev,
					    const struct rule_item *item)
{
	enum rule_class class = rule_list_class(ev->list);

	rule_defer_if_reject(
		ev, mem_printf(ev->mem,
			       "450 4.7.0 <%s>: %s rejected: defer_if_reject "
			       "requested",
			       rule_subject(ev, class),
			       rule_class_name(class)));
	return RULE_DUNNO;
}

static enum rule_result run_unauth_pipelining(struct evaluation *ev,
					      const struct rule_item *item)
{
	enum rule_class class = rule_list_class(ev->list);

	if (!ev->request->unauth_pipelining)
		return RULE_DUNNO;
	return rule_reject(ev, 503, "5.5.0",
			   "<%s>: %s rejected: Improper use of SMTP command "
			   "pipelining",
			   rule_subject(ev, class), rule_class_name(class));
}

static enum rule_result run_multi_recipient_bounce(struct evaluation *ev,
						   const struct rule_item *item)
{
	enum rule_class class = rule_list_class(ev->list);
	const struct restriction_request *req = ev->request;
	/* at RCPT the one that is asked about counts too */
	unsigned int count = req->recipient_count + (class == CLASS_OF_RECIPIENT);

	if (req->sender == NULL || req->sender[0] != '\0' || count < 2)
		return RULE_DUNNO;
	return rule_reject(ev,
			   ev->set->conf->v.multi_recipient_bounce_reject_code,
			   "5.5.3", "<%s>: %s rejected: Multi-recipient bounce",
			   rule_subject(ev, class), rule_class_name(class));
}

static enum rule_result run_plaintext_session(struct evaluation *ev,
					      const struct rule_item *item)
{
	if (ev->request->tls)
		return RULE_DUNNO;
	return rule_reject(ev, ev->set->conf->v.plaintext_reject_code, "4.7.1",
			   "Session encryption is required");
}

static enum rule_result run_sleep(struct evaluation *ev,
				  const struct rule_item *item)
{
	struct rule_step *step = rule_step_take(ev);
	uint64_t now_ms = clock_mono_ms(), seconds;

	if (!span_to_u64(span_from(item->arg), SLEEP_MAX_S, &seconds)) {
		rule_note(ev, "warning",
			  "restriction %s must be followed by number",
			  item->def->name);
		return rule_error(ev, 451, "4.3.5",
				  "Server configuration error");
	}
	if (!step->begun)
		step->until_ms = now_ms + seconds * 1000;
	step->begun = true;
	if (ev->request->waiter == NULL || now_ms >= step->until_ms)
		return RULE_DUNNO;
	return rule_wait_until(ev, step->until_ms);
}

/* ---- client ---- */

static enum rule_result run_permit_mynetworks(struct evaluation *ev,
					      const struct rule_item *item)
{
	const struct restriction_request *req = ev->request;
	struct fault fault = { 0 };

	switch (match_list_client(ev->set->mynetworks,
				  span_from(req->client_name),
				  span_from(req->client_address), &fault)) {
	case RC_OK:
		return RULE_OK;
	case RC_NONE:
		return RULE_DUNNO;
	default:
		return rule_lookup_failed(
			ev, rule_subject(ev, rule_list_class(ev->list)),
			&fault);
	}
}

static enum rule_result run_permit_inet_interfaces(struct evaluation *ev,
						   const struct rule_item *item)
{
	const struct restriction_request *req = ev->request;

	/* The client is one of our own addresses when it talks to itself, or
	 * comes over loopback. */
	if (span_starts(span_from(req->client_address), "127.") ||
	    span_is(span_from(req->client_address), "::1") ||
	    (req->server_address != NULL &&
	     span_is(span_from(req->client_address), req->server_address)))
		return RULE_OK;
	return RULE_DUNNO;
}

static enum rule_result run_permit_sasl(struct evaluation *ev,
					const struct rule_item *item)
{
	return ev->request->sasl_username != NULL ? RULE_OK : RULE_DUNNO;
}

static enum rule_result run_permit_all_clientcerts(struct evaluation *ev,
						   const struct rule_item *item)
{
	return ev->request->cert_trusted ? RULE_OK : RULE_DUNNO;
}

static enum rule_result run_permit_clientcerts(struct evaluation *ev,
					       const struct rule_item *item)
{
	const char *keys[] = { ev->request->cert_fingerprint,
			       ev->request->pubkey_fingerprint };

	if (maps_is_empty(ev->set->relay_clientcerts))
		return RULE_DUNNO;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct fault fault = { 0 };
		struct span value;
		enum rc rc;

		if (keys[i] == NULL)
			continue;
		rc = maps_lookup(ev->set->relay_clientcerts, ev->mem,
				 span_from(keys[i]), &value, &fault);
		if (rc == RC_OK)
			return RULE_OK;
		if (rc != RC_NONE)
			return rule_lookup_failed(ev, keys[i], &fault);
	}
	return RULE_DUNNO;
}

static enum rule_result run_unknown_client(struct evaluation *ev,
					   const struct rule_item *item)
{
	const struct restriction_request *req = ev->request;

	if (req->client_name_rc == RC_OK)
		return RULE_DUNNO;
	return rule_reject(ev,
			   req->client_name_rc == RC_TEMP ?
				   450 :
				   ev->set->conf->v.unknown_client_reject_code,
			   "4.7.25",
			   "Client host rejected: cannot find your hostname, "
			   "[%s]",
			   req->client_address);
}

static enum rule_result run_unknown_reverse(struct evaluation *ev,
					    const struct rule_item *item)
{
	const struct restriction_request *req = ev->request;

	if (req->reverse_name_rc == RC_OK)
		return RULE_DUNNO;
	return rule_reject(ev,
			   req->reverse_name_rc == RC_TEMP ?
				   450 :
				   ev->set->conf->v.unknown_client_reject_code,
			   "4.7.1",
			   "Client host rejected: cannot find your reverse "
			   "hostname, [%s]",
			   req->client_address);
}

/* ---- helo and addresses ---- */

static enum rule_result reject_hostname(struct evaluation *ev, int code,
					const char *dsn, const char *why)
{
	return rule_reject(ev, code, dsn, "<%s>: Helo command rejected: %s",
			   ev->request->helo, why);
}

static enum rule_result run_invalid_helo(struct evaluation *ev,
					 const struct rule_item *item)
{
	int code = ev->set->conf->v.invalid_hostname_reject_code;
	struct span helo, ip;

	if (ev->request->helo == NULL)
		return RULE_DUNNO;
	helo = span_from(ev->request->helo);
	if (span_ends(helo, "."))
		helo = span_take(helo, helo.len - 1);
	if (span_starts(helo, "["))
		return address_literal_ip(helo, &ip) ?
			       RULE_DUNNO :
			       reject_hostname(ev, code, "5.5.2",
					       "invalid ip address");
	return domain_is_valid(helo, true) ?
		       RULE_DUNNO :
		       reject_hostname(ev, code, "5.5.2", "Invalid name");
}

static enum rule_result run_non_fqdn_helo(struct evaluation *ev,
					  const struct rule_item *item)
{
	int code = ev->set->conf->v.non_fqdn_reject_code;
	struct span helo, ip;

	if (ev->request->helo == NULL)
		return RULE_DUNNO;
	helo = span_from(ev->request->helo);
	if (span_ends(helo, "."))
		helo = span_take(helo, helo.len - 1);
	if (span_starts(helo, "["))
		return address_literal_ip(helo, &ip) ?
			       RULE_DUNNO :
			       reject_hostname(ev, code, "5.5.2",
					       "invalid ip address");
	if (span_find(helo, '.') < 0 || !domain_is_valid(helo, true))
		return reject_hostname(ev, code, "5.5.2",
				       "need fully-qualified hostname");
	return RULE_DUNNO;
}

static enum rule_result run_non_fqdn_address(struct evaluation *ev,
					     const struct rule_item *item)
{
	enum rule_class class = (enum rule_class)item->def->arg;
	struct address_parts parts;
	const char *address = class == CLASS_OF_SENDER ? ev->request->sender :
							 ev->request->recipient;
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

/* ---- recipients ---- */

const struct route *rule_route(struct evaluation *ev, enum rule_class class,
			       enum rule_result *ret)
{
	bool sender = class == CLASS_OF_SENDER;
	struct route **route = sender ? &ev->sender_route :
					&ev->recipient_route;
	const char *address = sender ? ev->request->sender :
				       ev->request->recipient;
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

static enum rule_result run_permit_auth(struct evaluation *ev,
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

static enum rule_result run_unauth_destination(struct evaluation *ev,
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
	if (dsn == NULL)
		dsn = fault.dsn[0] != '\0' ? fault.dsn : "5.1.1";
	return rule_reject(ev, code, dsn, "<%s>: %s rejected: %s", address,
			   rule_class_name(class), fault.text);
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

/* clang-format off */
static const struct rule_def defs[] = {
	/* word, traits, function, its argument */
	{ "permit", ENDS_LIST, run_permit, 0 },
	{ "reject", GUARDS_RELAY, run_reject, 0 },
	{ "defer", GUARDS_RELAY, run_defer, 0 },
	{ "defer_if_permit", GUARDS_RELAY, run_defer_if_permit, 0 },
	{ "defer_if_reject", 0, run_defer_if_reject, 0 },
	{ "warn_if_reject", NEXT_ONLY_WARNS, run_permit, 0 },
	{ "reject_unauth_pipelining", 0, run_unauth_pipelining, 0 },
	{ "reject_multi_recipient_bounce", 0, run_multi_recipient_bounce, 0 },
	{ "reject_plaintext_session", 0, run_plaintext_session, 0 },
	{ "check_policy_service", TAKES_WORD, NULL, 0 },
	{ "sleep", TAKES_WORD, run_sleep, 0 },

	{ "permit_mynetworks", 0, run_permit_mynetworks, 0 },
	{ "permit_inet_interfaces", 0, run_permit_inet_interfaces, 0 },
	{ "permit_sasl_authenticated", 0, run_permit_sasl, 0 },
	{ "permit_tls_all_clientcerts", 0, run_permit_all_clientcerts, 0 },
	{ "permit_tls_clientcerts", 0, run_permit_clientcerts, 0 },
	{ "reject_unknown_client_hostname", 0, run_unknown_client, 0 },
	{ "reject_unknown_client", 0, run_unknown_client, 0 },
	{ "reject_unknown_reverse_client_hostname", 0, run_unknown_reverse, 0 },
	{ "check_client_access", TAKES_TABLE, rule_check_access, CLASS_OF_CLIENT },
	{ "check_client_a_access", TAKES_TABLE, NULL, 0 },
	{ "check_client_mx_access", TAKES_TABLE, NULL, 0 },
	{ "check_client_ns_access", TAKES_TABLE, NULL, 0 },
	{ "check_reverse_client_hostname_access", TAKES_TABLE, NULL, 0 },
	{ "check_reverse_client_hostname_a_access", TAKES_TABLE, NULL, 0 },
	{ "check_reverse_client_hostname_mx_access", TAKES_TABLE, NULL, 0 },
	{ "check_reverse_client_hostname_ns_access", TAKES_TABLE, NULL, 0 },
	{ "check_ccert_access", TAKES_TABLE, NULL, 0 },
	{ "check_sasl_access", TAKES_TABLE, NULL, 0 },
	{ "reject_rbl_client", TAKES_WORD, NULL, 0 },
	{ "reject_rbl", TAKES_WORD, NULL, 0 },
	{ "reject_rhsbl_client", TAKES_WORD, NULL, 0 },
	{ "reject_rhsbl_reverse_client", TAKES_WORD, NULL, 0 },
	{ "permit_dnswl_client", TAKES_WORD, NULL, 0 },
	{ "permit_rhswl_client", TAKES_WORD, NULL, 0 },

	{ "check_helo_access", TAKES_TABLE, rule_check_access, CLASS_OF_HELO },
	{ "check_helo_a_access", TAKES_TABLE, NULL, 0 },
	{ "check_helo_mx_access", TAKES_TABLE, NULL, 0 },
	{ "check_helo_ns_access", TAKES_TABLE, NULL, 0 },
	{ "reject_invalid_helo_hostname", 0, run_invalid_helo, 0 },
	{ "reject_invalid_hostname", 0, run_invalid_helo, 0 },
	{ "reject_non_fqdn_helo_hostname", 0, run_non_fqdn_helo, 0 },
	{ "reject_non_fqdn_hostname", 0, run_non_fqdn_helo, 0 },
	{ "reject_unknown_helo_hostname", 0, NULL, 0 },
	{ "reject_unknown_hostname", 0, NULL, 0 },
	{ "reject_rhsbl_helo", TAKES_WORD, NULL, 0 },

	{ "check_sender_access", TAKES_TABLE, rule_check_access, CLASS_OF_SENDER },
	{ "check_sender_a_access", TAKES_TABLE, NULL, 0 },
	{ "check_sender_mx_access", TAKES_TABLE, NULL, 0 },
	{ "check_sender_ns_access", TAKES_TABLE, NULL, 0 },
	{ "reject_authenticated_sender_login_mismatch", 0, NULL, 0 },
	{ "reject_known_sender_login_mismatch", 0, NULL, 0 },
	{ "reject_unauthenticated_sender_login_mismatch", 0, NULL, 0 },
	{ "reject_sender_login_mismatch", 0, NULL, 0 },
	{ "reject_non_fqdn_sender", 0, run_non_fqdn_address, CLASS_OF_SENDER },
	{ "reject_unknown_sender_domain", 0, NULL, 0 },
	{ "reject_unknown_address", 0, NULL, 0 },
	{ "reject_rhsbl_sender", TAKES_WORD, NULL, 0 },
	{ "reject_unlisted_sender", 0, rule_unlisted_sender, 0 },
	{ "reject_unverified_sender", 0, NULL, 0 },

	{ "check_recipient_access", TAKES_TABLE, rule_check_access, CLASS_OF_RECIPIENT },
	{ "check_recipient_a_access", TAKES_TABLE, NULL, 0 },
	{ "check_recipient_mx_access", TAKES_TABLE, NULL, 0 },
	{ "check_recipient_ns_access", TAKES_TABLE, NULL, 0 },
	{ "permit_auth_destination", 0, run_permit_auth, 0 },
	{ "permit_mx_backup", 0, NULL, 0 },
	{ "reject_unauth_destination", GUARDS_RELAY, run_unauth_destination, 0 },
	{ "defer_unauth_destination", GUARDS_RELAY, run_unauth_destination, 100 },
	{ "reject_non_fqdn_recipient", 0, run_non_fqdn_address, CLASS_OF_RECIPIENT },
	{ "reject_unknown_recipient_domain", 0, NULL, 0 },
	{ "reject_rhsbl_recipient", TAKES_WORD, NULL, 0 },
	{ "reject_unlisted_recipient", 0, rule_unlisted_recipient, 0 },
	{ "check_recipient_maps", 0, rule_unlisted_recipient, 0 },
	{ "reject_unverified_recipient", 0, NULL, 0 },
	{ "check_etrn_access", TAKES_TABLE, rule_check_access, CLASS_OF_ETRN },
};
/* clang-format on */

const struct rule_def *rule_def_find(struct span word)
{
	for (size_t i = 0; i < ARRAY_LEN(defs); i++)
		if (span_is_nocase(word, defs[i].name))
			return &defs[i];
	return NULL;
}
