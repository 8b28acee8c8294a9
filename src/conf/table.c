/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf_priv.h"

#include <stdarg.h>

static uint32_t hash_name(struct span name)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < name.len; i++)
		hash = (hash ^ (unsigned char)name.ptr[i]) * 16777619u;
	return hash;
}

static uint32_t *slot_for(const struct conf_priv *priv, struct span name)
{
	size_t at = hash_name(name) & (priv->slot_count - 1);

	for (;; at = (at + 1) & (priv->slot_count - 1)) {
		uint32_t index = priv->slots[at];

		if (index == 0 || span_is(name, priv->entries[index - 1].name))
			return &priv->slots[at];
	}
}

static void slots_fill(struct conf_priv *priv, size_t slot_count)
{
	talloc_free(priv->slots);
	priv->slots = mem_array(priv, uint32_t, slot_count);
	priv->slot_count = slot_count;
	for (size_t i = 0; i < priv->count; i++)
		*slot_for(priv, span_from(priv->entries[i].name)) =
		    (uint32_t)i + 1;
}

void conf_table_init(struct conf_priv *priv)
{
	priv->cap = param_count() + 128;
	priv->entries = mem_array(priv, struct conf_entry, priv->cap);
	for (size_t i = 0; i < param_count(); i++) {
		priv->entries[i].def = param_at(i);
		priv->entries[i].name = priv->entries[i].def->name;
	}
	priv->count = param_count();
	slots_fill(priv, 4096);
}

struct conf_entry *conf_table_find(const struct conf_priv *priv,
				   struct span name)
{
	uint32_t index = *slot_for(priv, name);

	return index == 0 ? NULL : &priv->entries[index - 1];
}

struct conf_entry *conf_table_put(struct conf_priv *priv, struct span name)
{
	struct conf_entry *entry = conf_table_find(priv, name);

	if (entry != NULL)
		return entry;
	if (priv->count == priv->cap) {
		priv->cap *= 2;
		priv->entries = mem_resize(priv, priv->entries,
					   struct conf_entry, priv->cap);
	}
	entry = &priv->entries[priv->count++];
	*entry = (struct conf_entry){.name = mem_span_dup(priv, name)};
	if (priv->count * 2 > priv->slot_count)
		slots_fill(priv, priv->slot_count * 2);
	else
		*slot_for(priv, name) = (uint32_t)priv->count;
	return entry;
}

void conf_note(struct conf_priv *priv, const char *format, ...)
{
	va_list args;

	if (priv->note_count % 16 == 0)
		priv->notes = mem_resize(priv, priv->notes, const char *,
					 priv->note_count + 16);
	va_start(args, format);
	priv->notes[priv->note_count++] = talloc_vasprintf(priv, format, args);
	va_end(args);
}
