/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of restriction lists: missing ones, and entries that permit. */
#include "rule/restriction_lint_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "map/map_build.h"
#include "sys/files.h"

enum { PATTERN_FILE_MAX_BYTES = 4 * 1024 * 1024 };

bool lint_is_remote(struct span text)
{
	static const char *const types[] = { "ldap",	"mysql",     "pgsql",
					     "tcp",	"socketmap", "memcache",
					     "redis",	"proxy",     "unix",
					     "pipemap", "unionmap",  "randmap",
					     "environ", "debug" };
	struct span type;

	if (!span_cut(&text, ':', &type))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (span_is(type, types[i]))
			return true;
	return false;
}

static bool may_read_all(const struct fault *fault)
{
	return geteuid() == 0 || strstr(fault->text, strerror(EACCES)) == NULL;
}

void lint_table(struct lint *lint, const struct rule_items *items,
		const struct rule_item *item)
{
	for (size_t i = 0; i < maps_count(item->maps); i++) {
		const char *name = map_name(maps_at(item->maps, i));
		struct fault fault = { 0 };
		struct map *map;

		if (lint_is_remote(span_from(name)))
			continue;
		if (map_open(lint->mem, lint->conf, span_from(name), MAP_FOLD,
			     &map, &fault) == RC_OK ||
		    !may_read_all(&fault))
			continue;
		lint_say(lint, items, item,
			 "the table of %s cannot be opened, so clients get "
			 "\"451 4.3.5 Server configuration error\": %s; make "
			 "it (postmap), or correct its name",
			 item->word, fault.text);
	}
}

/* ---- entries ---- */

static bool is_digits(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_digit(text.ptr[i]))
			return false;
	return text.len > 0;
}

/* Does the action let the client through? */
static bool permits(struct span value)
{
	struct span word;

	value = span_trim(value);
	if (is_digits(value))
		return true;
	return span_token(&value, " \t", &word) &&
	       (span_is_nocase(word, "OK") || span_is_nocase(word, "RELAY") ||
		span_is_nocase(word, "permit"));
}

static bool has_word(struct span text, const char *want)
{
	struct span word;

	while (span_token(&text, ", \t\r\n", &word))
		if (span_is(word, want))
			return true;
	return false;
}

/* One walk over a table. */
struct walk {
	struct lint *lint;
	struct lint_entry *entry; /* looks for what permits, or */
	const char *class_name;	  /* for this name */
	bool found;
};

static enum rc see(void *arg, struct span key, struct span value,
		   struct fault *fault)
{
	struct walk *walk = arg;

	if (walk->class_name != NULL)
		walk->found = has_word(value, walk->class_name);
	else
		walk->found = permits(value) &&
			      (walk->entry->wanted == NULL ||
			       walk->entry->wanted(walk->lint, key));
	if (!walk->found)
		return RC_OK;
	if (walk->entry != NULL)
		walk->entry->key = mem_span_dup(walk->lint->mem, key);
	return RC_NONE; /* that is enough */
}

/* "pattern action" lines: the first word is the pattern, but for /a pattern/.
 */
static void see_line(struct walk *walk, struct span line)
{
	struct span key, value = line;
	ssize_t end;

	if (!span_token(&value, " \t", &key))
		return;
	if (span_starts(line, "/") || span_starts(line, "!/")) {
		end = span_rfind(line, '/');
		key = span_take(line, (size_t)end + 1);
		value = span_skip(line, (size_t)end + 1);
		while (value.len > 0 && !ascii_is_space(value.ptr[0]))
			value = span_skip(value, 1); /* flags */
	}
	(void)!see(walk, key, value, NULL);
}

static void walk_file(struct walk *walk, const char *path)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct span text, line;

	if (file_read(tmp, AT_FDCWD, path, PATTERN_FILE_MAX_BYTES, &text,
		      NULL) != RC_OK) {
		walk->lint->unlistable = true;
		return;
	}
	while (!walk->found && span_cut(&text, '\n', &line)) {
		line = span_trim(line);
		if (line.len > 0 && line.ptr[0] != '#')
			see_line(walk, line);
	}
}

static void walk_table(struct walk *walk, struct map *map)
{
	struct span name = span_from(map_name(map)), type = { "", 0 };
	struct fault fault = { 0 };

	if (lint_is_remote(name)) {
		walk->lint->unlistable = true;
		return;
	}
	(void)!span_cut(&name, ':', &type);
	if (span_is(type, "static")) {
		(void)!see(walk, SPAN_OF("*"), name, NULL);
	} else if (map_is_pattern(map) || span_is(type, "cidr")) {
		walk_file(walk, mem_span_dup(walk->lint->mem, name));
	} else if (map_each(map, see, walk, &fault) != RC_OK && !walk->found) {
		walk->lint->unlistable = true;
	}
}

static bool walk_all(struct walk *walk, const struct rule_item *item)
{
	for (size_t i = 0; i < maps_count(item->maps) && !walk->found; i++)
		walk_table(walk, maps_at(item->maps, i));
	return walk->found;
}

bool lint_table_permits(struct lint *lint, const struct rule_item *item,
			struct lint_entry *entry)
{
	struct walk walk = { .lint = lint, .entry = entry };

	return walk_all(&walk, item);
}

bool lint_table_names(struct lint *lint, const struct rule_item *item,
		      const char *class_name)
{
	struct walk walk = { .lint = lint, .class_name = class_name };

	return walk_all(&walk, item);
}
