/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map_client - what drivers share that ask a server over a byte stream: where
 * the servers are, connections that are kept, whose fault it was.
 *
 * Errors   RC_TEMP "inet:db.example:6379: Connection refused"; the caller puts
 *          the table in front
 * Owner    a child of mem
 * Threads  any number may ask at once (see map_hosts)
 */
#pragma once

#include "map/map_hosts.h"
#include "map/wire.h"
#include "net/endpoint.h"

struct map_client;

struct map_client_options {
	int connect_ms; /* to find and reach a server */
	int io_ms;	/* for one line or part of an answer */
	/* 0: as map_hosts has it. */
	int idle_ms, back_off_ms, back_off_max_ms;
	/* In each new connection before the first question; NULL: nothing.
	 * What it makes may be a child of mem, which the connection is. */
	enum rc (*greet)(void *arg, TALLOC_CTX *mem,
			 const struct net_endpoint *endpoint,
			 struct net_stream *stream, struct fault *fault);
	void *arg;
};

struct map_client *map_client_new(TALLOC_CTX *mem,
				  const struct map_client_options *options);
/* One more server, "inet:host:port" or "unix:path" (see net/endpoint). */
MUST_CHECK enum rc map_client_add(struct map_client *client, struct span text,
				  uint16_t default_port, struct fault *fault);

/* Put one question and read all of its answer (see wire.h). */
typedef enum rc map_client_ask_fn(void *question, struct wire *wire);
MUST_CHECK enum rc map_client_ask(struct map_client *client, TALLOC_CTX *mem,
				  map_client_ask_fn *ask, void *question,
				  struct fault *fault);
