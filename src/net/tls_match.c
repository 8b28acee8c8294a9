/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/x509v3.h>

#include "net/tls_priv.h"

enum { NAME_MAX_BYTES = 255 };

/* A name that can be printed and compared as text. */
static bool name_is_clean(struct span name)
{
	if (name.len == 0 || name.len > NAME_MAX_BYTES)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_print(name.ptr[i]))
			return false;
	return true;
}

/* ".example.com" and a name below it. */
static bool name_is_below(struct span name, struct span dot_domain)
{
	return name.len > dot_domain.len &&
	       span_eq_nocase(span_skip(name, name.len - dot_domain.len),
			      dot_domain);
}

bool tls_name_matches(struct span cert_name, struct span want,
		      bool wildcard_multi_label)
{
	struct span below, label;

	if (!name_is_clean(cert_name) || want.len == 0)
		return false;
	if (span_ends(want, "."))
		want.len--;
	if (span_starts(want, ".")) {
		/* Any name in the domain; "*.example.com" is one. */
		if (want.len < 2)
			return false;
		return name_is_below(cert_name, want);
	}
	if (span_eq_nocase(cert_name, want))
		return true;
	if (!span_starts(cert_name, "*.") || cert_name.len < 3)
		return false;
	below = span_skip(cert_name, 1);
	if (!name_is_below(want, below))
		return false;
	label = span_take(want, want.len - below.len);
	return wildcard_multi_label || span_find(label, '.') < 0;
}

static struct span asn1_span(const ASN1_STRING *text)
{
	return (struct span){ (const char *)ASN1_STRING_get0_data(text),
			      (size_t)ASN1_STRING_length(text) };
}

/* Spelled out, what one word of a match list stands for. */
static struct span want_of(TALLOC_CTX *mem, const char *word,
			   const struct tls_policy *policy)
{
	const char *nexthop =
		policy->nexthop_domain != NULL ? policy->nexthop_domain : "";

	if (strcasecmp(word, "nexthop") == 0)
		return span_from(nexthop);
	if (strcasecmp(word, "dot-nexthop") == 0)
		return nexthop[0] == '\0'
			       ? SPAN_OF("")
			       : span_from(mem_printf(mem, ".%s", nexthop));
	if (strcasecmp(word, "hostname") == 0)
		return span_from(policy->hostname != NULL ? policy->hostname
							  : "");
	return span_from(word);
}

static bool name_is_wanted(struct span cert_name,
			   const struct tls_policy *policy)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	for (size_t i = 0; i < policy->match_count; i++)
		if (tls_name_matches(cert_name,
				     want_of(tmp, policy->match[i], policy),
				     policy->wildcard_multi_label))
			return true;
	return false;
}

char *tls_name_cn(TALLOC_CTX *mem, const X509_NAME *name)
{
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	unsigned char *utf8 = NULL;
	struct span span = SPAN("");
	char *copy;
	int len;

	if (at < 0)
		return mem_strdup(mem, "");
	len = ASN1_STRING_to_UTF8(
		&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
	if (len > 0)
		span = (struct span){ (const char *)utf8, (size_t)len };
	if (span_find(span, '\0') >= 0 || span.len > NAME_MAX_BYTES)
		span = SPAN_OF("");
	copy = mem_span_dup(mem, span);
	OPENSSL_free(utf8);
	return copy;
}

/* Calls back for the DNS names; false when there is none. */
static bool dns_names_walk(X509 *cert,
			   bool (*each)(struct span name, void *arg), void *arg,
			   bool *ret_stopped)
{
	GENERAL_NAMES *names =
		X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	int count = names != NULL ? sk_GENERAL_NAME_num(names) : 0;
	bool any = false;

	*ret_stopped = false;
	for (int i = 0; i < count && !*ret_stopped; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type != GEN_DNS)
			continue;
		any = true;
		*ret_stopped = each(asn1_span(name->d.dNSName), arg);
	}
	GENERAL_NAMES_free(names);
	return any;
}

struct match {
	TALLOC_CTX *mem;
	const struct tls_policy *policy;
	const char *name;
};

static bool wanted_each(struct span name, void *arg)
{
	struct match *match = arg;

	if (!name_is_wanted(name, match->policy))
		return false;
	match->name = mem_span_dup(match->mem, name);
	return true;
}

const char *tls_cert_match(TALLOC_CTX *mem, X509 *cert,
			   const struct tls_policy *policy)
{
	struct match match = { .mem = mem, .policy = policy };
	const char *cn;
	bool matched;

	if (dns_names_walk(cert, wanted_each, &match, &matched))
		return match.name;
	/* Only a certificate without DNS names speaks by its common name. */
	cn = tls_name_cn(mem, X509_get_subject_name(cert));
	return name_is_wanted(span_from(cn), policy) ? cn : NULL;
}

struct name_keep {
	TALLOC_CTX *mem;
	char *name;
};

static bool keep_each(struct span name, void *arg)
{
	struct name_keep *keep = arg;

	if (!name_is_clean(name))
		return false;
	keep->name = mem_span_dup(keep->mem, name);
	return true;
}

char *tls_cert_name(TALLOC_CTX *mem, X509 *cert)
{
	struct name_keep keep = { .mem = mem };
	char *cn = tls_name_cn(mem, X509_get_subject_name(cert));
	bool kept;

	if (cn[0] != '\0')
		return cn;
	dns_names_walk(cert, keep_each, &keep, &kept);
	return kept ? keep.name : cn;
}

char *tls_fingerprint_text(TALLOC_CTX *mem, const unsigned char *bytes,
			   unsigned size)
{
	static const char hex[] = "0123456789ABCDEF";
	char *text = mem_array(mem, char, (size_t)size * 3 + 1);

	for (unsigned i = 0; i < size; i++) {
		text[i * 3] = hex[bytes[i] >> 4];
		text[i * 3 + 1] = hex[bytes[i] & 15];
		text[i * 3 + 2] = ':';
	}
	if (size > 0)
		text[size * 3 - 1] = '\0';
	return text;
}

bool tls_fingerprint_matches(const struct tls_facts *facts,
			     const struct tls_policy *policy)
{
	for (size_t i = 0; i < policy->match_count; i++) {
		struct span want = span_from(policy->match[i]);

		if (want.len > 0 &&
		    (span_is_nocase(want, facts->fingerprint) ||
		     span_is_nocase(want, facts->key_fingerprint)))
			return true;
	}
	return false;
}
