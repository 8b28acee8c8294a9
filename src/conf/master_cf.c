/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/master_cf.h"

#include <limits.h>

#include "conf/lines.h"
#include "conf/main_cf.h"

enum { FIELD_COUNT = 8, WORD_MAX = 4096 };

static const char *const type_names[] = {
    [SERVICE_INET] = "inet",
    [SERVICE_UNIX] = "unix",
    [SERVICE_UNIX_DGRAM] = "unix-dgram",
    [SERVICE_FIFO] = "fifo",
    [SERVICE_PASS] = "pass",
};

/* One logical line under way. */
struct line {
	const struct conf *conf;
	bool chroot_preset;
	struct master_entry *entry;
	const char **words;
	size_t count;
	struct fault *fault;
};

const char *service_type_name(enum service_type type)
{
	return type_names[type];
}

static enum rc bad_field(const struct line *line, size_t index,
			 const char *name, const char *want)
{
	return fault_set(line->fault, RC_CONF, "4.3.5",
			 "field %zu, %s, is \"%s\": %s expected", index + 1,
			 name, line->words[index], want);
}

/* The next word: up to a blank that is not inside braces. */
static enum rc cut_word(struct span *rest, struct span *ret_word,
			struct fault *fault)
{
	struct span text = span_trim(*rest);
	size_t len = 0;
	int level = 0;

	if (text.len == 0)
		return RC_NONE;
	for (; len < text.len; len++) {
		char c = text.ptr[len];

		if (level <= 0 && ascii_is_space(c))
			break;
		if (c == '{')
			level++;
		else if (c == '}' && level > 0)
			level--;
	}
	if (level > 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "no \"}\" for the \"{\" in \"%.*s\"",
				 SPAN_FMT(text));
	*ret_word = span_take(text, len);
	*rest = span_skip(text, len);
	return RC_OK;
}

static enum rc line_split(struct line *line, struct span text)
{
	struct span word;
	enum rc rc;

	line->words = mem_array(line->entry, const char *, 16);
	while ((rc = cut_word(&text, &word, line->fault)) == RC_OK) {
		if (line->count == WORD_MAX)
			return fault_set(line->fault, RC_CONF, "4.3.5",
					 "more than %d words", WORD_MAX);
		if (line->count >= 16 && line->count % 16 == 0)
			line->words =
			    mem_resize(line->entry, line->words, const char *,
				       line->count + 16);
		line->words[line->count++] = mem_span_dup(line->entry, word);
	}
	if (rc != RC_NONE)
		return rc;
	if (line->count < FIELD_COUNT)
		return fault_set(line->fault, RC_CONF, "4.3.5",
				 "bad field count: %zu fields, at least %d "
				 "expected (service type private unpriv chroot "
				 "wakeup maxproc command)",
				 line->count, FIELD_COUNT);
	return RC_OK;
}

static enum rc parse_yes_no(const struct line *line, size_t index,
			    const char *name, bool preset, bool *ret_value)
{
	const char *text = line->words[index];

	if (strcmp(text, "-") == 0)
		*ret_value = preset;
	else if (strcmp(text, "y") == 0 || strcmp(text, "n") == 0)
		*ret_value = *text == 'y';
	else
		return bad_field(line, index, name, "y, n or -");
	return RC_OK;
}

static enum rc parse_type(const struct line *line)
{
	for (size_t i = 0; i < ARRAY_LEN(type_names); i++) {
		if (strcmp(line->words[1], type_names[i]) == 0) {
			line->entry->type = (enum service_type)i;
			return RC_OK;
		}
	}
	return bad_field(line, 1, "the type",
			 "inet, unix, unix-dgram, fifo or pass");
}

static enum rc parse_wakeup(const struct line *line)
{
	struct master_entry *entry = line->entry;
	struct span text = span_from(line->words[5]);
	uint64_t value = 0;

	if (span_is(text, "-"))
		return RC_OK;
	if (span_ends(text, "?")) {
		entry->wakeup_after_use = true;
		text.len--;
	}
	if (!span_to_u64(text, INT_MAX, &value))
		return bad_field(line, 5, "the wakeup time",
				 "seconds, seconds and \"?\", or -");
	entry->wakeup_s = (int)value;
	return RC_OK;
}

static enum rc parse_maxproc(const struct line *line)
{
	uint64_t value;

	if (strcmp(line->words[6], "-") == 0)
		value =
		    (uint64_t)MAX_OF(line->conf->v.default_process_limit, 1);
	else if (!span_to_u64(span_from(line->words[6]), INT_MAX, &value))
		return bad_field(line, 6, "the process limit", "a number or -");
	line->entry->max_processes = (int)value;
	return RC_OK;
}

static enum rc parse_fields(const struct line *line)
{
	struct master_entry *entry = line->entry;
	enum rc rc;

	entry->name = line->words[0];
	entry->program = line->words[7];
	rc = parse_type(line);
	if (rc == RC_OK)
		rc = parse_yes_no(line, 2, "private",
				  entry->type != SERVICE_INET,
				  &entry->is_private);
	if (rc == RC_OK && entry->is_private && entry->type == SERVICE_INET)
		rc = bad_field(line, 2, "private",
			       "n (an inet service is for everyone)");
	if (rc == RC_OK)
		rc = parse_yes_no(line, 3, "unprivileged", true,
				  &entry->unprivileged);
	if (rc == RC_OK)
		rc = parse_yes_no(line, 4, "chroot", line->chroot_preset,
				  &entry->chroot);
	if (rc == RC_OK)
		rc = parse_wakeup(line);
	if (rc == RC_OK)
		rc = parse_maxproc(line);
	return rc;
}

/* "{ text }" without the braces and the blanks next to them. */
static enum rc strip_braces(const struct line *line, const char *word,
			    const char **ret_text)
{
	struct span text = span_from(word);
	int level = 0;

	*ret_text = word;
	if (!span_starts(text, "{"))
		return RC_OK;
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '{')
			level++;
		else if (text.ptr[i] == '}' && --level == 0 && i + 1 < text.len)
			return fault_set(line->fault, RC_CONF, "4.3.5",
					 "text after the \"}\" in \"%s\"",
					 word);
	}
	text = span_trim(span_take(span_skip(text, 1), text.len - 2));
	*ret_text = mem_span_dup(line->entry, text);
	return RC_OK;
}

static enum rc take_override(const struct line *line, const char *word,
			     const char **ret_override)
{
	struct span name, value;
	const char *text;

	if (strip_braces(line, word, &text) != RC_OK)
		return RC_CONF;
	if (main_cf_split(span_from(text), &name, &value, line->fault) != RC_OK)
		return fault_add(line->fault, "-o %s", word);
	*ret_override = mem_printf(line->entry, "%.*s=%.*s", SPAN_FMT(name),
				   SPAN_FMT(value));
	return RC_OK;
}

/* Where the value of an "-o" in a word begins: "-o", "-vo", "-oname=value".
 * NULL when there is none. */
static const char *find_o(const char *word)
{
	if (word[0] != '-')
		return NULL;
	for (word++; *word == 'v' || *word == 'D'; word++)
		;
	return *word == 'o' ? word + 1 : NULL;
}

/* A word as it must stand in the file to be read as this text; source is what
 * stood there. */
static const char *brace_word(const struct master_entry *entry,
			      const char *source, const char *text)
{
	bool bare = *source != '{' || (*text != '\0' && *text != '{');

	if (bare && strpbrk(text, " \t\r\n") == NULL)
		return text;
	return mem_printf(entry, "{%s}", text);
}

static enum rc parse_arguments(const struct line *line)
{
	struct master_entry *entry = line->entry;
	const char **argv = mem_array(entry, const char *, line->count + 1);
	const char **overrides =
	    mem_array(entry, const char *, line->count + 1);
	const char **words = mem_array(entry, const char *, 3 * line->count);
	size_t used = FIELD_COUNT;
	bool options = true;

	memcpy(words, line->words, FIELD_COUNT * sizeof(*words));
	for (size_t i = FIELD_COUNT; i < line->count; i++) {
		const char *word = line->words[i], *value = NULL, *source;

		if (strip_braces(line, word, &word) != RC_OK)
			return RC_CONF;
		options = options && word[0] == '-' && word[1] != '\0';
		if (options)
			value = find_o(word);
		if (value == NULL) {
			argv[entry->argc++] = word;
			words[used++] = brace_word(entry, line->words[i], word);
			continue;
		}
		if (value - word > 2) { /* the "-v" of "-vo" */
			struct span flags = {word, (size_t)(value - word) - 1};

			argv[entry->argc] = mem_span_dup(entry, flags);
			words[used++] = argv[entry->argc++];
		}
		if (*value == '\0' && i + 1 == line->count)
			return fault_set(line->fault, RC_CONF, "4.3.5",
					 "nothing follows the last \"-o\": "
					 "name=value expected");
		if (*value == '\0')
			value = line->words[++i];
		source = *line->words[i] == '{' ? line->words[i] : value;
		if (take_override(line, value,
				  &overrides[entry->override_count]) != RC_OK)
			return RC_CONF;
		words[used++] = "-o";
		words[used++] =
		    brace_word(entry, source,
			       overrides[entry->override_count++]);
	}
	entry->words = words;
	entry->word_count = used;
	entry->argv = argv;
	entry->overrides = overrides;
	return RC_OK;
}

static enum rc chroot_preset(const struct conf *conf, bool *ret_chroot,
			     struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *text;
	enum rc rc;

	rc = conf_expand(tmp, conf,
			 "${{$compatibility_level} <level {1}?{y}:{n}}", &text,
			 fault);
	if (rc == RC_OK)
		*ret_chroot = *text == 'y';
	return rc;
}

static void table_warn(struct master_table *table, const char *text)
{
	const char **list = (const char **)table->warnings;

	list = mem_resize(table, list, const char *, table->warning_count + 1);
	list[table->warning_count++] = text;
	table->warnings = list;
}

static struct master_entry *table_push(struct master_table *table)
{
	if (table->count % 32 == 0)
		table->entries =
		    mem_resize(table, table->entries, struct master_entry,
			       table->count + 32);
	table->entries[table->count] = (struct master_entry){0};
	return &table->entries[table->count++];
}

static enum rc parse_line(TALLOC_CTX *table, const struct conf *conf,
			  bool chroot, struct span text,
			  struct master_entry *ret_entry, struct fault *fault)
{
	/* Words hang on the entry; it is copied, they stay with the table. */
	struct master_entry *entry = mem_new(table, struct master_entry);
	struct line line = {.conf = conf,
			    .chroot_preset = chroot,
			    .entry = entry,
			    .fault = fault};

	if (line_split(&line, text) != RC_OK || parse_fields(&line) != RC_OK ||
	    parse_arguments(&line) != RC_OK)
		return RC_CONF;
	*ret_entry = *entry;
	return RC_OK;
}

enum rc master_cf_parse(TALLOC_CTX *mem, const struct conf *conf,
			struct span text, const char *path,
			struct master_table **ret_table, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct master_table *table = mem_new(tmp, struct master_table);
	struct lines lines;
	struct buf logical;
	bool orphan = false, chroot = false;
	int number = 0;
	enum rc rc;

	table->path = mem_strdup(table, path);
	if (chroot_preset(conf, &chroot, fault) != RC_OK)
		return RC_CONF;
	buf_init(&logical, tmp, LINES_MAX_BYTES);
	lines_init(&lines, text, path);
	lines.dash_continues = true;
	while ((rc = lines_next(&lines, &logical, &number, &orphan, fault)) ==
	       RC_OK) {
		struct master_entry entry;

		if (orphan) {
			table_warn(table,
				   mem_printf(table,
					      "%s, line %d: ignored: the first "
					      "line begins with a blank and "
					      "continues nothing",
					      path, number));
			continue;
		}
		if (parse_line(table, conf, chroot, buf_span(&logical), &entry,
			       fault) != RC_OK)
			return fault_add(fault, "%s, line %d", path, number);
		entry.line = number;
		*table_push(table) = entry;
	}
	if (rc != RC_NONE)
		return rc;
	*ret_table = talloc_steal(mem, table);
	return RC_OK;
}

/* The index of a later line for the same service, or the count. */
static size_t find_later(const struct master_table *table, size_t index)
{
	const struct master_entry *entry = &table->entries[index];
	size_t i = index + 1;

	for (; i < table->count; i++) {
		if (table->entries[i].type == entry->type &&
		    strcmp(table->entries[i].name, entry->name) == 0)
			break;
	}
	return i;
}

static void warn_repeated(struct master_table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct master_entry *entry = &table->entries[i];
		size_t later = find_later(table, i);

		if (later == table->count)
			continue;
		table_warn(table,
			   mem_printf(table,
				      "%s, line %d: duplicate entry for %s/%s: "
				      "the one in line %d counts",
				      table->path, entry->line, entry->name,
				      service_type_name(entry->type),
				      table->entries[later].line));
	}
}

enum rc master_cf_load_all(TALLOC_CTX *mem, const struct conf *conf,
			   struct master_table **ret_table,
			   struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *path =
		mem_printf(tmp, "%s/master.cf", conf->config_directory);
	struct span text;

	if (lines_read_file(tmp, path, &text, fault) != RC_OK ||
	    master_cf_parse(mem, conf, text, path, ret_table, fault) != RC_OK)
		return RC_CONF;
	warn_repeated(*ret_table);
	return RC_OK;
}

/* Does "name/type" or "type" of master_service_disable mean this entry? */
static bool names_entry(struct span pattern, const struct master_entry *entry)
{
	ssize_t slash = span_rfind(pattern, '/');
	struct span type = pattern;

	if (slash >= 0) {
		type = span_skip(pattern, (size_t)slash + 1);
		if (!span_is(span_take(pattern, (size_t)slash), entry->name))
			return false;
	}
	return span_is(type, service_type_name(entry->type));
}

static bool is_disabled(const struct conf *conf,
			const struct master_entry *entry)
{
	struct span rest = span_from(conf->v.master_service_disable), word;

	while (span_token(&rest, ", \t\r\n", &word)) {
		bool negated = span_starts(word, "!");

		if (names_entry(negated ? span_skip(word, 1) : word, entry))
			return !negated;
	}
	return false;
}

enum rc master_cf_load(TALLOC_CTX *mem, const struct conf *conf,
		       struct master_table **ret_table, struct fault *fault)
{
	struct master_table *table;
	size_t kept = 0;

	if (master_cf_load_all(mem, conf, &table, fault) != RC_OK)
		return RC_CONF;
	for (size_t i = 0; i < table->count; i++) {
		const struct master_entry *entry = &table->entries[i];

		if (find_later(table, i) == table->count &&
		    !is_disabled(conf, entry))
			table->entries[kept++] = *entry;
	}
	table->count = kept;
	*ret_table = table;
	return RC_OK;
}
