/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_chain - the certificates that the other side showed, for people.
 *
 * Shape    the peer's own certificate first; what the names are is the peer's
 *          claim, cleaned of what cannot be printed
 * Owner    all is a child of mem
 * See      RFC 5280, RFC 6698 (selector 1: the key's digest)
 */
#pragma once

#include "net/tls.h"

enum { TLS_CHAIN_MAX = 32, TLS_NAMES_MAX = 256 };

struct tls_certificate {
	const char *subject, *issuer; /* "/CN=mx.example.test/O=Example" */
	const char *subject_cn, *issuer_cn;
	int64_t not_before_s, not_after_s; /* Unix time */
	const char *const *names;	   /* DNS names of subjectAltName */
	size_t name_count;
	const char *key_type; /* "RSA 2048", "ECDSA prime256v1", "ED25519" */
	/* Hex with colons: by the context's digest, and by the usual two. */
	const char *digest, *key_digest;
	const char *sha1, *sha256, *key_sha256;
	const char *pem;
};

/* As the peer sent it. */
struct tls_certificate *tls_chain(TALLOC_CTX *mem, const struct tls *tls,
				  size_t *ret_count);
/* The same for the certificates of a PEM file; RC_CONF. */
MUST_CHECK enum rc tls_chain_file(TALLOC_CTX *mem, const char *path,
				  struct tls_certificate **ret_chain,
				  size_t *ret_count, struct fault *fault);
/* Would this certificate do for the name? As at level secure. */
bool tls_certificate_has_name(const struct tls_certificate *certificate,
			      const char *name);
