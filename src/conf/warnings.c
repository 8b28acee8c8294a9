/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <unistd.h>

#include "conf/conf_priv.h"
#include "conf/master_cf.h"
#include "conf/show.h"

enum { WARNINGS_MAX = 10000 };

/* The lines said so far. */
struct heard {
	const struct conf *conf;
	const struct master_table *table; /* may be NULL */
	const char **list;
	size_t count, cap;
};

PRINTF(2, 3)
static void hear(struct heard *heard, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = talloc_vasprintf(NULL, format, args);
	va_end(args);
	for (size_t i = 0; text != NULL && i < heard->count; i++)
		if (strcmp(heard->list[i], text) == 0) {
			talloc_free(text);
			return; /* said already */
		}
	if (text == NULL || heard->count == WARNINGS_MAX)
		return;
	if (heard->count == heard->cap) {
		heard->cap = heard->cap * 2 + 32;
		heard->list = mem_resize(talloc_parent(heard->list),
					 heard->list, const char *, heard->cap);
	}
	heard->list[heard->count++] = talloc_steal(heard->list, text);
}

static bool is_off(const char *text)
{
	return *text == '\0' || strcasecmp(text, "no") == 0;
}

/* "path: unused parameter: x=y", and more that a person can use. */
static void hear_unused(struct heard *heard, const char *path, const char *pair,
			const char *where)
{
	struct span name = span_take(span_from(pair), strcspn(pair, "="));
	const char *nearest = conf_nearest_name(name);

	hear(heard, "%s: unused parameter: %s%s%s%s%s", path, pair, where,
	     nearest == NULL ? "" : "; did you mean \"",
	     nearest == NULL ? "" : nearest, nearest == NULL ? "" : "\"?");
}

static void hear_deprecated(struct heard *heard, const char *path,
			    struct span name)
{
	const char *instead = param_deprecated(name);

	if (instead == NULL)
		return;
	if (*instead == '\0')
		hear(heard,
		     "%s: support for parameter \"%.*s\" will be removed; "
		     "instead, do not specify (leave at default)",
		     path, SPAN_FMT(name));
	else
		hear(heard,
		     "%s: support for parameter \"%.*s\" will be removed; "
		     "instead, specify \"%s\"",
		     path, SPAN_FMT(name), instead);
}

static void hear_item(struct heard *heard, const struct conf_item *item)
{
	const char *path = heard->conf->priv->main_path;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *why;

	if (item->text == NULL || (item->line == 0 && item->def != NULL))
		return;
	if (item->used || item->def != NULL)
		hear_deprecated(heard, path, span_from(item->name));
	if (item->def == NULL && !item->used)
		hear_unused(heard, path,
			    mem_printf(tmp, "%s=%s", item->name, item->text),
			    "");
	if (item->def == NULL)
		return;
	why = param_no_effect(item->name);
	if (why == NULL || (why == param_not_implemented && is_off(item->text)))
		return; /* "no": so it is */
	hear(heard, "%s, line %d: %s has no effect here: %s", path, item->line,
	     item->name, why);
}

/* A name that is looked for in texts. */
struct wanted {
	struct span name;
	bool found;
};

static void wanted_name(void *arg, struct span name)
{
	struct wanted *wanted = arg;

	wanted->found |= span_eq(name, wanted->name);
}

/* Does the line itself, or main.cf, or a default refer to the name? */
static bool is_override_used(const struct conf_priv *priv,
			     const struct master_entry *line, struct span name)
{
	struct wanted wanted = { name, false };

	for (size_t i = 0; i < line->override_count && !wanted.found; i++)
		expand_names(span_from(line->overrides[i]), wanted_name,
			     &wanted);
	for (size_t i = 0; i < priv->count && !wanted.found; i++) {
		const struct conf_entry *entry = &priv->entries[i];

		if (entry->text != NULL)
			expand_names(span_from(entry->text), wanted_name,
				     &wanted);
		if (entry->def != NULL)
			expand_names(span_from(entry->def->preset), wanted_name,
				     &wanted);
	}
	return wanted.found;
}

static void hear_override(struct heard *heard, const struct master_entry *line,
			  const char *override)
{
	const struct conf_priv *priv = heard->conf->priv;
	const struct master_table *table = heard->table;
	struct span name =
		span_take(span_from(override), strcspn(override, "="));
	const struct conf_entry *entry = conf_table_find(priv, name);
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *plain = mem_span_dup(tmp, name), *why;

	if (entry != NULL && entry->def != NULL) {
		hear_deprecated(heard, table->path, name);
		why = param_no_effect(plain);
		if (why == NULL || (why == param_not_implemented &&
				    is_off(override + name.len + 1)))
			return;
		hear(heard, "%s, line %d: %s has no effect here: %s",
		     table->path, line->line, plain, why);
		return;
	}
	if (conf_is_service_name(plain, table) ||
	    is_override_used(priv, line, name))
		return;
	hear_unused(heard, table->path, override,
		    mem_printf(tmp, " (line %d)", line->line));
}

/* Names that a text refers to and nobody defines. */
struct undefined {
	struct heard *heard;
	const char *path;
	const struct master_entry *line; /* of master.cf, or NULL */
};

static bool is_defined_by(const struct master_entry *line, struct span name)
{
	for (size_t i = 0; i < line->override_count; i++) {
		const char *text = line->overrides[i];

		if (span_eq(span_take(span_from(text), strcspn(text, "=")),
			    name))
			return true;
	}
	return false;
}

static void undefined_name(void *arg, struct span name)
{
	struct undefined *undefined = arg;
	struct heard *heard = undefined->heard;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	if (conf_table_find(heard->conf->priv, name) != NULL ||
	    (undefined->line != NULL && is_defined_by(undefined->line, name)) ||
	    conf_is_service_name(mem_span_dup(tmp, name), heard->table))
		return;
	hear(heard, "%s: undefined parameter: %.*s", undefined->path,
	     SPAN_FMT(name));
}

/* Tables whose settings are in a file of their own: is it there? */
static void hear_table_files(struct heard *heard, const char *text)
{
	static const char *const types[] = { "ldap",   "mysql", "pgsql",
					     "sqlite", "redis", "memcache",
					     "mongodb" };
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct span rest, word, type;
	struct fault fault;
	char *expanded;

	if (conf_expand(tmp, heard->conf, text, &expanded, &fault) != RC_OK)
		return;
	rest = span_from(expanded);
	while (span_token(&rest, ", \t\r\n{}", &word)) {
		if (span_starts(word, "proxy:"))
			word = span_skip(word, strlen("proxy:"));
		if (!span_cut(&word, ':', &type) || !span_starts(word, "/"))
			continue;
		for (size_t i = 0; i < ARRAY_LEN(types); i++) {
			const char *path = mem_span_dup(tmp, word);

			if (span_is(type, types[i]) && access(path, F_OK) < 0)
				hear(heard,
				     "open \"%s\" configuration \"%s\": %m",
				     types[i], path);
		}
	}
}

static void hear_main(struct heard *heard)
{
	const struct conf_priv *priv = heard->conf->priv;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct undefined undefined = { heard, priv->main_path, NULL };
	struct conf_item *items;
	size_t count;

	conf_items(tmp, heard->conf, heard->table, &items, &count);
	for (size_t i = 0; i < count; i++)
		hear_item(heard, &items[i]);
	for (size_t i = 0; i < count; i++) {
		if (items[i].text == NULL || items[i].line == 0)
			continue;
		if (items[i].def == NULL && !items[i].used)
			continue;
		if (items[i].def == NULL || items[i].def->type != PARAM_RAW)
			expand_names(span_from(items[i].text), undefined_name,
				     &undefined);
		if (items[i].def != NULL)
			hear_table_files(heard, items[i].text);
	}
}

static void hear_master(struct heard *heard)
{
	const struct master_table *table = heard->table;

	for (size_t i = 0; i < table->warning_count; i++)
		hear(heard, "%s", table->warnings[i]);
	for (size_t i = 0; i < table->count; i++) {
		const struct master_entry *line = &table->entries[i];
		struct undefined undefined = { heard, table->path, line };

		for (size_t j = 0; j < line->override_count; j++) {
			hear_override(heard, line, line->overrides[j]);
			expand_names(span_from(line->overrides[j]),
				     undefined_name, &undefined);
		}
	}
}

void conf_warnings(TALLOC_CTX *mem, const struct conf *conf,
		   const struct master_table *table,
		   const char *const **ret_list, size_t *ret_count)
{
	const struct conf_priv *priv = conf->priv;
	struct heard heard = { .conf = conf, .table = table, .cap = 32 };

	heard.list = mem_array(mem, const char *, heard.cap);
	for (size_t i = 0; i < priv->note_count; i++)
		hear(&heard, "%s", priv->notes[i]);
	hear_main(&heard);
	if (table != NULL)
		hear_master(&heard);
	*ret_list = heard.list;
	*ret_count = heard.count;
}
