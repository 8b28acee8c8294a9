/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/client_table.h"

#include <pthread.h>
#include <sys/random.h>
#include <utlist.h>

#include "base/clock.h"
#include "mail/date.h"

/* Chains in a table that never grows. */
enum { HEADS = 16384 };

struct client {
	struct client *next;
	struct client *prev_idle, *next_idle; /* in the list of idle ones */
	struct net_network network;
	bool idle; /* no connection: it is in that list */
	int connections;
	uint64_t unit_ends_ms;
	int rates[CLIENT_EVENTS];
};

/* The highest value of a kind, and who had it when. */
struct peak {
	int value;
	struct net_network who;
	time_t when;
};

struct client_table {
	pthread_mutex_t lock; /* smtpd_clients: all below */
	struct client *heads[HEADS];
	struct client *idle; /* who was idle first is first */
	size_t count, idle_count;
	struct peak rate_peaks[CLIENT_EVENTS], connection_peak;
	struct peak size_peak;
	int ipv4_prefix, ipv6_prefix, unit_s;
	uint64_t seed; /* so that nobody can choose who shares a chain */
};

static int table_done(struct client_table *table)
{
	for (size_t i = 0; i < HEADS; i++)
		for (struct client *client = table->heads[i], *next;
		     client != NULL; client = next) {
			next = client->next;
			talloc_free(client);
		}
	pthread_mutex_destroy(&table->lock);
	return 0;
}

struct client_table *client_table_new(TALLOC_CTX *mem, int ipv4_prefix,
				      int ipv6_prefix, int unit_s)
{
	struct client_table *table = mem_new(mem, struct client_table);

	if (getrandom(&table->seed, sizeof(table->seed), GRND_NONBLOCK) !=
	    sizeof(table->seed))
		table->seed = clock_wall_us();
	pthread_mutex_init(&table->lock, NULL);
	table->ipv4_prefix = ipv4_prefix;
	table->ipv6_prefix = ipv6_prefix;
	table->unit_s = unit_s;
	talloc_set_destructor(table, table_done);
	return table;
}

struct net_network client_key(const struct client_table *table,
			      const char *text)
{
	struct net_address address;

	if (!net_address_parse(span_from(text), &address))
		return (struct net_network){ .family = 0 };
	return net_network_of(
		&address, (unsigned int)(address.sa.sa_family == AF_INET ?
						 table->ipv4_prefix :
						 table->ipv6_prefix));
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
	uint64_t hash = table->seed;

	for (size_t i = 0; i < sizeof(network->bytes); i++) {
		hash = (hash ^ network->bytes[i]) * 0x9e3779b97f4a7c15u;
		hash ^= hash >> 29;
	}
	place = &table->heads[(hash ^ hash >> 32) % HEADS];
	while (*place != NULL && !same(&(*place)->network, network))
		place = &(*place)->next;
	return place;
}

static void idle_remove(struct client_table *table, struct client *client)
{
	if (!client->idle)
		return;
	DL_DELETE2(table->idle, client, prev_idle, next_idle);
	client->idle = false;
	table->idle_count--;
}

static void forget(struct client_table *table, struct client *client)
{
	struct client **place = find(table, &client->network);

	idle_remove(table, client);
	*place = client->next;
	talloc_free(client);
	table->count--;
}

/* A few at a time, so that nobody waits for many. */
static void forget_old(struct client_table *table, uint64_t now_ms)
{
	for (int i = 0; i < 4 && table->idle != NULL; i++) {
		if (table->idle->unit_ends_ms > now_ms &&
		    table->idle_count <= CLIENTS_REMEMBERED)
			return;
		forget(table, table->idle);
	}
}

static void peak_note(struct peak *peak, int value,
		      const struct net_network *who)
{
	if (value <= peak->value)
		return;
	peak->value = value;
	peak->who = *who;
	peak->when = (time_t)(clock_wall_us() / 1000000);
}

/* With the lock: the client, its unit of time being now. */
static struct client *meet(struct client_table *table,
			   const struct net_network *key, uint64_t now_ms)
{
	struct client **place;
	struct client *client;

	forget_old(table, now_ms);
	place = find(table, key);
	client = *place;
	if (client == NULL) {
		client = *place = mem_new(NULL, struct client);
		client->network = *key;
		client->idle = true;
		DL_APPEND2(table->idle, client, prev_idle, next_idle);
		table->idle_count++;
		peak_note(&table->size_peak, (int)++table->count, key);
	}
	if (client->unit_ends_ms <= now_ms) {
		memset(client->rates, 0, sizeof(client->rates));
		client->unit_ends_ms = now_ms + (uint64_t)table->unit_s * 1000;
	}
	return client;
}

static int add(struct client_table *table, struct client *client,
	       enum client_event event)
{
	int rate = ++client->rates[event];

	peak_note(&table->rate_peaks[event], rate, &client->network);
	return rate;
}

struct client_counts client_table_enter(struct client_table *table,
					const struct net_network *key,
					uint64_t now_ms)
{
	struct client_counts counts = { 0 };
	struct client *client;

	if (key->family == 0)
		return counts;
	pthread_mutex_lock(&table->lock);
	client = meet(table, key, now_ms);
	idle_remove(table, client);
	counts.connections = ++client->connections;
	peak_note(&table->connection_peak, counts.connections, key);
	counts.rate = add(table, client, CLIENT_CONNECTS);
	pthread_mutex_unlock(&table->lock);
	return counts;
}

void client_table_leave(struct client_table *table,
			const struct net_network *key, uint64_t now_ms)
{
	struct client *client;

	if (key->family == 0)
		return;
	pthread_mutex_lock(&table->lock);
	client = *find(table, key);
	if (client != NULL && --client->connections == 0) {
		client->idle = true;
		DL_APPEND2(table->idle, client, prev_idle, next_idle);
		table->idle_count++;
	}
	forget_old(table, now_ms);
	pthread_mutex_unlock(&table->lock);
}

int client_table_count(struct client_table *table,
		       const struct net_network *key, enum client_event event,
		       uint64_t now_ms)
{
	int rate;

	if (key->family == 0)
		return 0;
	pthread_mutex_lock(&table->lock);
	rate = add(table, meet(table, key, now_ms), event);
	pthread_mutex_unlock(&table->lock);
	return rate;
}

int client_table_rate(struct client_table *table,
		      const struct net_network *key, enum client_event event,
		      uint64_t now_ms)
{
	const struct client *client;
	int rate = 0;

	if (key->family == 0)
		return 0;
	pthread_mutex_lock(&table->lock);
	client = *find(table, key);
	if (client != NULL && client->unit_ends_ms > now_ms)
		rate = client->rates[event];
	pthread_mutex_unlock(&table->lock);
	return rate;
}

size_t client_table_size(struct client_table *table)
{
	size_t count;

	pthread_mutex_lock(&table->lock);
	count = table->count;
	pthread_mutex_unlock(&table->lock);
	return count;
}

/* ---- the report ---- */

/* An address stands for itself, a network has its length behind it. */
static const char *who_text(const struct net_network *who,
			    char text[NET_NETWORK_TEXT_MAX])
{
	struct span all;

	net_network_text(who, text);
	all = span_from(text);
	if (who->prefix < (who->family == AF_INET ? 32 : 128))
		return text;
	text[(size_t)MAX_OF(span_find(all, '/'), (ssize_t)0)] = '\0';
	if (text[0] != '[')
		return text;
	text[strlen(text) - 1] = '\0';
	return text + 1;
}

static void report(const struct peak *peak, const char *what,
		   const char *service, client_line_fn *line, void *arg)
{
	char who[NET_NETWORK_TEXT_MAX], when[DATE_MAX_BYTES], text[400];

	if (peak->value == 0)
		return;
	snprintf(text, sizeof(text), "statistics: max %s for (%s:%s) at %s",
		 what, service, who_text(&peak->who, who), date_log(when, peak->when));
	line(arg, text);
}

void client_table_report(struct client_table *table, const char *service,
			 client_line_fn *line, void *arg)
{
	static const char *const names[] = {
		[CLIENT_CONNECTS] = "connection", [CLIENT_SENDS] = "message",
		[CLIENT_ADDRESSES] = "recipient", [CLIENT_BEGINS_TLS] = "newtls",
		[CLIENT_LOGS_IN] = "auth",
	};
	struct peak rates[CLIENT_EVENTS], connections, size;
	char what[200], when[DATE_MAX_BYTES];

	pthread_mutex_lock(&table->lock);
	memcpy(rates, table->rate_peaks, sizeof(rates));
	connections = table->connection_peak;
	size = table->size_peak;
	memset(table->rate_peaks, 0, sizeof(table->rate_peaks));
	table->connection_peak = table->size_peak = (struct peak){ 0 };
	pthread_mutex_unlock(&table->lock);

	for (int i = 0; i < CLIENT_EVENTS; i++) {
		snprintf(what, sizeof(what), "%s rate %d/%ds", names[i],
			 rates[i].value, table->unit_s);
		report(&rates[i], what, service, line, arg);
		if (i != CLIENT_CONNECTS)
			continue;
		snprintf(what, sizeof(what), "connection count %d",
			 connections.value);
		report(&connections, what, service, line, arg);
	}
	if (size.value == 0)
		return;
	snprintf(what, sizeof(what), "statistics: max cache size %d at %s",
		 size.value, date_log(when, size.when));
	line(arg, what);
}
