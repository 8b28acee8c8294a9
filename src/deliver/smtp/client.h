/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client - the SMTP client of a process: what all its deliveries share.
 *
 * Threads  immutable after it is made, but for the cache
 */
#pragma once

#include "deliver/agent.h"
#include "deliver/smtp/cache.h"
#include "deliver/smtp/route.h"
#include "deliver/smtp/session.h"
#include "deliver/smtp/starttls_memory.h"
#include "rule/resolve.h"

struct smtp_client {
	struct smtp_settings settings;
	struct agent *agent;
	struct smtp_route_config route;
	struct resolver *resolver; /* with generic maps */
	struct maps *generic;	   /* NULL: none */
	struct maps *tls_policy;   /* NULL: none */
	struct tls_client *tls;	   /* NULL: no TLS */
	struct starttls_memory *starttls;
	struct smtp_cache *cache;
	struct net_address bind4, bind6; /* family 0: any */
	const char *unmet;		 /* why all mail waits, or NULL */
	const char *relayhost;		 /* of -o relayhost=, or NULL */
};

/* Opens tables, keys and DNS while files can still be read. */
MUST_CHECK enum rc smtp_client_open(TALLOC_CTX *mem, struct service *service,
				    bool lmtp, struct smtp_client **ret_client,
				    struct fault *fault);
/* The work of one delivery; for agent_work. */
void smtp_client_deliver(void *client, struct delivery *delivery);
bool smtp_client_tick(void *client);
