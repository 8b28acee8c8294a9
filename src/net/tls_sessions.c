/* SPDX-License-Identifier: Apache-2.0 */
/* Client sessions to resume, one for each key, in memory only. */
#include <time.h>
#include <uthash.h>

#include "net/tls_priv.h"

enum { KEYS_MAX = 4096, SESSIONS_MAX = 16 };

struct kept {
	UT_hash_handle hh;
	SSL_SESSION *sessions[SESSIONS_MAX]; /* the latest is the last */
	int count;
	uint64_t until_s; /* of the latest */
	char *key;
};

struct tls_sessions {
	pthread_mutex_t lock; /* tls_sessions: the table */
	struct kept *table;   /* in order of age */
	int timeout_s;
	int ssl_index; /* of the key in an SSL */
};

static uint64_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec;
}

static void kept_drop(struct tls_sessions *sessions, struct kept *kept)
{
	HASH_DEL(sessions->table, kept);
	while (kept->count > 0)
		SSL_SESSION_free(kept->sessions[--kept->count]);
	talloc_free(kept);
}

static struct kept *kept_find(struct tls_sessions *sessions, const char *key)
{
	struct kept *kept;

	HASH_FIND_STR(sessions->table, key, kept);
	return kept;
}

static struct kept *kept_add(struct tls_sessions *sessions, const char *key)
{
	struct kept *kept = mem_new(NULL, struct kept);

	if (HASH_COUNT(sessions->table) >= KEYS_MAX)
		kept_drop(sessions, sessions->table);
	kept->key = mem_strdup(kept, key);
	HASH_ADD_KEYPTR(hh, sessions->table, kept->key, strlen(kept->key),
			kept);
	return kept;
}

/* OpenSSL has a new session: 1 takes the reference. */
static int session_new(SSL *ssl, SSL_SESSION *session)
{
	struct tls_sessions *sessions =
		SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const char *key = SSL_get_ex_data(ssl, sessions->ssl_index);
	struct kept *kept;

	if (key == NULL)
		return 0;
	pthread_mutex_lock(&sessions->lock);
	kept = kept_find(sessions, key);
	if (kept == NULL)
		kept = kept_add(sessions, key);
	if (kept->count == SESSIONS_MAX) {
		SSL_SESSION_free(kept->sessions[0]);
		memmove(kept->sessions, kept->sessions + 1,
			(SESSIONS_MAX - 1) * sizeof(kept->sessions[0]));
		kept->count--;
	}
	kept->sessions[kept->count++] = session;
	kept->until_s = now_s() + (uint64_t)sessions->timeout_s;
	pthread_mutex_unlock(&sessions->lock);
	return 1;
}

static void key_free(void *parent, void *key, CRYPTO_EX_DATA *data, int index,
		     long number, void *arg)
{
	talloc_free(key);
}

static int sessions_close(struct tls_sessions *sessions)
{
	struct kept *kept, *next;

	HASH_ITER (hh, sessions->table, kept, next)
		kept_drop(sessions, kept);
	pthread_mutex_destroy(&sessions->lock);
	return 0;
}

struct tls_sessions *tls_sessions_new(TALLOC_CTX *mem, SSL_CTX *ctx,
				      int timeout_s)
{
	struct tls_sessions *sessions = mem_new(mem, struct tls_sessions);

	sessions->timeout_s = timeout_s;
	sessions->ssl_index =
		SSL_get_ex_new_index(0, NULL, NULL, NULL, key_free);
	pthread_mutex_init(&sessions->lock, NULL);
	talloc_set_destructor(sessions, sessions_close);
	SSL_CTX_set_app_data(ctx, sessions);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
						    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, session_new);
	return sessions;
}

void tls_sessions_use(struct tls_sessions *sessions, SSL *ssl, const char *key)
{
	struct kept *kept;

	SSL_set_ex_data(ssl, sessions->ssl_index, mem_strdup(NULL, key));
	pthread_mutex_lock(&sessions->lock);
	kept = kept_find(sessions, key);
	if (kept != NULL && kept->until_s <= now_s()) {
		kept_drop(sessions, kept);
	} else if (kept != NULL) {
		SSL_set_session(ssl, kept->sessions[kept->count - 1]);
		/* Each connection shows a ticket of its own, while there are
		 * several; the server gives new ones. */
		if (kept->count > 1)
			SSL_SESSION_free(kept->sessions[--kept->count]);
	}
	pthread_mutex_unlock(&sessions->lock);
}

void tls_sessions_forget(struct tls_sessions *sessions, const char *key)
{
	struct kept *kept;

	pthread_mutex_lock(&sessions->lock);
	kept = kept_find(sessions, key);
	if (kept != NULL)
		kept_drop(sessions, kept);
	pthread_mutex_unlock(&sessions->lock);
}
