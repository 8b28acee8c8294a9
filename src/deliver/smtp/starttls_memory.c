/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/smtp/starttls_memory.h"

#include <pthread.h>
#include <uthash.h>

enum { HOSTS_MAX = 10000 };

struct seen {
	UT_hash_handle hh;
	char *host;
};

struct starttls_memory {
	pthread_mutex_t lock; /* starttls_memory: the hosts */
	struct seen *hosts;   /* in order of age */
};

static int memory_close(struct starttls_memory *memory)
{
	HASH_CLEAR(hh, memory->hosts);
	pthread_mutex_destroy(&memory->lock);
	return 0;
}

struct starttls_memory *starttls_memory_new(TALLOC_CTX *mem)
{
	struct starttls_memory *memory = mem_new(mem, struct starttls_memory);

	pthread_mutex_init(&memory->lock, NULL);
	talloc_set_destructor(memory, memory_close);
	return memory;
}

static void host_add(struct starttls_memory *memory, const char *host)
{
	struct seen *seen;

	if (HASH_COUNT(memory->hosts) >= HOSTS_MAX) {
		seen = memory->hosts;
		HASH_DEL(memory->hosts, seen);
		talloc_free(seen);
	}
	seen = mem_new(memory, struct seen);
	seen->host = mem_strdup(seen, host);
	HASH_ADD_KEYPTR(hh, memory->hosts, seen->host, strlen(seen->host),
			seen);
}

bool starttls_memory_note(struct starttls_memory *memory, const char *host,
			  bool offered)
{
	struct seen *seen;

	pthread_mutex_lock(&memory->lock);
	HASH_FIND_STR(memory->hosts, host, seen);
	if (offered && seen == NULL)
		host_add(memory, host);
	pthread_mutex_unlock(&memory->lock);
	return !offered && seen != NULL;
}
