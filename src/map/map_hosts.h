/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map_hosts - the servers that a table can be asked at, and connections to
 * them that are kept.
 *
 * Use      one for each table. A lookup calls map_hosts_ask: it takes an idle
 *          connection or makes one, lets `ask` put its question there, keeps
 *          the connection, and goes on with the next server when one fails.
 * Order    as added. MAP_HOSTS_SPREAD: those with a Unix-domain socket
 *          ("unix:" or "/" in front) before others, otherwise at random.
 * Dead     a server that failed is left alone for back_off_ms, twice as long
 *          each time up to back_off_max_ms; then one request tries it, while
 *          the others go on without it. When all are left alone the answer is
 *          RC_TEMP at once, with the reason of the last failure.
 * Errors   RC_TEMP with the text of the last server that was tried; a text of
 *          `connect` and `ask` names the server
 * Threads  any number may ask at once: each has a connection of its own
 * Fork     a child leaves alone what its parent had opened
 */
#pragma once

#include "base/fault.h"
#include "base/mem.h"

struct map_hosts_kind {
	/* Connect to a server as its name was added: a talloc tree without a
	 * parent, which talloc_free closes. Its own limit on time. Whatever it
	 * returns but RC_OK counts as a failure of this server. */
	enum rc (*connect)(void *arg, const char *host, void **ret_connection,
			   struct fault *fault);
	/* Is an idle connection, about to be used again, still good? Without
	 * asking the server. NULL: all are. */
	bool (*is_good)(void *connection);
};

enum map_hosts_flags { MAP_HOSTS_SPREAD = 1 };

struct map_hosts_options {
	const struct map_hosts_kind *kind;
	void *arg;			  /* for kind and ask */
	int flags;			  /* enum map_hosts_flags */
	int back_off_ms, back_off_max_ms; /* 0: 1 s, 30 s */
	int idle_ms;	/* close what was idle for so long; 0: 60 s */
	int give_up_ms; /* try no other server after so long; 0: 100 s */
};

struct map_hosts;

struct map_hosts *map_hosts_new(TALLOC_CTX *mem,
				const struct map_hosts_options *options);
enum { MAP_HOSTS_MAX = 64 };
/* false: there are MAP_HOSTS_MAX already. */
MUST_CHECK bool map_hosts_add(struct map_hosts *hosts, const char *host);
size_t map_hosts_count(const struct map_hosts *hosts);

/* Put a question. What it returns is the answer. *ret_broken (false before):
 * the connection cannot be used again; with RC_TEMP the question is asked again
 * in a new connection when this one had been kept and failed at once, else at
 * the next server. */
typedef enum rc map_hosts_ask_fn(void *question, void *connection,
				 bool *ret_broken, struct fault *fault);
MUST_CHECK enum rc map_hosts_ask(struct map_hosts *hosts, map_hosts_ask_fn *ask,
				 void *question, struct fault *fault);
