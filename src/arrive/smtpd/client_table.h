/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_table - how many connections each client has: an address, or the
 * network of smtpd_client_ipv4_prefix_length and its IPv6 twin.
 *
 * Threads  any, a lock is taken (see sys/locks.def)
 */
#pragma once

#include "base/mem.h"

struct client_table;

struct client_table *client_table_new(TALLOC_CTX *mem, int ipv4_prefix,
				      int ipv6_prefix);
/* One connection more; how many there are now. */
int client_table_enter(struct client_table *table, const char *address);
void client_table_leave(struct client_table *table, const char *address);
/* Clients with at least one connection. */
size_t client_table_count(struct client_table *table);
