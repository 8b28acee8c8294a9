/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/smtp/tls_policy.h"

static enum rc policy_default(const struct smtp_settings *s,
			      enum tls_level *ret_level, struct fault *fault)
{
	if (*s->tls_security_level != '\0')
		return tls_level_parse(s->tls_security_level, ret_level, fault);
	*ret_level = s->enforce_tls && s->tls_enforce_peername ? TLS_VERIFY
		     : s->enforce_tls			       ? TLS_ENCRYPT
		     : s->use_tls			       ? TLS_MAY
							       : TLS_NONE;
	return RC_OK;
}

static void match_add(TALLOC_CTX *mem, struct smtp_tls_policy *policy,
		      struct span list)
{
	const char *separators = policy->level == TLS_FINGERPRINT ? "|" : ":";

	for (struct span word; span_token(&list, separators, &word);)
		if (policy->match_count < TLS_MATCH_MAX)
			policy->match[policy->match_count++] =
			    mem_span_dup(mem, word);
}

static enum rc attribute_take(TALLOC_CTX *mem, struct smtp_tls_policy *policy,
			      struct span word, struct fault *fault)
{
	struct span name, value = word;

	if (!span_cut(&value, '=', &name) || value.ptr == NULL)
		return fault_set(fault, RC_CONF, "4.7.5",
				 "TLS policy: malformed attribute \"%.*s\"",
				 SPAN_FMT(word));
	if (span_is_nocase(name, "match"))
		match_add(mem, policy, value);
	else if (span_is_nocase(name, "protocols"))
		policy->protocols = mem_span_dup(mem, value);
	else if (span_is_nocase(name, "ciphers"))
		policy->ciphers = mem_span_dup(mem, value);
	else if (span_is_nocase(name, "exclude"))
		policy->exclude = mem_span_dup(mem, value);
	else if (span_is_nocase(name, "servername"))
		policy->servername = mem_span_dup(mem, value);
	else if (!span_is_nocase(name, "connection_reuse"))
		return fault_set(fault, RC_CONF, "4.7.5",
				 "TLS policy: attribute \"%.*s\" is not "
				 "supported",
				 SPAN_FMT(name));
	return RC_OK;
}

static enum rc policy_parse(TALLOC_CTX *mem, struct span text,
			    struct smtp_tls_policy *policy, struct fault *fault)
{
	struct span word;
	enum rc rc;

	if (!span_token(&text, ", \t\r\n", &word))
		return fault_set(fault, RC_CONF, "4.7.5",
				 "TLS policy: no security level");
	rc = tls_level_parse(mem_span_dup(mem, word), &policy->level, fault);
	while (rc == RC_OK && span_token(&text, ", \t\r\n", &word))
		rc = attribute_take(mem, policy, word, fault);
	return rc;
}

/* The whole next hop; then, for a bare domain, its parents with a dot. */
static enum rc policy_lookup(TALLOC_CTX *mem, struct maps *maps,
			     const struct nexthop *hop, struct span *ret_text,
			     struct fault *fault)
{
	struct span key = span_from(hop->text);
	enum rc rc = maps_lookup(maps, mem, key, ret_text, fault);

	if (hop->literal_host || hop->has_port || hop->unix_path != NULL)
		return rc;
	while (rc == RC_NONE) {
		ssize_t dot = span_find(span_skip(key, 1), '.');

		if (dot < 0)
			break;
		key = span_skip(key, (size_t)dot + 1);
		rc = maps_lookup(maps, mem, key, ret_text, fault);
	}
	return rc;
}

/* What the policy leaves open, main.cf decides. */
static void policy_complete(const struct smtp_settings *s,
			    struct smtp_tls_policy *policy)
{
	const bool must = policy->level > TLS_MAY;
	const char *match =
	    policy->level == TLS_VERIFY	       ? s->tls_verify_cert_match
	    : policy->level == TLS_SECURE      ? s->tls_secure_cert_match
	    : policy->level == TLS_FINGERPRINT ? s->tls_fingerprint_cert_match
					       : "";
	struct span rest = span_from(match), word;

	if (policy->match_count == 0)
		while (policy->match_count < TLS_MATCH_MAX &&
		       span_token(&rest, ", \t\r\n|", &word))
			policy->match[policy->match_count++] =
			    mem_span_dup(policy, word);
	if (policy->protocols == NULL)
		policy->protocols =
		    must ? s->tls_mandatory_protocols : s->tls_protocols;
	if (policy->ciphers == NULL)
		policy->ciphers =
		    must ? s->tls_mandatory_ciphers : s->tls_ciphers;
	if (policy->exclude == NULL)
		policy->exclude =
		    !must ? s->tls_exclude_ciphers
			  : mem_printf(policy, "%s %s", s->tls_exclude_ciphers,
				       s->tls_mandatory_exclude_ciphers);
	if (policy->servername == NULL && *s->tls_servername != '\0')
		policy->servername = s->tls_servername;
}

/* These levels are nothing without something to compare with. */
static bool lacks_match(const struct smtp_tls_policy *policy)
{
	return (policy->level == TLS_VERIFY || policy->level == TLS_SECURE ||
		policy->level == TLS_FINGERPRINT) &&
	       policy->match_count == 0;
}

enum rc smtp_tls_policy_find(TALLOC_CTX *mem,
			     const struct smtp_settings *settings,
			     struct maps *maps, const struct nexthop *hop,
			     struct smtp_tls_policy **ret_policy,
			     struct fault *fault)
{
	struct smtp_tls_policy *policy = mem_new(mem, struct smtp_tls_policy);
	struct span text;
	enum rc rc = RC_NONE;

	if (maps != NULL && !maps_is_empty(maps)) {
		rc = policy_lookup(mem, maps, hop, &text, fault);
		if (rc == RC_OK)
			rc = policy_parse(policy, text, policy, fault);
	}
	if (rc == RC_NONE)
		rc = policy_default(settings, &policy->level, fault);
	if (rc != RC_OK) {
		fault_set(fault, rc == RC_TEMP ? RC_TEMP : RC_CONF, "4.7.5",
			  "TLS policy lookup for %s: %s", hop->text,
			  mem_strdup(policy, fault->text));
		return fault->rc;
	}
	if (policy->level == TLS_DANE || policy->level == TLS_DANE_ONLY)
		return fault_set(
		    fault, RC_CONF, "4.7.5",
		    "TLS security level %s for %s is not supported "
		    "yet",
		    tls_level_name(policy->level), hop->text);
	policy_complete(settings, policy);
	if (lacks_match(policy))
		return fault_set(fault, RC_CONF, "4.7.5",
				 "TLS security level %s for %s: nothing to "
				 "match the certificate with",
				 tls_level_name(policy->level), hop->text);
	*ret_policy = policy;
	return RC_OK;
}
