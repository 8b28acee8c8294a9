/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/client_table.h"

#include <pthread.h>

#include "net/address.h"

/* Open addressing is not worth it here: chains in a table that never shrinks,
 * 4,096 heads for at most as many clients as there are descriptors. */
enum { HEADS = 4096 };

struct client {
	struct client *next;
	struct net_network network;
	int connections;
};

struct client_table {
	pthread_mutex_t lock; /* smtpd_clients: all below */
	struct client *heads[HEADS];
	size_t count;
	int ipv4_prefix, ipv6_prefix;
};

static int table_done(struct client_table *table)
{
	pthread_mutex_destroy(&table->lock);
	return 0;
}

struct client_table *client_table_new(TALLOC_CTX *mem, int ipv4_prefix,
				      int ipv6_prefix)
{
	struct client_table *table = mem_new(mem, struct client_table);

	pthread_mutex_init(&table->lock, NULL);
	table->ipv4_prefix = ipv4_prefix;
	table->ipv6_prefix = ipv6_prefix;
	talloc_set_destructor(table, table_done);
	return table;
}

static bool network_of(const struct client_table *table, const char *text,
		       struct net_network *ret_network)
{
	struct net_address address;

	if (!net_address_parse(span_from(text), &address))
		return false;
	*ret_network = net_network_of(
		&address, (unsigned int)(address.sa.sa_family == AF_INET ?
						 table->ipv4_prefix :
						 table->ipv6_prefix));
	return true;
}

static bool same(const struct net_network *a, const struct net_network *b)
{
	return a->family == b->family && a->prefix == b->prefix &&
	       memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* The place that points to the client, or where it would be added. */
static struct client **find(struct client_table *table,
			    const struct net_network *network)
{
	struct client **place;
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < sizeof(network->bytes); i++)
		hash = (hash ^ network->bytes[i]) * 16777619u;
	place = &table->heads[(hash ^ hash >> 16) % HEADS];
	while (*place != NULL && !same(&(*place)->network, network))
		place = &(*place)->next;
	return place;
}

int client_table_enter(struct client_table *table, const char *address)
{
	struct net_network network;
	struct client **place;
	int connections;

	if (!network_of(table, address, &network))
		return 0;
	pthread_mutex_lock(&table->lock);
	place = find(table, &network);
	if (*place == NULL) {
		*place = mem_new(NULL, struct client);
		(*place)->network = network;
		table->count++;
	}
	connections = ++(*place)->connections;
	pthread_mutex_unlock(&table->lock);
	return connections;
}

void client_table_leave(struct client_table *table, const char *address)
{
	struct net_network network;
	struct client **place, *client;

	if (!network_of(table, address, &network))
		return;
	pthread_mutex_lock(&table->lock);
	place = find(table, &network);
	client = *place;
	if (client != NULL && --client->connections == 0) {
		*place = client->next;
		talloc_free(client);
		table->count--;
	}
	pthread_mutex_unlock(&table->lock);
}

size_t client_table_count(struct client_table *table)
{
	size_t count;

	pthread_mutex_lock(&table->lock);
	count = table->count;
	pthread_mutex_unlock(&table->lock);
	return count;
}
