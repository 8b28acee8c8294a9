/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>
#include <stdio.h>

#include "base/json.h"
#include "command/postconf_priv.h"
#include "conf/show.h"

enum { LINE_WIDTH = 80 };

/* One parameter as it may be printed. */
struct row {
	const char *name;
	const char *text; /* as set, or NULL */
	const char *preset;
	enum postconf_class class;
	bool raw;
};

struct rows {
	struct row *list;
	size_t count, cap;
};

static void rows_add(TALLOC_CTX *mem, struct rows *rows, struct row row)
{
	if (rows->count == rows->cap) {
		rows->cap = rows->cap * 2 + 256;
		rows->list = mem_resize(mem, rows->list, struct row, rows->cap);
	}
	rows->list[rows->count++] = row;
}

static int row_compare(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->name,
		      ((const struct row *)b)->name);
}

/* Which of the "<service><suffix>" names a line of master.cf has. */
static bool service_has(const struct master_entry *entry,
			const struct param_transport_def *def)
{
	static const char *const agents[] = { "local", "smtp",	  "lmtp",
					      "pipe",  "virtual", "error" };
	bool timed = strcmp(def->suffix, "_time_limit") == 0;
	const char *program = entry->program;

	if (timed)
		return strcmp(program, "pipe") == 0 ||
		       strcmp(program, "spawn") == 0;
	for (size_t i = 0; i < ARRAY_LEN(agents); i++) {
		if (entry->type == SERVICE_UNIX &&
		    strcmp(program, agents[i]) == 0)
			return true;
	}
	return false;
}

static const struct conf_item *item_find(const struct conf_item *items,
					 size_t count, const char *name)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strcmp(items[middle].name, name);

		if (order == 0)
			return &items[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static bool rows_have(const struct rows *rows, const char *name)
{
	for (size_t i = 0; i < rows->count; i++) {
		if (strcmp(rows->list[i].name, name) == 0)
			return true;
	}
	return false;
}

static void add_service_rows(const struct postconf *pc, struct rows *rows,
			     const struct conf_item *items, size_t count,
			     const struct master_entry *entry)
{
	for (size_t i = 0; i < param_transport_count(); i++) {
		const struct param_transport_def *def = param_transport_at(i);
		const struct conf_item *item;
		char *name;

		if (!service_has(entry, def))
			continue;
		name = mem_printf(pc->mem, "%s%s", entry->name, def->suffix);
		if (rows_have(rows, name))
			continue; /* two lines for one service */
		item = item_find(items, count, name);
		if (item != NULL && item->def != NULL)
			continue;
		rows_add(pc->mem, rows,
			 (struct row){ name, item == NULL ? NULL : item->text,
				       def->preset, CLASS_SERVICE, false });
	}
}

/* local_destination_recipient_limit is declared, and of a service as well. */
static bool is_of_service(const struct postconf *pc, const char *name)
{
	const struct param_transport_def *def =
		param_transport_find(span_from(name));
	size_t len = def == NULL ? 0 : strlen(name) - strlen(def->suffix);

	if (def == NULL || pc->table == NULL)
		return false;
	for (size_t i = 0; i < pc->table->count; i++) {
		const struct master_entry *entry = &pc->table->entries[i];

		if (span_is((struct span){ name, len }, entry->name) &&
		    service_has(entry, def))
			return true;
	}
	return false;
}

static void rows_make(const struct postconf *pc, struct rows *rows)
{
	struct conf_item *items;
	size_t count;

	conf_items(pc->mem, pc->conf, pc->table, &items, &count);
	for (size_t i = 0; pc->table != NULL && i < pc->table->count; i++)
		add_service_rows(pc, rows, items, count,
				 &pc->table->entries[i]);
	for (size_t i = 0; i < count; i++) {
		const struct param_def *def = items[i].def;
		struct row row = { .name = items[i].name,
				   .text = items[i].text,
				   .class = CLASS_USER };

		if (def != NULL) {
			row.class = is_of_service(pc, row.name) ? CLASS_SERVICE
								: CLASS_BUILTIN;
			row.raw = def->type == PARAM_RAW;
			row.preset = def->preset;
			/* Only the host knows the default. */
			if (row.text == NULL && *row.preset == '\0')
				row.preset = conf_text(pc->conf, row.name);
		} else if (!items[i].used || rows_have(rows, row.name)) {
			continue;
		}
		rows_add(pc->mem, rows, row);
	}
	qsort(rows->list, rows->count, sizeof(*rows->list), row_compare);
}

void postconf_print_json(const char *name, const char *value)
{
	struct json json;

	json_init(&json, stdout, true);
	json_begin(&json, NULL, '{');
	json_text(&json, name, value);
	json_end(&json, '}');
}

/* Words with one blank between them; with -f on lines of 80 columns. */
static void print_words(const struct postconf *pc, const char *prefix,
			const char *text)
{
	struct span rest = span_from(text), word;
	size_t column = strlen(prefix);
	bool first = true;

	fputs(prefix, stdout);
	while (span_token(&rest, " \t\r\n\v\f", &word)) {
		bool no_blank = first && column == 0;

		if (pc->fold && !no_blank &&
		    column + 1 + word.len > LINE_WIDTH) {
			fputs("\n    ", stdout);
			column = 4;
		} else if (!no_blank) {
			putchar(' ');
			column++;
		}
		fwrite(word.ptr, 1, word.len, stdout);
		column += word.len;
		first = false;
	}
	putchar('\n');
}

void postconf_print_pair(const struct postconf *pc, const char *name,
			 const char *value)
{
	if (pc->json)
		postconf_print_json(name, value);
	else if (pc->hide_values)
		printf("%s\n", name);
	else if (pc->hide_names)
		print_words(pc, "", value);
	else
		print_words(pc, mem_printf(pc->mem, "%s =", name), value);
}

enum rc postconf_value(const struct postconf *pc, const char *text,
		       const char **ret_text, struct fault *fault)
{
	char *expanded;

	*ret_text = text;
	if (!pc->expand)
		return RC_OK;
	if (conf_expand(pc->mem, pc->conf, text, &expanded, fault) != RC_OK)
		return RC_CONF;
	*ret_text = expanded;
	return RC_OK;
}

static enum rc row_print(const struct postconf *pc, const struct row *row,
			 struct fault *fault)
{
	const char *text = row->text != NULL ? row->text : row->preset;

	if (pc->defaults && row->class != CLASS_USER)
		text = row->preset;
	if (text == NULL)
		text = "";
	if (!row->raw && postconf_value(pc, text, &text, fault) != RC_OK)
		return fault_add(fault, "%s", row->name);
	postconf_print_pair(pc, row->name, text);
	return RC_OK;
}

static void warn_unknown(const char *name)
{
	const char *nearest = conf_nearest_name(span_from(name));

	fprintf(stderr, "postconf: warning: %s: unknown parameter%s%s%s\n",
		name, nearest == NULL ? "" : "; did you mean \"",
		nearest == NULL ? "" : nearest, nearest == NULL ? "" : "\"?");
}

static enum rc print_named(const struct postconf *pc, const struct rows *rows,
			   const char *name, struct fault *fault)
{
	bool pattern = strpbrk(name, "*?[") != NULL, found = false;

	for (size_t i = 0; i < rows->count; i++) {
		const struct row *row = &rows->list[i];

		if (pattern ? fnmatch(name, row->name, 0) != 0
			    : strcmp(name, row->name) != 0)
			continue;
		found = true;
		if (pc->set_only && row->text == NULL)
			continue;
		if (row_print(pc, row, fault) != RC_OK)
			return RC_CONF;
	}
	if (!found && !pc->quiet)
		warn_unknown(name);
	return RC_OK;
}

enum rc postconf_print(const struct postconf *pc, struct fault *fault)
{
	struct rows rows = { NULL, 0, 0 };

	rows_make(pc, &rows);
	for (size_t i = 0; i < pc->name_count; i++) {
		if (print_named(pc, &rows, pc->names[i], fault) != RC_OK)
			return RC_CONF;
	}
	for (size_t i = 0; pc->name_count == 0 && i < rows.count; i++) {
		const struct row *row = &rows.list[i];

		if ((row->class & pc->classes) == 0 ||
		    (pc->set_only && row->text == NULL))
			continue;
		if (row_print(pc, row, fault) != RC_OK)
			return RC_CONF;
	}
	return RC_OK;
}
