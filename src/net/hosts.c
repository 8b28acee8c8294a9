/* SPDX-License-Identifier: Apache-2.0 */
#include "net/hosts_priv.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>

#include "sys/files.h"

enum { FILE_MAX_BYTES = 4 * 1024 * 1024, NAME_MAX_BYTES = 255 };

struct entry {
	const char *name; /* lower case */
	const char *canonical;
	struct net_address address;
	uint32_t order; /* in the file */
};

struct table {
	struct entry *by_name;
	struct entry *by_address;
	size_t count;
};

struct hosts {
	char *path;
	pthread_mutex_t lock; /* dns_hosts: all below */
	struct table *table;
	time_t checked;
	struct timespec changed;
	off_t size;
	ino_t inode;
};

static int address_order(const struct net_address *a,
			 const struct net_address *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return a->sa.sa_family < b->sa.sa_family ? -1 : 1;
	if (a->sa.sa_family == AF_INET)
		return memcmp(&a->in4.sin_addr, &b->in4.sin_addr,
			      sizeof(a->in4.sin_addr));
	return memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr,
		      sizeof(a->in6.sin6_addr));
}

static int file_order(const struct entry *a, const struct entry *b)
{
	return a->order < b->order ? -1 : a->order > b->order;
}

static int name_compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order != 0 ? order : file_order(x, y);
}

static int address_compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = address_order(&x->address, &y->address);

	return order != 0 ? order : file_order(x, y);
}

static void table_add(struct table *table, const struct net_address *address,
		      struct span name, const char **canonical)
{
	char *copy;

	if (name.len > NAME_MAX_BYTES)
		return;
	copy = mem_span_dup(table, name);
	if (*canonical == NULL)
		*canonical = mem_strdup(table, copy);
	ascii_lower_text(copy);
	table->by_name = mem_resize(table, table->by_name, struct entry,
				    table->count + 1);
	table->by_name[table->count] =
		(struct entry){ copy, *canonical, *address,
				(uint32_t)table->count };
	table->count++;
}

static void line_read(struct table *table, struct span line)
{
	struct span word, text;
	struct net_address address;
	const char *canonical = NULL;

	if (!span_cut(&line, '#', &text) || !span_token(&text, " \t\r", &word))
		return;
	if (!net_address_parse(word, &address))
		return;
	while (span_token(&text, " \t\r", &word))
		table_add(table, &address, word, &canonical);
}

/* The first entry of this name, or NULL. */
static const struct entry *name_find(const struct table *table,
				     const char *name)
{
	size_t low = 0, high = table->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(table->by_name[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == table->count || strcmp(table->by_name[low].name, name) != 0)
		return NULL;
	return &table->by_name[low];
}

static const struct entry *address_find(const struct table *table,
					const struct net_address *address)
{
	size_t low = 0, high = table->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (address_order(&table->by_address[mid].address, address) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == table->count ||
	    address_order(&table->by_address[low].address, address) != 0)
		return NULL;
	return &table->by_address[low];
}

static void table_sort(struct table *table)
{
	if (table->count == 0)
		return;
	talloc_free(table->by_address);
	table->by_address = mem_array(table, struct entry, table->count);
	memcpy(table->by_address, table->by_name,
	       table->count * sizeof(struct entry));
	qsort(table->by_name, table->count, sizeof(struct entry), name_compare);
	qsort(table->by_address, table->count, sizeof(struct entry),
	      address_compare);
}

/* In the table, and yet to be sorted in. */
static void localhost_add(struct table *table)
{
	static const struct span loopback[] = { SPAN("127.0.0.1"),
						SPAN("::1") };
	struct net_address missing[ARRAY_LEN(loopback)];
	bool has_name = name_find(table, "localhost") != NULL;
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_LEN(loopback); i++)
		if (net_address_parse(loopback[i], &missing[count]) &&
		    (!has_name || address_find(table, &missing[count]) == NULL))
			count++;
	for (size_t i = 0; i < count; i++) {
		const char *canonical = NULL;

		table_add(table, &missing[i], SPAN_OF("localhost"), &canonical);
	}
}

static struct table *table_load(TALLOC_CTX *mem, const char *path)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct table *table = mem_new(mem, struct table);
	struct span text = { NULL, 0 }, line;

	if (file_read(tmp, AT_FDCWD, path, FILE_MAX_BYTES, &text, NULL) !=
	    RC_OK)
		text = SPAN_OF("");
	while (span_cut(&text, '\n', &line))
		line_read(table, line);
	table_sort(table);
	localhost_add(table);
	table_sort(table);
	return table;
}

/* With the lock: look for a newer file, at most once a second. What cannot be
 * seen any more (after a chroot) stays as it was. */
static void hosts_refresh(struct hosts *hosts)
{
	struct timespec now;
	struct stat st;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (hosts->table != NULL && now.tv_sec == hosts->checked)
		return;
	hosts->checked = now.tv_sec;
	if (stat(hosts->path, &st) != 0)
		memset(&st, 0, sizeof(st));
	if (hosts->table != NULL &&
	    (st.st_ino == 0 ||
	     (st.st_ino == hosts->inode && st.st_size == hosts->size &&
	      st.st_mtim.tv_sec == hosts->changed.tv_sec &&
	      st.st_mtim.tv_nsec == hosts->changed.tv_nsec)))
		return;
	hosts->inode = st.st_ino;
	hosts->size = st.st_size;
	hosts->changed = st.st_mtim;
	talloc_free(hosts->table);
	hosts->table = table_load(NULL, hosts->path);
}

static int hosts_close(struct hosts *hosts)
{
	talloc_free(hosts->table);
	pthread_mutex_destroy(&hosts->lock);
	return 0;
}

struct hosts *hosts_new(TALLOC_CTX *mem, const char *path)
{
	struct hosts *hosts = mem_new(mem, struct hosts);

	hosts->path = mem_strdup(hosts, path);
	pthread_mutex_init(&hosts->lock, NULL);
	hosts_refresh(hosts);
	talloc_set_destructor(hosts, hosts_close);
	return hosts;
}

static bool family_wanted(const struct net_address *address, int families)
{
	return (families &
		(address->sa.sa_family == AF_INET ? DNS_IPV4 : DNS_IPV6)) != 0;
}

/* With the lock. */
static enum rc host_take(TALLOC_CTX *mem, const struct hosts *hosts,
			 const char *name, int families,
			 struct dns_host **ret_host)
{
	const struct table *table = hosts->table;
	const struct entry *entry = name_find(table, name);
	const struct entry *end = table->by_name + table->count;
	struct dns_host *host;

	if (entry == NULL)
		return RC_NONE;
	host = mem_new(mem, struct dns_host);
	host->name = mem_strdup(host, entry->canonical);
	for (; entry < end && strcmp(entry->name, name) == 0; entry++) {
		if (!family_wanted(&entry->address, families))
			continue;
		host->addresses =
			mem_resize(host, host->addresses, struct net_address,
				   host->count + 1);
		host->addresses[host->count++] = entry->address;
	}
	if (host->count == 0) {
		talloc_free(host);
		return RC_NONE;
	}
	*ret_host = host;
	return RC_OK;
}

enum rc hosts_addresses(TALLOC_CTX *mem, struct hosts *hosts, const char *name,
			int families, struct dns_host **ret_host)
{
	char folded[NAME_MAX_BYTES + 1];
	size_t len = strlen(name);
	enum rc rc;

	if (len > 0 && name[len - 1] == '.')
		len--;
	if (len == 0 || len > NAME_MAX_BYTES)
		return RC_NONE;
	memcpy(folded, name, len);
	folded[len] = '\0';
	ascii_lower_text(folded);
	pthread_mutex_lock(&hosts->lock);
	hosts_refresh(hosts);
	rc = host_take(mem, hosts, folded, families, ret_host);
	pthread_mutex_unlock(&hosts->lock);
	return rc;
}

enum rc hosts_name(TALLOC_CTX *mem, struct hosts *hosts,
		   const struct net_address *address, const char **ret_name)
{
	const struct entry *entry;

	pthread_mutex_lock(&hosts->lock);
	hosts_refresh(hosts);
	entry = address_find(hosts->table, address);
	if (entry != NULL)
		*ret_name = mem_strdup(mem, entry->canonical);
	pthread_mutex_unlock(&hosts->lock);
	return entry != NULL ? RC_OK : RC_NONE;
}
