/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_key - private keys, and the certificates and requests made with them.
 *
 * Errors   RC_CONF: what cannot be read, made or written; the text names it
 * Owner    a key is a child of mem, and wiped when freed
 * Holds    a key file is readable by its owner alone from its first byte; no
 *          file is replaced
 * See      RFC 5280, RFC 2986, RFC 6698
 */
#pragma once

#include "base/fault.h"
#include "base/mem.h"

struct tls_key;

enum tls_key_kind { TLS_KEY_RSA, TLS_KEY_ECDSA, TLS_KEY_ED25519 };

/* size: bits of an RSA key ("2048"), name of a curve ("secp256r1"); NULL: the
 * usual one. */
MUST_CHECK enum rc tls_key_make(TALLOC_CTX *mem, enum tls_key_kind kind,
				const char *size, struct tls_key **ret_key,
				struct fault *fault);
/* The first private key of a PEM file. */
MUST_CHECK enum rc tls_key_read(TALLOC_CTX *mem, const char *path,
				struct tls_key **ret_key, struct fault *fault);
enum tls_key_kind tls_key_kind(const struct tls_key *key);
MUST_CHECK enum rc tls_key_write(const struct tls_key *key, const char *path,
				 struct fault *fault);

/* names[0] is the common name; all are DNS names. Valid for a hundred years. */
MUST_CHECK enum rc tls_key_self_sign(const struct tls_key *key,
				     const char *const *names, size_t count,
				     const char *path, struct fault *fault);
/* A certificate signing request in PEM form. */
MUST_CHECK enum rc tls_key_request(TALLOC_CTX *mem, const struct tls_key *key,
				   const char *const *names, size_t count,
				   char **ret_pem, struct fault *fault);
/* Lower case hex of the SHA-256 of the public key: TLSA 3 1 1. */
MUST_CHECK enum rc tls_key_tlsa(TALLOC_CTX *mem, const struct tls_key *key,
				char **ret_hex, struct fault *fault);
/* RC_CONF: the first certificate of the file is not for the key. */
MUST_CHECK enum rc tls_key_fits(const struct tls_key *key,
				const char *cert_path, struct fault *fault);
