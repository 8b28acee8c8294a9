/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "command/parameter_help.h"
#include "command/postern_priv.h"
#include "command/terminal.h"
#include "conf/expand.h"
#include "conf/show.h"

enum { SEE_ALSO_MAX = 12, TYPE_TEXT_BYTES = 100 };

struct page {
	const char *name;
	int section;
	const char *brief, *text;
};

static const struct page pages[] = {
#define PAGE(name, section, brief, text) { name, section, brief, text },
#define READERS(name, programs)
#include <help_pages.def> /* made by tools/man-pages */
#undef PAGE
#undef READERS
};

static const struct {
	const char *name, *programs;
} readers[] = {
#define PAGE(name, section, brief, text)
#define READERS(name, programs) { name, programs },
#include <help_pages.def>
#undef PAGE
#undef READERS
};

struct help {
	struct conf *conf; /* NULL: cannot be loaded */
	struct terminal terminal;
	bool json;
};

static const char *read_by(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(readers); i++)
		if (strcmp(readers[i].name, name) == 0)
			return readers[i].programs;
	return NULL;
}

/* The text of main.cf, or NULL. */
static const struct conf_item *item_of(TALLOC_CTX *mem, const struct help *help,
				       const char *name)
{
	struct conf_item *items;
	size_t count;

	if (help->conf == NULL)
		return NULL;
	conf_items(mem, help->conf, NULL, &items, &count);
	for (size_t i = 0; i < count; i++)
		if (strcmp(items[i].name, name) == 0 && items[i].text != NULL)
			return &items[i];
	return NULL;
}

/* Names that the default refers to, and whose defaults refer to this one. */
struct see_also {
	const char *self;
	const char *list[SEE_ALSO_MAX];
	size_t count;
	const struct param_def *def; /* whose default is looked at */
};

static void see_name(struct see_also *see, const char *name)
{
	if (strcmp(name, see->self) == 0)
		return;
	for (size_t i = 0; i < see->count; i++)
		if (strcmp(see->list[i], name) == 0)
			return;
	if (see->count < SEE_ALSO_MAX)
		see->list[see->count++] = name;
}

static void see_in_default(void *arg, struct span name)
{
	struct see_also *see = arg;

	if (!span_is(span_from(see->def->name), see->self)) {
		if (span_is(name, see->self))
			see_name(see, see->def->name);
		return;
	}
	for (size_t i = 0; i < param_count(); i++)
		if (span_is(name, param_at(i)->name))
			see_name(see, param_at(i)->name);
}

static void see_find(const char *name, struct see_also *see)
{
	*see = (struct see_also){ .self = name };
	for (size_t i = 0; i < param_count(); i++) {
		see->def = param_at(i);
		/* Lists of every table there is tell nothing. */
		if (strncmp(see->def->name, "proxy_", strlen("proxy_")) != 0 ||
		    strcmp(see->def->name, name) == 0)
			expand_names(span_from(see->def->preset),
				     see_in_default, see);
	}
}

static char *type_text(TALLOC_CTX *mem, const struct parameter_help *help)
{
	char *text = mem_array(mem, char, TYPE_TEXT_BYTES);
	FILE *to = fmemopen(text, TYPE_TEXT_BYTES, "w");

	if (to == NULL)
		abort(); /* out of memory */
	parameter_help_type(help, to);
	fclose(to);
	return text;
}

static void parameter_json(const struct help *h,
			   const struct parameter_help *help,
			   const struct conf_item *item,
			   const struct see_also *see)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *programs = read_by(help->name);
	struct json json;

	json_init(&json, stdout, false);
	json_begin(&json, NULL, '{');
	json_text(&json, "name", help->name);
	json_text(&json, "meaning", help->meaning);
	json_text_or_null(&json, "set_to", item == NULL ? NULL : item->text);
	json_text_or_null(&json, "value_here",
			  h->conf == NULL ? NULL
					  : conf_text(h->conf, help->name));
	json_text(&json, "default", parameter_help_preset(help, h->conf));
	json_text(&json, "type", type_text(tmp, help));
	json_text_or_null(&json, "read_by", programs);
	json_text_or_null(&json, "no_effect", param_no_effect(help->name));
	json_text_or_null(&json, "instead",
			  param_deprecated(span_from(help->name)));
	json_begin(&json, "see_also", '[');
	for (size_t i = 0; i < see->count; i++)
		json_text(&json, NULL, see->list[i]);
	json_end(&json, ']');
	json_end(&json, '}');
}

static void field(const struct help *h, const char *name, const char *value)
{
	printf("  %s%-10s%s %s\n", terminal_paint(&h->terminal, PAINT_DIM),
	       name, terminal_paint(&h->terminal, PAINT_PLAIN), value);
}

static void parameter_text(const struct help *h,
			   const struct parameter_help *help,
			   const struct conf_item *item,
			   const struct see_also *see)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *preset = parameter_help_preset(help, h->conf);
	const char *here =
		h->conf == NULL ? NULL : conf_text(h->conf, help->name);
	const char *why = param_no_effect(help->name);
	const char *instead = param_deprecated(span_from(help->name));
	char *names = mem_strdup(tmp, "");

	printf("%s%s%s\n  %s\n\n", terminal_paint(&h->terminal, PAINT_BOLD),
	       help->name, terminal_paint(&h->terminal, PAINT_PLAIN),
	       help->meaning);
	if (item != NULL && item->line > 0)
		field(h, "set to",
		      mem_printf(tmp, "%s  (main.cf, line %d)", item->text,
				 item->line));
	if (h->conf == NULL)
		field(h, "value", "the configuration cannot be read");
	else if (here != NULL &&
		 (item == NULL || strcmp(here, item->text) != 0))
		field(h, "value here", *here == '\0' ? "empty" : here);
	field(h, "default", *preset == '\0' ? "empty" : preset);
	field(h, "type", type_text(tmp, help));
	if (read_by(help->name) != NULL)
		field(h, "read by", read_by(help->name));
	for (size_t i = 0; i < see->count; i++)
		names = mem_printf(tmp, "%s%s%s", names, i > 0 ? ", " : "",
				   see->list[i]);
	if (see->count > 0)
		field(h, "see also", names);
	if (why != NULL)
		field(h, "no effect", why);
	if (instead != NULL)
		field(h, "will go",
		      *instead == '\0' ? "leave it out"
				       : mem_printf(tmp, "use %s", instead));
}

static bool show_parameter(const struct help *h, const char *name)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct parameter_help help;
	const struct conf_item *item;
	struct see_also see;

	if (!parameter_help_find(name, &help))
		return false;
	item = item_of(tmp, h, name);
	see_find(name, &see);
	if (h->json)
		parameter_json(h, &help, item, &see);
	else
		parameter_text(h, &help, item, &see);
	return true;
}

static bool show_page(const struct help *h, const char *name)
{
	const struct page *page = NULL;
	struct json json;

	for (size_t i = 0; i < ARRAY_LEN(pages) && page == NULL; i++)
		if (strcmp(pages[i].name, name) == 0)
			page = &pages[i];
	if (page == NULL)
		return false;
	if (!h->json) {
		printf("%s%s%s - %s\n%s",
		       terminal_paint(&h->terminal, PAINT_BOLD), page->name,
		       terminal_paint(&h->terminal, PAINT_PLAIN), page->brief,
		       page->text);
		return true;
	}
	json_init(&json, stdout, false);
	json_begin(&json, NULL, '{');
	json_text(&json, "name", page->name);
	json_number(&json, "section", page->section);
	json_text(&json, "brief", page->brief);
	json_text(&json, "text", page->text);
	json_end(&json, '}');
	return true;
}

static bool show_pattern(const struct help *h, const char *pattern)
{
	bool found = false;

	if (strchr(pattern, '*') == NULL)
		return false;
	for (size_t i = 0; i < param_count(); i++) {
		const struct param_def *def = param_at(i);

		if (fnmatch(pattern, def->name, 0) != 0)
			continue;
		found = true;
		printf("%s%s%s\n      %s\n",
		       terminal_paint(&h->terminal, PAINT_BOLD), def->name,
		       terminal_paint(&h->terminal, PAINT_PLAIN), def->meaning);
	}
	return found;
}

static void say_near(const struct postern *postern, const char *name)
{
	struct span text = span_from(name);
	int limit = conf_name_distance_limit(text);
	const char *sep = "; near are: ";

	fprintf(stderr,
		"%s: help: there is no parameter, command, table type or file "
		"format \"%s\"",
		postern->program, name);
	for (size_t i = 0; i < param_count() + ARRAY_LEN(pages); i++) {
		const char *other = i < param_count() ?
					    param_at(i)->name :
					    pages[i - param_count()].name;

		if (conf_name_distance(text, other, limit) > limit)
			continue;
		fprintf(stderr, "%s%s", sep, other);
		sep = ", ";
	}
	fputs("\n", stderr);
}

static bool show(const struct help *h, const char *kind, const char *name)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *table = mem_printf(tmp, "%s_table", name);

	if (kind != NULL && strcmp(kind, "table") == 0)
		return show_page(h, table);
	return show_page(h, name) || show_parameter(h, name) ||
	       show_pattern(h, name) || postern_usage_of(name, stdout) ||
	       show_page(h, table);
}

static struct conf *conf_or_null(const struct postern *postern)
{
	const struct conf_source source = {
		.config_directory = postern->config_directory,
		.process_name = "postern",
		.service_name = "",
		.tolerant = true,
	};
	struct conf *conf;
	struct fault fault;

	return conf_load(&source, &conf, &fault) == RC_OK ? conf : NULL;
}

int postern_help(struct postern *postern)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	struct help h = { 0 };
	const char *kind = NULL, *name;
	int option;

	while ((option = getopt_long(postern->argc, postern->argv, "jh", longs,
				     NULL)) != -1) {
		if (option == 'j') {
			h.json = true;
			continue;
		}
		puts("usage: postern help [--json] [NAME]\n"
		     "  NAME  a parameter (or a pattern with *), a command, a "
		     "service,\n"
		     "        a file format, or table TYPE");
		return option == 'h' ? 0 : 1;
	}
	if (optind == postern->argc) {
		postern_usage(stdout, postern->program);
		puts("help NAME tells about a parameter, a command, a service, "
		     "a file format;\nhelp table TYPE about a type of lookup "
		     "table");
		return 0;
	}
	if (optind + 2 == postern->argc)
		kind = postern->argv[optind++];
	name = postern->argv[optind];
	terminal_init(&h.terminal, stdout);
	h.conf = conf_or_null(postern);
	if (show(&h, kind, name)) {
		conf_unref(h.conf);
		return 0;
	}
	conf_unref(h.conf);
	say_near(postern, name);
	return 1;
}
