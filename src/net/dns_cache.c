/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers that were just given. libunbound has a cache, too, but asking it
 * costs two changes of thread; a busy destination is asked about with each
 * delivery.
 */
#include <pthread.h>
#include <uthash.h>

#include "base/clock.h"
#include "net/dns_priv.h"

enum {
	ENTRIES_MAX = 4096,
	KEEP_MAX_S = 300,
	KEEP_NONE_MAX_S = 60,
	KEY_MAX = 300
};

struct kept {
	UT_hash_handle hh;
	struct dns_answer *answer;
	uint64_t until_ms;
	char *key;
};

struct dns_cache {
	pthread_mutex_t lock; /* dns_cache: the table */
	struct kept *table;   /* the oldest first */
};

static void kept_drop(struct dns_cache *cache, struct kept *kept)
{
	HASH_DEL(cache->table, kept);
	talloc_free(kept);
}

static int cache_close(struct dns_cache *cache)
{
	struct kept *kept, *next;

	HASH_ITER (hh, cache->table, kept, next)
		kept_drop(cache, kept);
	pthread_mutex_destroy(&cache->lock);
	return 0;
}

struct dns_cache *dns_cache_new(TALLOC_CTX *mem)
{
	struct dns_cache *cache = mem_new(mem, struct dns_cache);

	pthread_mutex_init(&cache->lock, NULL);
	talloc_set_destructor(cache, cache_close);
	return cache;
}

static struct dns_answer *answer_copy(TALLOC_CTX *mem,
				      const struct dns_answer *from)
{
	struct dns_answer *to = mem_new(mem, struct dns_answer);

	*to = *from;
	to->name = mem_strdup(to, from->name);
	to->records = mem_array(to, struct dns_record, from->count);
	for (size_t i = 0; i < from->count; i++) {
		struct dns_record *record = &to->records[i];

		*record = from->records[i];
		if (record->name != NULL)
			record->name = mem_strdup(to->records, record->name);
		if (record->data.len > 0)
			record->data = mem_span_copy(to->records, record->data);
	}
	return to;
}

/* "15 example.test"; false: too long to keep. */
static bool key_make(char key[KEY_MAX], const char *name, enum dns_type type)
{
	int used = snprintf(key, KEY_MAX, "%d %s", (int)type, name);

	ascii_lower_text(key);
	return used > 0 && used < KEY_MAX;
}

struct dns_answer *dns_cache_find(TALLOC_CTX *mem, struct dns_cache *cache,
				  const char *name, enum dns_type type)
{
	struct dns_answer *answer = NULL;
	char key[KEY_MAX];
	struct kept *kept;

	if (!key_make(key, name, type))
		return NULL;
	pthread_mutex_lock(&cache->lock);
	HASH_FIND_STR(cache->table, key, kept);
	if (kept != NULL && kept->until_ms <= clock_mono_ms()) {
		kept_drop(cache, kept);
		kept = NULL;
	}
	if (kept != NULL)
		answer = answer_copy(mem, kept->answer);
	pthread_mutex_unlock(&cache->lock);
	return answer;
}

void dns_cache_put(struct dns_cache *cache, const char *name,
		   enum dns_type type, const struct dns_answer *answer,
		   uint32_t ttl_s)
{
	uint32_t max_s =
		answer->outcome == DNS_FOUND ? KEEP_MAX_S : KEEP_NONE_MAX_S;
	char key[KEY_MAX];
	struct kept *kept;

	if (ttl_s == 0 || !key_make(key, name, type))
		return;
	pthread_mutex_lock(&cache->lock);
	HASH_FIND_STR(cache->table, key, kept);
	if (kept != NULL)
		kept_drop(cache, kept);
	if (HASH_COUNT(cache->table) >= ENTRIES_MAX)
		kept_drop(cache, cache->table);
	kept = mem_new(NULL, struct kept);
	kept->key = mem_strdup(kept, key);
	kept->answer = answer_copy(kept, answer);
	kept->until_ms = clock_mono_ms() + MIN_OF(ttl_s, max_s) * 1000ULL;
	HASH_ADD_KEYPTR(hh, cache->table, kept->key, strlen(kept->key), kept);
	pthread_mutex_unlock(&cache->lock);
}
