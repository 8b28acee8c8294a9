/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db_client - what the clients of database servers have in common.
 *
 * Errors   a text names the server and the cause, in one line, and no password
 * Threads  any
 */
#pragma once

#include "map/map_hosts.h"
#include "map/map_priv.h"

enum {
	DB_CONNECT_MS = 10 * 1000, /* to find, reach and log in */
	DB_ANSWER_MS = 20 * 1000,  /* until a query is answered */
	DB_GIVE_UP_MS = 40 * 1000, /* no other server is asked after so long */
};

struct db_hosts_settings {
	const char *hosts; /* separated by blanks and commas */
	int flags;	   /* enum map_hosts_flags */
	int idle_s;	   /* close what was idle for so long */
	int retry_s;	   /* the longest back-off; a few seconds when there is
			    * one server only */
	const struct map_hosts_kind *kind;
	void *arg;
};

MUST_CHECK enum rc db_hosts_open(struct map *map,
				 const struct db_hosts_settings *settings,
				 struct map_hosts **ret_hosts,
				 struct fault *fault);

/* "inet:host:port", "host", "[2001:db8::1]:port", "unix:/path", "/path". */
struct db_address {
	const char *path; /* else NULL */
	const char *host;
	const char *port; /* "" when there is none */
};

void db_address_parse(TALLOC_CTX *mem, const char *text,
		      struct db_address *ret_address);

/* A library's message as one line; child of mem. */
char *db_message(TALLOC_CTX *mem, const char *message);
/* Wait until one of the events of poll(2); false: not before the deadline, of
 * clock_mono_ms. */
MUST_CHECK bool db_wait(int fd, short events, uint64_t deadline_ms);
/* Nothing has come on an idle connection, not even its end. */
MUST_CHECK bool db_is_quiet(int fd);
