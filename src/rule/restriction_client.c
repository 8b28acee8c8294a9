/* SPDX-License-Identifier: Apache-2.0 */
/* About the client: its network, its names, its certificate, its login. */
#include "rule/restriction_rules.h"
#include "rule/rewrite.h"
#include "rule/rule_priv.h"

enum rule_result rule_run_permit_mynetworks(struct evaluation *ev,
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
		return rule_lookup_failed(ev, ev->subject, &fault);
	}
}

enum rule_result rule_run_permit_inet_interfaces(struct evaluation *ev,
						 const struct rule_item *item)
{
	const struct restriction_request *req = ev->request;

	return own_ips_has(ev->set->own, span_from(req->client_address))
		       ? RULE_OK
		       : RULE_DUNNO;
}

enum rule_result rule_run_permit_sasl(struct evaluation *ev,
				      const struct rule_item *item)
{
	return ev->request->sasl_username != NULL ? RULE_OK : RULE_DUNNO;
}

enum rule_result rule_run_permit_all_clientcerts(struct evaluation *ev,
						 const struct rule_item *item)
{
	return ev->request->cert_trusted ? RULE_OK : RULE_DUNNO;
}

enum rule_result rule_run_permit_clientcerts(struct evaluation *ev,
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

enum rule_result rule_run_unknown_client(struct evaluation *ev,
					 const struct rule_item *item)
{
	const struct restriction_request *req = ev->request;

	if (req->client_name_rc == RC_OK)
		return RULE_DUNNO;
	return rule_reject(
		ev,
		req->client_name_rc == RC_TEMP
			? 450
			: ev->set->conf->v.unknown_client_reject_code,
		"4.7.25",
		"Client host rejected: cannot find your hostname, "
		"[%s]",
		req->client_address);
}

enum rule_result rule_run_unknown_reverse(struct evaluation *ev,
					  const struct rule_item *item)
{
	const struct restriction_request *req = ev->request;

	if (req->reverse_name_rc == RC_OK)
		return RULE_DUNNO;
	return rule_reject(
		ev,
		req->reverse_name_rc == RC_TEMP
			? 450
			: ev->set->conf->v.unknown_client_reject_code,
		"4.7.1",
		"Client host rejected: cannot find your reverse "
		"hostname, [%s]",
		req->client_address);
}

/* ---- whose sender address is it? ---- */

static bool has_login(struct span owners, const char *login)
{
	struct span word;

	while (span_token(&owners, ", \t\r\n", &word))
		if (span_is_nocase(word, login))
			return true;
	return false;
}

/* RC_NONE: nobody's; else refused or RC_OK. */
static enum rc find_owners(struct evaluation *ev, struct span *ret_owners,
			   enum rule_result *ret_result)
{
	const char *sender = ev->request->sender;
	const struct route *route;
	struct fault fault = { 0 };
	enum rc rc;

	route = rule_route(ev, CLASS_OF_SENDER, ret_result);
	if (route == NULL)
		return RC_TEMP;
	rc = address_find(
		ev->set->sender_logins, ev->set->resolver, ev->set->conf,
		ev->mem,
		span_from(route->recipient != NULL ? route->recipient : sender),
		FIND_DEFAULT, ret_owners, NULL, &fault);
	if (rc != RC_OK && rc != RC_NONE)
		*ret_result = rule_lookup_failed(ev, sender, &fault);
	return rc;
}

static void note_no_logins(struct evaluation *ev, int kind, const char *name)
{
	static const char *const parts[] = {
		"reject_authenticated_sender_login_mismatch",
		"reject_unauthenticated_sender_login_mismatch",
	};
	bool both = kind == (LOGIN_AUTHENTICATED | LOGIN_UNAUTHENTICATED);

	for (size_t i = 0; i < (both ? ARRAY_LEN(parts) : 1); i++)
		rule_note(ev, "warning",
			  "restriction `%s' ignored: no SASL support",
			  both ? parts[i] : name);
}

enum rule_result rule_run_login(struct evaluation *ev,
				const struct rule_item *item)
{
	const char *sender = ev->request->sender;
	const char *login = ev->request->sasl_username;
	enum rule_result result = RULE_DUNNO;
	struct span owners = { NULL, 0 };
	int kind = item->def->arg;
	enum rc rc;

	if (sender == NULL || sender[0] == '\0')
		return RULE_DUNNO;
	if (!ev->set->conf->v.smtpd_sasl_auth_enable) {
		note_no_logins(ev, item->def->arg, item->def->name);
		return RULE_DUNNO;
	}
	if (login == NULL && !(kind & LOGIN_UNAUTHENTICATED))
		return RULE_DUNNO;
	if (login != NULL && kind == LOGIN_UNAUTHENTICATED)
		return RULE_DUNNO;
	rc = find_owners(ev, &owners, &result);
	if (rc != RC_OK && rc != RC_NONE)
		return result;
	if (login == NULL)
		return rc == RC_NONE
			       ? RULE_DUNNO
			       : rule_reject(
					 ev, 553, "5.7.1",
					 "<%s>: Sender address rejected: not "
					 "logged in",
					 sender);
	if ((rc == RC_NONE && kind == LOGIN_KNOWN) || has_login(owners, login))
		return RULE_DUNNO;
	return rule_reject(ev, 553, "5.7.1",
			   "<%s>: Sender address rejected: not owned by user "
			   "%s",
			   sender, login);
}
