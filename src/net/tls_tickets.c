/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of session tickets. A key makes tickets for one session time-out and
 * opens them for one more; then it is wiped, and what was sent under it cannot
 * be read any more, not even by who takes the process's memory.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <time.h>

#include "net/tls_priv.h"

enum { NAME_BYTES = 16, KEY_BYTES = 32, KEYS = 2 };

struct ticket_key {
	unsigned char name[NAME_BYTES];
	unsigned char cipher[KEY_BYTES], mac[KEY_BYTES];
	uint64_t made_s; /* 0: no key */
};

struct tls_tickets {
	pthread_mutex_t lock;	      /* tls_tickets: the keys */
	struct ticket_key keys[KEYS]; /* the current one first */
	uint64_t timeout_s;
	const EVP_CIPHER *cipher;
};

static uint64_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec + 1; /* never 0 */
}

static int tickets_close(struct tls_tickets *tickets)
{
	mem_wipe(tickets->keys, sizeof(tickets->keys));
	pthread_mutex_destroy(&tickets->lock);
	return 0;
}

/* With the lock. false: no random bytes. */
static bool keys_renew(struct tls_tickets *tickets)
{
	struct ticket_key *current = &tickets->keys[0];
	uint64_t now = now_s();
	struct ticket_key fresh = { .made_s = now };
	bool made;

	if (current->made_s != 0 && now - current->made_s < tickets->timeout_s)
		return true;
	made = RAND_bytes(fresh.name, sizeof(fresh.name)) == 1 &&
	       RAND_priv_bytes(fresh.cipher, sizeof(fresh.cipher)) == 1 &&
	       RAND_priv_bytes(fresh.mac, sizeof(fresh.mac)) == 1;
	if (made) {
		tickets->keys[1] = *current;
		*current = fresh;
	}
	mem_wipe(&fresh, sizeof(fresh));
	return made;
}

/* With the lock: the key that made this ticket, or NULL. */
static const struct ticket_key *key_find(struct tls_tickets *tickets,
					 const unsigned char *name)
{
	uint64_t now = now_s();

	for (size_t i = 0; i < KEYS; i++) {
		struct ticket_key *key = &tickets->keys[i];

		if (key->made_s != 0 &&
		    now - key->made_s >= tickets->timeout_s * KEYS)
			mem_wipe(key, sizeof(*key));
		if (key->made_s != 0 &&
		    memcmp(key->name, name, NAME_BYTES) == 0)
			return key;
	}
	return NULL;
}

static bool key_apply(const struct tls_tickets *tickets,
		      const struct ticket_key *key, const unsigned char *iv,
		      EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(
			OSSL_MAC_PARAM_KEY, (void *)key->mac, sizeof(key->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
						 (char *)"sha256", 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_CipherInit_ex(cipher, tickets->cipher, NULL, key->cipher, iv,
				 encrypt) == 1 &&
	       EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* 1 use it, 2 use it and give the client a new one, 0 cannot, -1 failed. */
static int ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv,
		      EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	struct tls_tickets *tickets =
		SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const struct ticket_key *key = NULL;
	int result = -1;

	pthread_mutex_lock(&tickets->lock);
	if (encrypt) {
		if (keys_renew(tickets) &&
		    RAND_bytes(iv, EVP_CIPHER_get_iv_length(tickets->cipher)) ==
			    1)
			key = &tickets->keys[0];
		if (key != NULL)
			memcpy(name, key->name, NAME_BYTES);
	} else {
		key = key_find(tickets, name);
		if (key == NULL)
			result = 0;
	}
	/* A client of TLS 1.3 shows a ticket once, so it gets a new one. */
	if (key != NULL && key_apply(tickets, key, iv, cipher, mac, encrypt))
		result = encrypt || (key == &tickets->keys[0] &&
				     SSL_version(ssl) < TLS1_3_VERSION)
				 ? 1
				 : 2;
	pthread_mutex_unlock(&tickets->lock);
	return result;
}

/* A cipher whose initial vector and key there is room for, and which needs no
 * tag of its own. */
static bool cipher_is_usable(const EVP_CIPHER *cipher)
{
	return cipher != NULL &&
	       EVP_CIPHER_get_mode(cipher) == EVP_CIPH_CBC_MODE &&
	       EVP_CIPHER_get_iv_length(cipher) <= EVP_MAX_IV_LENGTH &&
	       EVP_CIPHER_get_key_length(cipher) <= KEY_BYTES;
}

enum rc tls_tickets_use(TALLOC_CTX *mem, SSL_CTX *ctx, const char *cipher,
			int timeout_s, struct fault *fault)
{
	struct tls_tickets *tickets;
	const EVP_CIPHER *found = cipher == NULL || cipher[0] == '\0'
					  ? EVP_aes_256_cbc()
					  : EVP_get_cipherbyname(cipher);

	if (!cipher_is_usable(found))
		return fault_set(fault, RC_CONF, "4.7.5",
				 "tls_session_ticket_cipher = %s: no such "
				 "cipher, or not one of at most %d bits in CBC "
				 "mode",
				 cipher, KEY_BYTES * 8);
	tickets = mem_new(mem, struct tls_tickets);
	tickets->cipher = found;
	tickets->timeout_s = (uint64_t)timeout_s;
	pthread_mutex_init(&tickets->lock, NULL);
	talloc_set_destructor(tickets, tickets_close);
	SSL_CTX_set_app_data(ctx, tickets);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_key);
	return RC_OK;
}
