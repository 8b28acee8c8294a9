/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>
#include <stdio.h>

#include "base/buf.h"
#include "command/postconf_priv.h"
#include "conf/lines.h"
#include "conf/main_cf.h"

enum { ENTRY_MAX_BYTES = 1 << 20, PATTERN_MAX_BYTES = 256 };

/* One request, and where it is in the file. */
struct edit {
	const struct postconf *pc;
	char mode; /* M, F or P */
	enum postconf_edit what;
	const char *name, *type; /* of the service; may be patterns */
	const char *rest;  /* a field, or the name of an -o; NULL with M */
	const char *value; /* NULL: to delete or comment out */
	const struct master_table *table; /* of the text */
	size_t at;			  /* entry that comes next */
	size_t matched;
	struct fault *fault;
	enum rc rc; /* of the first entry that failed */
};

static bool matches(const char *pattern, const char *text)
{
	if (strcmp(pattern, text) == 0)
		return true;
	/* "[::1]:25" is no set of characters. */
	return strchr(pattern, '*') != NULL && strchr(pattern, '[') == NULL &&
	       fnmatch(pattern, text, FNM_NOESCAPE) == 0;
}

/* Split "smtp/inet[/rest]" at the last slashes: a name may hold some. */
static enum rc request_cut(struct edit *edit, struct span text)
{
	TALLOC_CTX *mem = edit->pc->mem;
	bool has_rest = edit->mode != 'M';
	ssize_t slash = span_rfind(text, '/');

	if (has_rest && slash > 0) {
		edit->rest =
			mem_span_dup(mem, span_skip(text, (size_t)slash + 1));
		text = span_take(text, (size_t)slash);
		slash = span_rfind(text, '/');
	}
	if (slash <= 0 || (has_rest && edit->rest == NULL))
		return fault_set(edit->fault, RC_CONF, "4.3.5",
				 "-%c%c requires service_name/type%s instead "
				 "of \"%.*s\"",
				 edit->mode, "eX#"[edit->what],
				 has_rest ? "/name" : "", SPAN_FMT(text));
	edit->name = mem_span_dup(mem, span_take(text, (size_t)slash));
	edit->type = mem_span_dup(mem, span_skip(text, (size_t)slash + 1));
	return RC_OK;
}

static enum rc request_parse(struct edit *edit, const char *request)
{
	struct span name = span_from(request), value;

	if (strchr(request, '\n') != NULL)
		return fault_set(edit->fault, RC_CONF, "4.3.5",
				 "-e, -X, or -# accepts no multi-line input");
	if (edit->what == EDIT_SET) {
		if (main_cf_split(name, &name, &value, edit->fault) != RC_OK)
			return RC_CONF;
		edit->value = mem_span_dup(edit->pc->mem, value);
	}
	return request_cut(edit, name);
}

static struct edit_verdict failed(struct edit *edit)
{
	if (edit->rc == RC_OK)
		edit->rc = RC_CONF;
	return (struct edit_verdict){ VERDICT_KEEP, NULL };
}

/* The line of words, read again: what they say is checked, and a new command
 * is cut into its own words. */
static struct edit_verdict replace_with(struct edit *edit,
					const char *const *words, size_t count)
{
	struct postconf plain = *edit->pc;
	struct edit_verdict verdict = { VERDICT_REPLACE, NULL };
	struct master_table *table;
	struct buf line, out;

	buf_init(&line, plain.mem, ENTRY_MAX_BYTES);
	for (size_t i = 0; i < count; i++)
		buf_addf(&line, "%s%s", i > 0 ? " " : "", words[i]);
	plain.expand = false;
	buf_init(&out, plain.mem, ENTRY_MAX_BYTES);
	if (master_cf_parse(plain.mem, plain.conf, buf_span(&line),
			    "the new entry", &table, edit->fault) != RC_OK)
		return failed(edit);
	if (table->count != 1) {
		fault_set(edit->fault, RC_CONF, "4.3.5",
			  "one entry expected: \"%s\"", buf_text(&line));
		return failed(edit);
	}
	if (postconf_entry_format(&plain, &table->entries[0], true, &out,
				  edit->fault) != RC_OK)
		return failed(edit);
	verdict.text = buf_text(&out);
	return verdict;
}

/* -F service/type/field=value */
static struct edit_verdict set_field(struct edit *edit,
				     const struct master_entry *entry)
{
	size_t count = entry->word_count;
	const char **words = mem_array(edit->pc->mem, const char *, count);

	memcpy(words, entry->words, count * sizeof(*words));
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		if (strcmp(postconf_field_names[i], edit->rest) != 0)
			continue;
		words[i] = edit->value;
		return replace_with(edit, words,
				    i + 1 == FIELD_COUNT ? FIELD_COUNT : count);
	}
	postconf_bad_field(span_from(edit->rest), edit->fault);
	return failed(edit);
}

/* "-o name=" of this name; the text of an option may be in braces. */
static bool is_option_of(const char *text, const char *name)
{
	size_t len = strlen(name);

	text += *text == '{';
	return strncmp(text, name, len) == 0 && text[len] == '=';
}

/* -P service/type/name=value, and -PX: the -o of that name in its place, or
 * after the others. */
static struct edit_verdict set_override(struct edit *edit,
					const struct master_entry *entry)
{
	TALLOC_CTX *mem = edit->pc->mem;
	size_t used = FIELD_COUNT, i = FIELD_COUNT;
	const char **words =
		mem_array(mem, const char *, entry->word_count + 2);
	const char *added = NULL;

	if (edit->value != NULL)
		added = mem_printf(mem,
				   strpbrk(edit->value, " \t") != NULL
					   ? "{%s=%s}"
					   : "%s=%s",
				   edit->rest, edit->value);
	memcpy(words, entry->words, FIELD_COUNT * sizeof(*words));
	while (i < entry->word_count && entry->words[i][0] == '-') {
		bool is_o = strcmp(entry->words[i], "-o") == 0 &&
			    i + 1 < entry->word_count;

		if (is_o && is_option_of(entry->words[i + 1], edit->rest)) {
			if (added != NULL) {
				words[used++] = "-o";
				words[used++] = added;
			}
			added = NULL;
			i += 2;
			continue;
		}
		words[used++] = entry->words[i++];
		if (is_o)
			words[used++] = entry->words[i++];
	}
	if (added != NULL) {
		words[used++] = "-o";
		words[used++] = added;
	}
	while (i < entry->word_count)
		words[used++] = entry->words[i++];
	return replace_with(edit, words, used);
}

static struct edit_verdict judge(void *arg, struct span first_line)
{
	struct edit *edit = arg;
	const struct master_entry *entry;

	if (edit->at >= edit->table->count)
		return (struct edit_verdict){ VERDICT_KEEP, NULL };
	entry = &edit->table->entries[edit->at++];
	if (!matches(edit->name, entry->name) ||
	    !matches(edit->type, service_type_name(entry->type)))
		return (struct edit_verdict){ VERDICT_KEEP, NULL };
	edit->matched++;
	if (edit->mode == 'F')
		return set_field(edit, entry);
	if (edit->mode == 'P')
		return set_override(edit, entry);
	if (edit->what == EDIT_DELETE)
		return (struct edit_verdict){ VERDICT_DROP, NULL };
	if (edit->what == EDIT_COMMENT)
		return (struct edit_verdict){ VERDICT_COMMENT, NULL };
	return replace_with(edit, &edit->value, 1);
}

/* One request, from one text to the next. */
static enum rc edit_one(struct edit *edit, const char *path,
			const char *request, struct span text, struct buf *out)
{
	struct master_table *table;
	struct edit_verdict verdict;

	if (request_parse(edit, request) != RC_OK ||
	    master_cf_parse(edit->pc->mem, edit->pc->conf, text, path, &table,
			    edit->fault) != RC_OK)
		return RC_CONF;
	edit->table = table;
	buf_clear(out);
	edit_text(text, judge, edit, out);
	if (edit->matched == 0 && edit->mode == 'M' && edit->what == EDIT_SET) {
		verdict = replace_with(edit, &edit->value, 1);
		buf_add_text(out, verdict.text == NULL ? "" : verdict.text);
		buf_add_char(out, '\n');
	} else if (edit->matched == 0) {
		fprintf(stderr,
			"postconf: warning: unmatched service_name/type: "
			"\"%s\"\n",
			request);
	}
	if (edit->rc == RC_OK && out->full)
		return fault_set(edit->fault, RC_CONF, "4.3.5",
				 "%s would be too large", path);
	return edit->rc;
}

enum rc postconf_edit_master(const struct postconf *pc, char mode,
			     enum postconf_edit what, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *path =
		mem_printf(tmp, "%s/master.cf", pc->conf->config_directory);
	struct master_table *checked;
	struct buf bufs[2];
	struct span text;

	/* What is read under the lock is what is changed. */
	if (edit_lock(pc->conf->config_directory, fault) != RC_OK ||
	    lines_read_file(tmp, path, &text, fault) != RC_OK)
		return RC_CONF;
	buf_init(&bufs[0], tmp, 2 * LINES_FILE_MAX_BYTES);
	buf_init(&bufs[1], tmp, 2 * LINES_FILE_MAX_BYTES);
	for (size_t i = 0; i < pc->name_count; i++) {
		struct edit edit = {
			.pc = pc, .mode = mode, .what = what, .fault = fault
		};

		if (edit_one(&edit, path, pc->names[i], text, &bufs[i % 2]) !=
		    RC_OK)
			return fault_add(fault, "%s", pc->names[i]);
		text = buf_span(&bufs[i % 2]);
	}
	/* What could not be read back is not written. */
	if (master_cf_parse(tmp, pc->conf, text, path, &checked, fault) !=
	    RC_OK)
		return fault_add(fault, "not written");
	return edit_write(path, text, fault);
}
