/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_table - what each client does: its connections now, and how often it
 * connected, sent mail, named recipients, began TLS and logged in during this
 * unit of time. A client is an address, or the network of
 * smtpd_client_ipv4_prefix_length and its IPv6 twin.
 *
 * Units    a unit of time (anvil_rate_time_unit) begins with the first event of
 *          a client after the last one was over; then its rates begin at 0
 * Limits   clients without a connection are forgotten when their unit is over,
 *          or earlier when there are more than CLIENTS_REMEMBERED of them
 * Threads  any, a lock is taken (see sys/locks.def)
 */
#pragma once

#include "base/mem.h"
#include "net/address.h"

struct client_table;

enum client_event {
	CLIENT_CONNECTS,
	CLIENT_SENDS,
	CLIENT_ADDRESSES, /* a recipient */
	CLIENT_BEGINS_TLS,
	CLIENT_LOGS_IN,
	CLIENT_EVENTS,
};

enum { CLIENTS_REMEMBERED = 100000 };

struct client_table *client_table_new(TALLOC_CTX *mem, int ipv4_prefix,
				      int ipv6_prefix, int unit_s);

/* Who it is; family 0: no address, nothing is counted. */
struct net_network client_key(const struct client_table *table,
			      const char *address);

struct client_counts {
	int connections; /* at once */
	int rate;	 /* of connecting */
};
/* One connection more; what there is now. */
struct client_counts client_table_enter(struct client_table *table,
					const struct net_network *key,
					uint64_t now_ms);
void client_table_leave(struct client_table *table,
			const struct net_network *key, uint64_t now_ms);
/* The event happened; its rate now. */
int client_table_count(struct client_table *table,
		       const struct net_network *key, enum client_event event,
		       uint64_t now_ms);
/* The rate without the event. */
int client_table_rate(struct client_table *table,
		      const struct net_network *key, enum client_event event,
		      uint64_t now_ms);
/* Clients that are known. */
size_t client_table_size(struct client_table *table);

/* The highest values since the last call, as lines "statistics: max ..." in the
 * words of the reference's anvil; one call of line for each. */
typedef void client_line_fn(void *arg, const char *line);
void client_table_report(struct client_table *table, const char *service,
			 client_line_fn *line, void *arg);
