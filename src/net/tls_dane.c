/* SPDX-License-Identifier: Apache-2.0 */
/* TLSA records: RFC 6698, 7671, 7672. */
#include <openssl/err.h>

#include "base/buf.h"
#include "net/tls_priv.h"

enum {
	USAGE_TRUST_ANCHOR = 2,
	USAGE_END_ENTITY = 3,
	SELECTOR_CERTIFICATE = 0,
	SELECTOR_PUBLIC_KEY = 1,
	MATCHING_FULL = 0,
	MATCHING_SHA256 = 1,
	MATCHING_SHA512 = 2,
	TLSA_HEAD_BYTES = 3,
};

bool tls_tlsa_read(struct span rdata, struct tls_tlsa *ret_tlsa)
{
	const unsigned char *bytes = (const unsigned char *)rdata.ptr;

	if (rdata.len <= TLSA_HEAD_BYTES)
		return false;
	*ret_tlsa = (struct tls_tlsa){ bytes[0], bytes[1], bytes[2],
				       span_skip(rdata, TLSA_HEAD_BYTES) };
	return true;
}

/* Data that are the thing itself have to be one. */
static bool full_is_good(const struct tls_tlsa *tlsa)
{
	const unsigned char *der = (const unsigned char *)tlsa->data.ptr;
	long size = (long)tlsa->data.len;
	bool good;

	if (tlsa->selector == SELECTOR_CERTIFICATE) {
		X509 *cert = d2i_X509(NULL, &der, size);

		good = cert != NULL && X509_get0_pubkey(cert) != NULL;
		X509_free(cert);
	} else {
		EVP_PKEY *key = d2i_PUBKEY(NULL, &der, size);

		good = key != NULL;
		EVP_PKEY_free(key);
	}
	ERR_clear_error();
	return good && (const char *)der == tlsa->data.ptr + tlsa->data.len;
}

bool tls_tlsa_is_usable(const struct tls_tlsa *tlsa)
{
	if (tlsa->usage != USAGE_TRUST_ANCHOR &&
	    tlsa->usage != USAGE_END_ENTITY)
		return false;
	if (tlsa->selector != SELECTOR_CERTIFICATE &&
	    tlsa->selector != SELECTOR_PUBLIC_KEY)
		return false;
	switch (tlsa->matching) {
	case MATCHING_FULL:
		return full_is_good(tlsa);
	case MATCHING_SHA256:
		return tlsa->data.len == 32;
	case MATCHING_SHA512:
		return tlsa->data.len == 64;
	default:
		return false;
	}
}

/* The strength of the digests by their place in tls_dane_digests; those that
 * are not in it are off. */
static void digests_set(const struct tls_context *context)
{
	struct span rest = span_from(tls_is_set(context->config.dane_digests)
					     ? context->config.dane_digests
					     : "sha512 sha256"),
		    word;
	SSL_CTX *ctx = context->ctx;
	uint8_t rank = 255;

	SSL_CTX_dane_mtype_set(ctx, NULL, MATCHING_SHA256, 0);
	SSL_CTX_dane_mtype_set(ctx, NULL, MATCHING_SHA512, 0);
	while (rank > 0 && span_token(&rest, ", \t\r\n", &word)) {
		if (span_is_nocase(word, "sha256"))
			SSL_CTX_dane_mtype_set(ctx, EVP_sha256(),
					       MATCHING_SHA256, rank--);
		else if (span_is_nocase(word, "sha512"))
			SSL_CTX_dane_mtype_set(ctx, EVP_sha512(),
					       MATCHING_SHA512, rank--);
	}
}

enum rc tls_dane_enable(const struct tls_context *context, struct fault *fault)
{
	if (SSL_CTX_dane_enable(context->ctx) != 1)
		return tls_setting_bad(context, "security_level", "dane",
				       fault);
	/* RFC 7672, 3.1.1: with usage 3 names and dates do not count. */
	SSL_CTX_dane_set_flags(context->ctx, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	digests_set(context);
	return RC_OK;
}

static enum rc none_usable(const struct tls_policy *policy, struct fault *fault)
{
	return fault_set(fault, RC_CONF, "4.7.5",
			 "level %s: no usable TLSA record",
			 tls_level_name(policy->level));
}

enum rc tls_dane_apply(SSL *ssl, const struct tls_policy *policy,
		       struct fault *fault)
{
	int usable = 0;

	if (policy->tlsa_domain == NULL)
		return none_usable(policy, fault);
	if (SSL_dane_enable(ssl, policy->tlsa_domain) != 1)
		return fault_set(fault, RC_TEMP, "4.7.5",
				 "TLSA base domain %s: not a name",
				 policy->tlsa_domain);
	if (policy->nexthop_domain != NULL &&
	    SSL_add1_host(ssl, policy->nexthop_domain) != 1)
		return fault_set(fault, RC_TEMP, "4.7.5",
				 "next hop %s: not a name",
				 policy->nexthop_domain);
	for (size_t i = 0; i < policy->tlsa_count; i++) {
		const struct tls_tlsa *tlsa = &policy->tlsa[i];

		if (tls_tlsa_is_usable(tlsa) &&
		    SSL_dane_tlsa_add(ssl, tlsa->usage, tlsa->selector,
				      tlsa->matching,
				      (const unsigned char *)tlsa->data.ptr,
				      tlsa->data.len) > 0)
			usable++;
	}
	ERR_clear_error();
	if (usable > 0)
		return RC_OK;
	return none_usable(policy, fault);
}

char *tls_dane_text(TALLOC_CTX *mem, const struct tls_policy *policy)
{
	struct buf text;
	char *copy;

	buf_init(&text, mem, 64 * 1024);
	for (size_t i = 0; i < policy->tlsa_count; i++) {
		const struct tls_tlsa *tlsa = &policy->tlsa[i];

		buf_addf(&text, " %u%u%u", tlsa->usage, tlsa->selector,
			 tlsa->matching);
		for (size_t j = 0; j < tlsa->data.len; j++)
			buf_addf(&text, "%02x",
				 (unsigned char)tlsa->data.ptr[j]);
	}
	copy = mem_strdup(mem, buf_text(&text));
	buf_done(&text);
	return copy;
}
