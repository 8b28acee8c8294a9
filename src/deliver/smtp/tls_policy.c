/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/smtp/tls_policy.h"

#include "net/dns.h"
#include "sys/log.h"

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

static enum rc configuration_bad(struct fault *fault)
{
	return fault_set(fault, RC_CONF, "4.7.5",
			 "client TLS configuration problem");
}

/* ---- one line of the table ---- */

static const char policy_separators[] = ", \t\r\n";

struct line {
	const struct smtp_settings *settings;
	struct smtp_tls_policy *policy;
	const struct nexthop *hop;
	uint32_t *seen; /* a bit for each of attributes[] */
};

static bool line_bad(const struct line *line, const char *what,
		     struct span word, const char *at)
{
	log_warning("%s_tls_policy_maps, next-hop destination \"%s\": %s "
		    "\"%.*s\"%s%s",
		    line->settings->lmtp ? "lmtp" : "smtp", line->hop->text,
		    what, SPAN_FMT(word), at,
		    at[0] != '\0' ? tls_level_name(line->policy->level) : "");
	return false;
}

static bool list_add(const char **list, size_t *count, TALLOC_CTX *mem,
		     struct span words, const char *separators)
{
	for (struct span word; span_token(&words, separators, &word);) {
		if (*count == TLS_MATCH_MAX)
			return false;
		list[(*count)++] = mem_span_dup(mem, word);
	}
	return true;
}

static bool take_match(const struct line *line, struct span value)
{
	struct smtp_tls_policy *p = line->policy;

	if (p->level < TLS_FINGERPRINT)
		return line_bad(line, "attribute", SPAN_OF("match"),
				" invalid at security level ");
	if (list_add(p->match, &p->match_count, p, value,
		     p->level == TLS_FINGERPRINT ? "|" : ":"))
		return true;
	return line_bad(line, "too many names in", SPAN_OF("match"), "");
}

static bool take_protocols(const struct line *line, struct span value)
{
	line->policy->protocols = mem_span_dup(line->policy, value);
	return true;
}

static bool take_ciphers(const struct line *line, struct span value)
{
	static const char *const grades[] = { "export", "low", "medium", "high",
					      "null" };

	for (size_t i = 0; i < ARRAY_LEN(grades); i++) {
		if (!span_is_nocase(value, grades[i]))
			continue;
		line->policy->ciphers = grades[i];
		return true;
	}
	return line_bad(line, "invalid cipher grade", value, "");
}

static bool take_exclude(const struct line *line, struct span value)
{
	line->policy->exclude = mem_span_dup(line->policy, value);
	return true;
}

static bool take_servername(const struct line *line, struct span value)
{
	if (!dns_name_is_valid(value))
		return line_bad(line, "invalid servername", value, "");
	line->policy->servername = mem_span_dup(line->policy, value);
	return true;
}

static bool take_tafile(const struct line *line, struct span value)
{
	struct smtp_tls_policy *p = line->policy;

	if (p->level != TLS_VERIFY && p->level != TLS_SECURE)
		return line_bad(line, "attribute", SPAN_OF("tafile"),
				" invalid at security level ");
	p->anchor_files = p->anchor_files == NULL
				  ? mem_span_dup(p, value)
				  : mem_printf(p, "%s %.*s", p->anchor_files,
					       SPAN_FMT(value));
	return true;
}

static bool yes_or_no(const struct line *line, const char *name,
		      struct span value, bool *ret_yes)
{
	*ret_yes = span_is_nocase(value, "yes");
	if (*ret_yes || span_is_nocase(value, "no"))
		return true;
	return line_bad(line,
			mem_printf(line->policy,
				   "attribute %s: invalid "
				   "value",
				   name),
			value, "");
}

static bool take_reuse(const struct line *line, struct span value)
{
	return yes_or_no(line, "connection_reuse", value, &line->policy->reuse);
}

/* OpenSSL 3.0 has none of RFC 7250; certificates are what is used then. */
static bool take_raw_keys(const struct line *line, struct span value)
{
	bool yes;

	return yes_or_no(line, "enable_rpk", value, &yes);
}

static bool take_mx_pattern(const struct line *line, struct span value)
{
	struct smtp_tls_policy *p = line->policy;

	if (!line->settings->conf->v.smtp_tls_enforce_sts_mx_patterns ||
	    list_add(p->mx_patterns, &p->mx_pattern_count, p, value, ":"))
		return true;
	return line_bad(line, "too many names in", SPAN_OF("mx_host_pattern"),
			"");
}

/* What a plugin says for reports; no reports are made here. */
static bool take_report(const struct line *line, struct span value)
{
	return true;
}

static const struct {
	const char *name;
	bool (*take)(const struct line *line, struct span value);
	bool is_single; /* a second one contradicts the first */
} attributes[] = {
	{ "match", take_match, false },
	{ "protocols", take_protocols, true },
	{ "ciphers", take_ciphers, true },
	{ "exclude", take_exclude, true },
	{ "servername", take_servername, true },
	{ "tafile", take_tafile, false },
	{ "connection_reuse", take_reuse, false },
	{ "enable_rpk", take_raw_keys, false },
	{ "mx_host_pattern", take_mx_pattern, false },
	{ "policy_type", take_report, false },
	{ "policy_domain", take_report, false },
	{ "policy_string", take_report, false },
	{ "policy_ttl", take_report, false },
	{ "policy_failure", take_report, false },
};

static bool attribute_take(const struct line *line, struct span word)
{
	struct span name, value = word;

	if (span_find(word, '=') < 0 || !span_cut(&value, '=', &name) ||
	    value.len == 0)
		return line_bad(line, "malformed attribute/value pair", word,
				"");
	name = span_trim(name);
	value = span_trim(value);
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
		if (!span_is_nocase(name, attributes[i].name))
			continue;
		if (attributes[i].is_single && *line->seen >> i & 1)
			return line_bad(line, "more than one attribute", name,
					"");
		*line->seen |= 1U << i;
		return attributes[i].take(line, value);
	}
	return line_bad(line, "invalid attribute name:", name, "");
}

/* "{ name = value }" or "name=value" */
static bool word_next(struct span *text, struct span *ret_word)
{
	ssize_t end;

	*text = span_trim(*text);
	if (!span_starts(*text, "{"))
		return span_token(text, policy_separators, ret_word);
	end = span_find(*text, '}');
	if (end < 0)
		return span_token(text, policy_separators, ret_word);
	*ret_word = span_trim(span_skip(span_take(*text, (size_t)end), 1));
	*text = span_skip(*text, (size_t)end + 1);
	return true;
}

enum rc smtp_tls_policy_read(const struct smtp_settings *settings,
			     const struct nexthop *hop, struct span text,
			     struct smtp_tls_policy *policy,
			     struct fault *fault)
{
	uint32_t seen = 0;
	const struct line here = { settings, policy, hop, &seen },
			  *line = &here;
	struct span word;

	if (!span_token(&text, policy_separators, &word)) {
		line_bad(line, "invalid empty policy", SPAN_OF(""), "");
		return configuration_bad(fault);
	}
	if (tls_level_parse(mem_span_dup(policy, word), &policy->level,
			    fault) != RC_OK) {
		line_bad(line, "invalid security level", word, "");
		return configuration_bad(fault);
	}
	while (word_next(&text, &word)) {
		if (policy->level == TLS_NONE) {
			line_bad(line,
				 "ignoring attributes with security "
				 "level",
				 SPAN_OF("none"), "");
			break;
		}
		if (!attribute_take(line, word))
			return configuration_bad(fault);
	}
	return RC_OK;
}

/* ---- the table ---- */

/* The whole next hop; then, for a bare domain, its parents with a dot. */
static enum rc policy_lookup(TALLOC_CTX *mem, struct maps *maps,
			     const struct nexthop *hop, struct span *ret_text,
			     struct fault *fault)
{
	struct span key = span_from(hop->text);
	enum rc rc = maps_lookup(maps, mem, key, ret_text, fault);

	if (hop->literal_host || hop->has_port || hop->unix_path != NULL)
		return rc;
	while (rc == RC_NONE && key.len > 1) {
		ssize_t dot = span_find(span_skip(key, 1), '.');

		if (dot < 0)
			break;
		key = span_skip(key, (size_t)dot + 1);
		rc = maps_lookup(maps, mem, key, ret_text, fault);
	}
	return rc;
}

static const char *match_preset(const struct smtp_settings *s,
				enum tls_level level)
{
	switch (level) {
	case TLS_VERIFY:
		return s->tls_verify_cert_match;
	case TLS_SECURE:
		return s->tls_secure_cert_match;
	case TLS_FINGERPRINT:
		return s->tls_fingerprint_cert_match;
	default:
		return "";
	}
}

void smtp_tls_policy_complete(const struct smtp_settings *s,
			      struct smtp_tls_policy *policy)
{
	const bool must = policy->level > TLS_MAY;

	/* Digests have colons in them. */
	if (policy->match_count == 0)
		list_add(policy->match, &policy->match_count, policy,
			 span_from(match_preset(s, policy->level)),
			 policy->level == TLS_FINGERPRINT ? ", \t\r\n|"
							  : ", \t\r\n:");
	if (policy->protocols == NULL)
		policy->protocols =
			must ? s->tls_mandatory_protocols : s->tls_protocols;
	if (policy->ciphers == NULL)
		policy->ciphers =
			must ? s->tls_mandatory_ciphers : s->tls_ciphers;
	if (policy->exclude == NULL)
		policy->exclude =
			!must ? s->tls_exclude_ciphers
			      : mem_printf(policy, "%s %s",
					   s->tls_exclude_ciphers,
					   s->tls_mandatory_exclude_ciphers);
	if (policy->servername == NULL && *s->tls_servername != '\0')
		policy->servername = s->tls_servername;
}

/* These levels are nothing without something to compare with. */
static enum rc match_require(const struct nexthop *hop,
			     const struct smtp_tls_policy *policy,
			     struct fault *fault)
{
	if (policy->level < TLS_FINGERPRINT || policy->match_count > 0)
		return RC_OK;
	if (policy->level == TLS_FINGERPRINT)
		log_warning("nexthop domain %s: configured at fingerprint "
			    "security level, but with no fingerprints to "
			    "match.",
			    hop->host);
	else
		log_warning("nexthop domain %s: configured at %s security "
			    "level, but with no names to match.",
			    hop->host, tls_level_name(policy->level));
	return configuration_bad(fault);
}

/* Without validated answers there is nothing that DANE could build on. */
static enum rc dnssec_require(const struct smtp_settings *s,
			      const struct nexthop *hop,
			      struct smtp_tls_policy *policy,
			      struct fault *fault)
{
	if ((policy->level != TLS_DANE && policy->level != TLS_DANE_ONLY) ||
	    (s->dnssec_wanted && !s->dnssec_missing))
		return RC_OK;
	if (s->dnssec_missing) {
		log_warning("%s: %s needs the trust anchor of "
			    "dnssec_trust_anchor_file",
			    hop->host, tls_level_name(policy->level));
		return configuration_bad(fault);
	}
	log_warning("%s: %s configured with dnssec lookups disabled", hop->host,
		    tls_level_name(policy->level));
	if (policy->level == TLS_DANE_ONLY)
		return configuration_bad(fault);
	policy->level = TLS_MAY;
	return RC_OK;
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

	policy->reuse = settings->tls_connection_reuse;
	if (maps != NULL && !maps_is_empty(maps)) {
		rc = policy_lookup(mem, maps, hop, &text, fault);
		if (rc == RC_OK)
			rc = smtp_tls_policy_read(settings, hop, text, policy,
						  fault);
		else if (rc != RC_NONE)
			log_warning("TLS policy table of %s: %s", hop->text,
				    fault->text);
		/* The log says why; the sender hears the same of both. */
		if (rc == RC_TEMP)
			fault_set(fault, RC_TEMP, "4.7.5",
				  "client TLS configuration problem");
	}
	if (rc == RC_NONE) {
		rc = policy_default(settings, &policy->level, fault);
		if (rc != RC_OK) {
			log_warning("%s", fault->text);
			configuration_bad(fault);
		}
	}
	policy->wanted = policy->level;
	if (rc == RC_OK)
		rc = dnssec_require(settings, hop, policy, fault);
	if (rc != RC_OK)
		return rc;
	/* At dane the host decides. */
	if (policy->level != TLS_DANE && policy->level != TLS_DANE_ONLY)
		smtp_tls_policy_complete(settings, policy);
	if (match_require(hop, policy, fault) != RC_OK)
		return fault->rc;
	*ret_policy = policy;
	return RC_OK;
}

char *smtp_tls_policy_text(TALLOC_CTX *mem,
			   const struct smtp_tls_policy *policy)
{
	const char *parts[] = { policy->protocols, policy->ciphers,
				policy->exclude, policy->servername,
				policy->anchor_files };
	char *text = mem_strdup(mem, tls_level_name(policy->level));

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		text = mem_printf(mem, "%s\n%s", text,
				  parts[i] != NULL ? parts[i] : "");
	for (size_t i = 0; i < policy->match_count; i++)
		text = mem_printf(mem, "%s\n%s", text, policy->match[i]);
	for (size_t i = 0; i < policy->mx_pattern_count; i++)
		text = mem_printf(mem, "%s\n%s", text, policy->mx_patterns[i]);
	return text;
}
