/* SPDX-License-Identifier: Apache-2.0 */
#include "map/mem_table.h"

#include "base/buf.h"

struct mem_entry {
	uint32_t hash, key_at, key_len, value_len; /* the value follows */
};

struct mem_table {
	struct buf text;
	struct mem_entry *entries;
	size_t count, room;
	uint32_t *slots;   /* index + 1 of an entry, 0: free */
	size_t slot_count; /* a power of two, at least twice `room` */
};

enum { FIRST_ROOM = 32, ENTRIES_MAX = 1 << 24 };

static uint32_t hash_of(struct span key)
{
	uint64_t hash = 14695981039346656037u;

	for (size_t i = 0; i < key.len; i++)
		hash = (hash ^ (unsigned char)key.ptr[i]) * 1099511628211u;
	return (uint32_t)(hash ^ hash >> 32);
}

struct mem_table *mem_table_new(TALLOC_CTX *mem)
{
	struct mem_table *table = mem_new(mem, struct mem_table);

	buf_init(&table->text, table, MEM_TABLE_MAX_BYTES);
	return table;
}

static struct span entry_key(const struct mem_table *table,
			     const struct mem_entry *entry)
{
	return (struct span){ table->text.data + entry->key_at,
			      entry->key_len };
}

/* The slot of the key, or the free one where it would go. */
static size_t slot_of(const struct mem_table *table, uint32_t hash,
		      struct span key)
{
	size_t mask = table->slot_count - 1, at = hash & mask;

	for (;; at = (at + 1) & mask) {
		const struct mem_entry *entry;

		if (table->slots[at] == 0)
			return at;
		entry = &table->entries[table->slots[at] - 1];
		if (entry->hash == hash &&
		    span_eq(entry_key(table, entry), key))
			return at;
	}
}

static void table_grow(struct mem_table *table)
{
	table->room = table->room == 0 ? FIRST_ROOM : table->room * 2;
	table->slot_count = table->room * 2;
	table->entries = mem_resize(table, table->entries, struct mem_entry,
				    table->room);
	talloc_free(table->slots);
	table->slots = mem_array(table, uint32_t, table->slot_count);
	for (size_t i = 0; i < table->count; i++) {
		struct mem_entry *entry = &table->entries[i];
		size_t at = entry->hash & (table->slot_count - 1);

		while (table->slots[at] != 0)
			at = (at + 1) & (table->slot_count - 1);
		table->slots[at] = (uint32_t)i + 1;
	}
}

enum mem_add mem_table_add(struct mem_table *table, struct span key,
			   struct span value)
{
	uint32_t hash = hash_of(key);
	struct mem_entry *entry;
	size_t slot;

	if (table->count == ENTRIES_MAX)
		return MEM_FULL;
	if (table->count == table->room)
		table_grow(table);
	slot = slot_of(table, hash, key);
	if (table->slots[slot] != 0)
		return MEM_DUPLICATE;
	entry = &table->entries[table->count];
	*entry = (struct mem_entry){ hash, (uint32_t)table->text.len,
				     (uint32_t)key.len, (uint32_t)value.len };
	if (!buf_add(&table->text, key) || !buf_add(&table->text, value))
		return MEM_FULL;
	table->slots[slot] = (uint32_t)++table->count;
	return MEM_ADDED;
}

enum mem_add mem_table_set(struct mem_table *table, struct span key,
			   struct span value)
{
	enum mem_add added = mem_table_add(table, key, value);
	size_t slot;

	if (added != MEM_DUPLICATE)
		return added;
	slot = slot_of(table, hash_of(key), key);
	table->entries[table->slots[slot] - 1] =
		(struct mem_entry){ hash_of(key), (uint32_t)table->text.len,
				    (uint32_t)key.len, (uint32_t)value.len };
	if (!buf_add(&table->text, key) || !buf_add(&table->text, value))
		return MEM_FULL;
	return MEM_ADDED;
}

static struct span entry_value(const struct mem_table *table,
			       const struct mem_entry *entry)
{
	return (struct span){ table->text.data + entry->key_at + entry->key_len,
			      entry->value_len };
}

bool mem_table_find(const struct mem_table *table, struct span key,
		    struct span *ret_value)
{
	uint32_t at;

	if (table->count == 0)
		return false;
	at = table->slots[slot_of(table, hash_of(key), key)];
	if (at == 0)
		return false;
	*ret_value = entry_value(table, &table->entries[at - 1]);
	return true;
}

size_t mem_table_count(const struct mem_table *table)
{
	return table->count;
}

void mem_table_at(const struct mem_table *table, size_t i, struct span *ret_key,
		  struct span *ret_value)
{
	*ret_key = entry_key(table, &table->entries[i]);
	*ret_value = entry_value(table, &table->entries[i]);
}
