/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/smtp/cache.h"

#include <pthread.h>
#include <uthash.h>

#include "base/clock.h"

enum { DEMAND_MS = 1000, DESTINATIONS_MAX = 10000 };

struct destination {
	const char *key;
	struct smtp_session *idle; /* latest first */
	int active;
	uint64_t left_ms; /* when the latest delivery ended */
	bool busy;	  /* deliveries follow each other closely */
	UT_hash_handle hh;
};

struct smtp_cache {
	const struct smtp_settings *settings;
	pthread_mutex_t lock;
	struct destination *destinations;
	size_t session_count;
};

static int cache_close(struct smtp_cache *cache)
{
	HASH_CLEAR(hh, cache->destinations);
	pthread_mutex_destroy(&cache->lock);
	return 0;
}

struct smtp_cache *smtp_cache_new(TALLOC_CTX *mem,
				  const struct smtp_settings *settings)
{
	struct smtp_cache *cache = mem_new(mem, struct smtp_cache);

	cache->settings = settings;
	pthread_mutex_init(&cache->lock, NULL);
	talloc_set_destructor(cache, cache_close);
	return cache;
}

static struct destination *destination_find(struct smtp_cache *cache,
					    const char *key)
{
	struct destination *found;

	HASH_FIND_STR(cache->destinations, key, found);
	return found;
}

static void destination_forget(struct smtp_cache *cache, struct destination *d)
{
	HASH_DEL(cache->destinations, d);
	talloc_free(d);
}

void smtp_cache_enter(struct smtp_cache *cache, const char *key)
{
	const uint64_t now = clock_mono_ms();
	struct destination *d;

	pthread_mutex_lock(&cache->lock);
	d = destination_find(cache, key);
	if (d == NULL) {
		d = mem_new(cache, struct destination);
		d->key = mem_strdup(d, key);
		HASH_ADD_KEYPTR(hh, cache->destinations, d->key, strlen(d->key),
				d);
	} else {
		d->busy = d->active > 0 || now - d->left_ms <= DEMAND_MS;
	}
	d->active++;
	pthread_mutex_unlock(&cache->lock);
}

void smtp_cache_leave(struct smtp_cache *cache, const char *key)
{
	struct destination *d;

	pthread_mutex_lock(&cache->lock);
	d = destination_find(cache, key);
	if (d != NULL) {
		d->active--;
		d->left_ms = clock_mono_ms();
		if (d->active == 0 && d->idle == NULL &&
		    HASH_COUNT(cache->destinations) > DESTINATIONS_MAX)
			destination_forget(cache, d);
	}
	pthread_mutex_unlock(&cache->lock);
}

static bool session_is_worn(const struct smtp_cache *cache,
			    const struct smtp_session *s, uint64_t now)
{
	const struct smtp_settings *set = cache->settings;
	const uint64_t reuse_ms =
	    (uint64_t)set->connection_reuse_time_limit * 1000;

	return (set->connection_reuse_count_limit > 0 &&
		s->uses >= set->connection_reuse_count_limit) ||
	       now - s->opened_ms > reuse_ms;
}

static bool session_is_late(const struct smtp_cache *cache,
			    const struct smtp_session *s, uint64_t now)
{
	return now - s->parked_ms >=
	       (uint64_t)cache->settings->connection_cache_time_limit * 1000;
}

struct smtp_session *smtp_cache_take(struct smtp_cache *cache, const char *key)
{
	const uint64_t now = clock_mono_ms();
	struct smtp_session *s = NULL;
	struct destination *d;

	pthread_mutex_lock(&cache->lock);
	d = destination_find(cache, key);
	if (d != NULL && d->idle != NULL &&
	    !session_is_late(cache, d->idle, now)) {
		s = d->idle;
		d->idle = s->next;
		s->next = NULL;
		cache->session_count--;
	}
	pthread_mutex_unlock(&cache->lock);
	return s;
}

static bool destination_is_listed(const struct smtp_cache *cache,
				  const char *key)
{
	struct span rest =
	    span_from(cache->settings->connection_cache_destinations);
	struct span all = span_from(key), hop;

	/* Behind the next hop comes what was demanded of it. */
	if (!span_cut(&all, '\n', &hop))
		return false;

	for (struct span word; span_token(&rest, ", \t\r\n", &word);)
		if (span_eq_nocase(word, hop))
			return true;
	return false;
}

bool smtp_cache_keep(struct smtp_cache *cache, struct smtp_session *s)
{
	const uint64_t now = clock_mono_ms();
	struct destination *d;
	bool keep;

	if (s->broken || s->key == NULL || session_is_worn(cache, s, now))
		return false;
	pthread_mutex_lock(&cache->lock);
	d = destination_find(cache, s->key);
	keep = d != NULL && cache->session_count < CACHE_SESSIONS_MAX &&
	       ((cache->settings->connection_cache_on_demand &&
		 (d->busy || d->active > 1)) ||
		destination_is_listed(cache, s->key));
	if (keep) {
		s->parked_ms = now;
		s->next = d->idle;
		d->idle = s;
		cache->session_count++;
	}
	pthread_mutex_unlock(&cache->lock);
	return keep;
}

/* Move the late ones of a destination to *late. */
static void destination_expire(struct smtp_cache *cache, struct destination *d,
			       bool all, uint64_t now,
			       struct smtp_session **late)
{
	struct smtp_session **at = &d->idle;

	while (*at != NULL) {
		struct smtp_session *s = *at;

		if (!all && !session_is_late(cache, s, now)) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		s->next = *late;
		*late = s;
		cache->session_count--;
	}
}

bool smtp_cache_expire(struct smtp_cache *cache, bool all)
{
	const uint64_t now = clock_mono_ms();
	struct smtp_session *late = NULL;
	struct destination *d, *next;
	bool left;

	pthread_mutex_lock(&cache->lock);
	HASH_ITER (hh, cache->destinations, d, next) {
		destination_expire(cache, d, all, now, &late);
		if (d->active == 0 && d->idle == NULL &&
		    (all || now - d->left_ms > DEMAND_MS))
			destination_forget(cache, d);
	}
	left = cache->destinations != NULL;
	pthread_mutex_unlock(&cache->lock);
	while (late != NULL) {
		struct smtp_session *s = late;

		late = s->next;
		smtp_session_close(s);
	}
	return left;
}
