/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of session tickets. A key makes tickets for one session time-out and
 * opens them for one more; then it is wiped, and what was sent under it cannot
 * be read any more, not even by who takes the process's memory.
 */
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "net/tls_priv.h"

enum { NAME_BYTES = 16, KEY_BYTES = 32, KEYS = 2 };

struct ticket_key {
	unsigned char name[NAME_BYTES];
	unsigned char cipher[KEY_BYTES], mac[KEY_BYTES];
	uint64_t made_s; /* 0: no key */
};

/* In memory that processes may share. The lock survives a process that dies
 * with it. */
struct shared {
	pthread_mutex_t lock;	      /* tls_tickets: the keys */
	struct ticket_key keys[KEYS]; /* the current one first */
};

struct tls_tickets {
	struct shared *shared;
	bool is_mapped;
	uint64_t timeout_s;
	const EVP_CIPHER *cipher;
};

static uint64_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec + 1; /* never 0 */
}

static void lock_init(struct shared *shared)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&shared->lock, &attr);
	pthread_mutexattr_destroy(&attr);
}

static void lock_take(struct shared *shared)
{
	if (pthread_mutex_lock(&shared->lock) != EOWNERDEAD)
		return;
	/* Half a key may be worse than none. */
	mem_wipe(shared->keys, sizeof(shared->keys));
	pthread_mutex_consistent(&shared->lock);
}

static struct shared *shared_map(int fd)
{
	void *at = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE,
			MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return NULL;
	madvise(at, sizeof(struct shared), MADV_DONTDUMP);
	return at;
}

enum rc tls_tickets_create(int *ret_fd, struct fault *fault)
{
	int fd = memfd_create("tls-tickets", MFD_CLOEXEC);
	struct shared *shared = NULL;

	if (fd >= 0 && ftruncate(fd, sizeof(struct shared)) == 0)
		shared = shared_map(fd);
	if (shared == NULL) {
		fault_set(fault, RC_TEMP, "4.3.0",
			  "memory for TLS ticket keys: %m");
		if (fd >= 0)
			close(fd);
		return RC_TEMP;
	}
	lock_init(shared);
	munmap(shared, sizeof(*shared));
	*ret_fd = fd;
	return RC_OK;
}

static int tickets_close(struct tls_tickets *tickets)
{
	if (tickets->is_mapped) {
		munmap(tickets->shared, sizeof(*tickets->shared));
		return 0;
	}
	mem_wipe(tickets->shared->keys, sizeof(tickets->shared->keys));
	pthread_mutex_destroy(&tickets->shared->lock);
	return 0;
}

/* With the lock. false: no random bytes. */
static bool keys_renew(struct tls_tickets *tickets)
{
	struct ticket_key *current = &tickets->shared->keys[0];
	uint64_t now = now_s();
	struct ticket_key fresh = { .made_s = now };
	bool made;

	if (current->made_s != 0 && now - current->made_s < tickets->timeout_s)
		return true;
	made = RAND_bytes(fresh.name, sizeof(fresh.name)) == 1 &&
	       RAND_priv_bytes(fresh.cipher, sizeof(fresh.cipher)) == 1 &&
	       RAND_priv_bytes(fresh.mac, sizeof(fresh.mac)) == 1;
	if (made) {
		tickets->shared->keys[1] = *current;
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
		struct ticket_key *key = &tickets->shared->keys[i];

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

static void key_trace(SSL *ssl, int encrypt)
{
	const struct tls *tls = SSL_get_app_data(ssl);

	if (tls != NULL)
		tls_tracef(tls, 2, "%s: %s session ticket", tls->peer,
			   encrypt ? "Issuing" : "Decrypting");
}

int tls_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv,
		   EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	struct tls_tickets *tickets =
		SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const struct ticket_key *key = NULL;
	int result = -1;

	lock_take(tickets->shared);
	if (encrypt) {
		if (keys_renew(tickets) &&
		    RAND_bytes(iv, EVP_CIPHER_get_iv_length(tickets->cipher)) ==
			    1)
			key = &tickets->shared->keys[0];
		if (key != NULL)
			memcpy(name, key->name, NAME_BYTES);
	} else {
		key = key_find(tickets, name);
		if (key == NULL)
			result = 0;
	}
	/* A client of TLS 1.3 shows a ticket once, so it gets a new one. */
	if (key != NULL && key_apply(tickets, key, iv, cipher, mac, encrypt))
		result = encrypt || (key == &tickets->shared->keys[0] &&
				     SSL_version(ssl) < TLS1_3_VERSION)
				 ? 1
				 : 2;
	pthread_mutex_unlock(&tickets->shared->lock);
	if (result > 0)
		key_trace(ssl, encrypt);
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

enum rc tls_tickets_use(TALLOC_CTX *mem, SSL_CTX *ctx,
			const struct tls_config *config, struct fault *fault)
{
	const char *cipher = config->ticket_cipher;
	struct tls_tickets *tickets;
	const EVP_CIPHER *found = !tls_is_set(cipher)
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
	tickets->timeout_s = (uint64_t)config->session_timeout_s;
	if (config->ticket_fd > 0)
		tickets->shared = shared_map(config->ticket_fd);
	tickets->is_mapped = tickets->shared != NULL;
	if (!tickets->is_mapped) {
		tickets->shared = mem_new(tickets, struct shared);
		lock_init(tickets->shared);
	}
	talloc_set_destructor(tickets, tickets_close);
	SSL_CTX_set_app_data(ctx, tickets);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, tls_ticket_key);
	return RC_OK;
}
