/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/show.h"

#include <limits.h>

#include "conf/conf_priv.h"
#include "conf/master_cf.h"

enum { NAME_MAX_BYTES = 100 };

/* Which entries something refers to. */
struct usage {
	const struct conf *conf;
	bool *used; /* by index of the entry */
};

static void usage_name(void *arg, struct span name)
{
	struct usage *usage = arg;
	struct conf_priv *priv = usage->conf->priv;
	struct conf_entry *entry = conf_table_find(priv, name);

	if (entry != NULL)
		usage->used[entry - priv->entries] = true;
}

/* Tables of the old form "mysql:NAME" take NAME_hosts and so on from main.cf.
 */
static void usage_prefix(struct usage *usage, struct span prefix)
{
	struct conf_priv *priv = usage->conf->priv;

	for (size_t i = param_count(); i < priv->count; i++) {
		struct span name = span_from(priv->entries[i].name);

		if (name.len > prefix.len + 1 &&
		    span_eq(span_take(name, prefix.len), prefix) &&
		    name.ptr[prefix.len] == '_')
			usage->used[i] = true;
	}
}

static void usage_tables(struct usage *usage, struct span text)
{
	static const char *const types[] = {
	    "ldap:", "mysql:", "pgsql:", "sqlite:", "mongodb:", "memcache:", "redis:"};
	struct span word;

	while (span_token(&text, ", \t\r\n{}", &word)) {
		if (span_starts(word, "proxy:"))
			word = span_skip(word, strlen("proxy:"));
		for (size_t i = 0; i < ARRAY_LEN(types); i++) {
			struct span name = span_skip(word, strlen(types[i]));

			if (span_starts(word, types[i]) && name.len > 0 &&
			    span_find(name, '/') < 0)
				usage_prefix(usage, name);
		}
	}
}

static void usage_text(struct usage *usage, const char *text)
{
	if (text == NULL)
		return;
	if (strchr(text, '$') != NULL)
		expand_names(span_from(text), usage_name, usage);
	if (strchr(text, ':') != NULL)
		usage_tables(usage, span_from(text));
}

static void usage_classes(struct usage *usage)
{
	const char *text = conf_text(usage->conf, "smtpd_restriction_classes");
	struct span rest = span_from(text == NULL ? "" : text), word;

	while (span_token(&rest, ", \t\r\n", &word))
		usage_name(usage, word);
}

/* "<service><suffix>" for a line of master.cf, or for any service when there
 * is no table to ask. */
bool conf_is_service_name(const char *name, const struct master_table *table)
{
	const struct param_transport_def *def =
	    param_transport_find(span_from(name));
	size_t len = def == NULL ? 0 : strlen(name) - strlen(def->suffix);

	if (def == NULL || table == NULL)
		return def != NULL;
	for (size_t i = 0; i < table->count; i++) {
		const char *service = table->entries[i].name;

		if (strlen(service) == len && memcmp(service, name, len) == 0)
			return true;
	}
	return false;
}

static void usage_find(struct usage *usage, const struct master_table *table)
{
	const struct conf_priv *priv = usage->conf->priv;

	for (size_t i = 0; i < priv->count; i++) {
		const struct conf_entry *entry = &priv->entries[i];

		usage->used[i] |=
		    entry->def != NULL || conf_is_service_name(entry->name, table);
		usage_text(usage, entry->text);
		/* A name that a default refers to is known, also where the
		 * default is not in use. */
		if (entry->def != NULL)
			usage_text(usage, entry->def->preset);
	}
	usage_classes(usage);
	for (size_t i = 0; table != NULL && i < table->count; i++) {
		const struct master_entry *line = &table->entries[i];

		for (size_t j = 0; j < line->override_count; j++)
			usage_text(usage, line->overrides[j]);
	}
}

static int item_compare(const void *a, const void *b)
{
	return strcmp(((const struct conf_item *)a)->name,
		      ((const struct conf_item *)b)->name);
}

void conf_items(TALLOC_CTX *mem, const struct conf *conf,
		const struct master_table *table, struct conf_item **ret_items,
		size_t *ret_count)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	const struct conf_priv *priv = conf->priv;
	struct conf_item *items = mem_array(mem, struct conf_item, priv->count);
	struct usage usage = {conf, mem_array(tmp, bool, priv->count)};

	usage_find(&usage, table);
	for (size_t i = 0; i < priv->count; i++) {
		const struct conf_entry *entry = &priv->entries[i];

		items[i] = (struct conf_item){.name = entry->name,
					      .text = entry->text,
					      .def = entry->def,
					      .line = entry->line,
					      .used = usage.used[i]};
	}
	qsort(items, priv->count, sizeof(*items), item_compare);
	*ret_items = items;
	*ret_count = priv->count;
}

int conf_name_distance(struct span a, const char *b, int limit)
{
	unsigned char rows[3][NAME_MAX_BYTES + 1];
	unsigned char *before = rows[0], *last = rows[1], *row = rows[2];
	size_t len = strlen(b);

	if (a.len > NAME_MAX_BYTES || len > NAME_MAX_BYTES ||
	    labs((long)a.len - (long)len) > limit)
		return limit + 1;
	for (size_t j = 0; j <= len; j++)
		last[j] = (unsigned char)j;
	for (size_t i = 1; i <= a.len; i++) {
		unsigned char *spare = before;

		row[0] = (unsigned char)i;
		for (size_t j = 1; j <= len; j++) {
			int same = a.ptr[i - 1] == b[j - 1];
			int best = MIN_OF(last[j] + 1, row[j - 1] + 1);

			best = MIN_OF(best, last[j - 1] + !same);
			if (i > 1 && j > 1 && a.ptr[i - 1] == b[j - 2] &&
			    a.ptr[i - 2] == b[j - 1])
				best = MIN_OF(best, before[j - 2] + 1);
			row[j] = (unsigned char)MIN_OF(best, UCHAR_MAX);
		}
		before = last;
		last = row;
		row = spare;
	}
	return last[len];
}

int conf_name_distance_limit(struct span name)
{
	return name.len < 6 ? 1 : name.len < 12 ? 2 : 3;
}

const char *conf_nearest_name(struct span name)
{
	int limit = conf_name_distance_limit(name);
	const char *nearest = NULL;

	for (size_t i = 0; i < param_count(); i++) {
		int found =
		    conf_name_distance(name, param_at(i)->name, limit);

		if (found <= limit) {
			nearest = param_at(i)->name;
			limit = found - 1;
		}
	}
	return nearest;
}
