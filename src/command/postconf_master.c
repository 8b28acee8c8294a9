/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>
#include <stdio.h>

#include "base/buf.h"
#include "command/postconf_priv.h"
#include "conf/lines.h"
#include "conf/main_cf.h"

enum { FIELD_COUNT = 8, LINE_WIDTH = 80, ENTRY_MAX_BYTES = 1 << 20 };

static const char *const field_names[FIELD_COUNT] = {
    "service", "type",	 "private",	  "unprivileged",
    "chroot",  "wakeup", "process_limit", "command",
};
/* Where each field begins, when those before it leave the room. */
static const size_t field_columns[FIELD_COUNT] = {0,  11, 17, 25,
						  33, 41, 49, 57};

static bool part_matches(struct span pattern, const char *text)
{
	char glob[256];

	snprintf(glob, sizeof(glob), "%.*s", SPAN_FMT(pattern));
	return fnmatch(glob, text, FNM_NOESCAPE) == 0;
}

/* "service", "service/type" or "service/type/rest"; what is left out matches
 * all. *ret_rest.ptr is NULL without the third part. */
static bool entry_matches(const struct master_entry *entry, const char *request,
			  struct span *ret_rest)
{
	const char *type = service_type_name(entry->type);
	struct span rest = span_from(request), name, part;
	size_t name_len = strlen(entry->name);

	*ret_rest = (struct span){NULL, 0};
	/* A service name may hold a slash: try the name itself first. */
	if (span_starts(rest, entry->name) &&
	    (rest.len == name_len || rest.ptr[name_len] == '/')) {
		rest = rest.len == name_len ? (struct span){NULL, 0}
					    : span_skip(rest, name_len + 1);
	} else if (!span_cut(&rest, '/', &name) ||
		   !part_matches(name, entry->name)) {
		return false;
	}
	if (span_cut(&rest, '/', &part) && !part_matches(part, type))
		return false;
	*ret_rest = rest;
	return true;
}

/* The line of an entry. -f puts each -o on its own line; force_fold does so
 * for the file. */
static enum rc entry_format(const struct postconf *pc,
			    const struct master_entry *entry, bool fold,
			    struct buf *out, struct fault *fault)
{
	size_t column;
	bool options = true;

	for (size_t i = 0; i < FIELD_COUNT; i++) {
		if (i > 0)
			buf_add_char(out, ' ');
		while (out->len < field_columns[i] && !out->full)
			buf_add_char(out, ' ');
		buf_add_text(out, entry->words[i]);
	}
	column = out->len;
	for (size_t i = FIELD_COUNT; i < entry->word_count; i++) {
		const char *text = entry->words[i];
		bool is_o = options && strcmp(text, "-o") == 0 &&
			    i + 1 < entry->word_count;

		options = options && text[0] == '-';
		if (is_o && postconf_value(pc, entry->words[++i], &text,
					   fault) != RC_OK)
			return RC_CONF;
		if (fold && (is_o || column + 1 + strlen(text) >= LINE_WIDTH)) {
			buf_add_text(out, "\n    ");
			column = 4;
		} else {
			buf_add_char(out, ' ');
			column++;
		}
		buf_add_text(out, is_o ? "-o " : "");
		buf_add_text(out, text);
		column += strlen(text) + (is_o ? 3 : 0);
	}
	return RC_OK;
}

static enum rc print_entry(const struct postconf *pc,
			   const struct master_entry *entry,
			   struct fault *fault)
{
	struct buf out;

	buf_init(&out, pc->mem, ENTRY_MAX_BYTES);
	if (entry_format(pc, entry, pc->fold, &out, fault) != RC_OK)
		return RC_CONF;
	puts(buf_text(&out));
	buf_done(&out);
	return RC_OK;
}

static enum rc print_fields(const struct postconf *pc,
			    const struct master_entry *entry, struct span field,
			    struct fault *fault)
{
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		struct buf out;

		if (field.ptr != NULL && !part_matches(field, field_names[i]))
			continue;
		buf_init(&out, pc->mem, ENTRY_MAX_BYTES);
		buf_add_text(&out, entry->words[i]);
		for (size_t j = FIELD_COUNT;
		     i + 1 == FIELD_COUNT && j < entry->word_count; j++)
			buf_addf(&out, " %s", entry->words[j]);
		postconf_print_pair(pc,
				    mem_printf(pc->mem, "%s/%s/%s", entry->name,
					       service_type_name(entry->type),
					       field_names[i]),
				    buf_text(&out));
	}
	return RC_OK;
}

static enum rc print_overrides(const struct postconf *pc,
			       const struct master_entry *entry,
			       struct span wanted, struct fault *fault)
{
	for (size_t i = 0; i < entry->override_count; i++) {
		const char *text = entry->overrides[i];
		const char *equals = strchr(text, '=');
		const char *value;
		char *name = mem_span_dup(
		    pc->mem, (struct span){text, (size_t)(equals - text)});

		if (wanted.ptr != NULL && !part_matches(wanted, name))
			continue;
		if (postconf_value(pc, equals + 1, &value, fault) != RC_OK)
			return RC_CONF;
		postconf_print_pair(pc,
				    mem_printf(pc->mem, "%s/%s/%s", entry->name,
					       service_type_name(entry->type),
					       name),
				    value);
	}
	return RC_OK;
}

static enum rc print_one(const struct postconf *pc, char mode,
			 const struct master_entry *entry, struct span rest,
			 struct fault *fault)
{
	if (mode == 'M')
		return print_entry(pc, entry, fault);
	if (mode == 'F')
		return print_fields(pc, entry, rest, fault);
	return print_overrides(pc, entry, rest, fault);
}

/* The configuration that the service of this line has. */
static enum rc scope_of(const struct postconf *pc,
			const struct master_entry *entry,
			struct postconf *ret_scope, struct fault *fault)
{
	const struct conf_source source = {
		.config_directory = pc->conf->config_directory,
		.overrides = entry->overrides,
		.override_count = entry->override_count,
		.process_name = entry->program,
		.service_name = entry->name,
		.tolerant = true,
	};

	*ret_scope = *pc;
	if (!pc->expand || entry->override_count == 0) {
		conf_ref(pc->conf);
		return RC_OK;
	}
	return conf_load(&source, &ret_scope->conf, fault);
}

/* One line, for each request that means it, or just so. */
static enum rc print_requested(const struct postconf *pc, char mode,
			       const struct master_entry *entry, bool *found,
			       struct fault *fault)
{
	struct span rest = {NULL, 0};
	struct postconf scope;
	enum rc rc = scope_of(pc, entry, &scope, fault);

	if (rc != RC_OK)
		return rc;
	if (pc->name_count == 0)
		rc = print_one(&scope, mode, entry, rest, fault);
	for (size_t i = 0; rc == RC_OK && i < pc->name_count; i++) {
		if (!entry_matches(entry, pc->names[i], &rest))
			continue;
		found[i] = true;
		rc = print_one(&scope, mode, entry, rest, fault);
		if (mode == 'M')
			break;
	}
	conf_unref(scope.conf);
	return rc;
}

enum rc postconf_print_master(const struct postconf *pc, char mode,
			      struct fault *fault)
{
	bool *found = mem_array(pc->mem, bool, pc->name_count + 1);

	for (size_t i = 0; i < pc->table->count; i++) {
		if (print_requested(pc, mode, &pc->table->entries[i], found,
				    fault) != RC_OK)
			return RC_CONF;
	}
	for (size_t i = 0; i < pc->name_count; i++) {
		if (!found[i])
			fprintf(stderr,
				"postconf: warning: unmatched request: "
				"\"%s\"\n",
				pc->names[i]);
	}
	return RC_OK;
}

/* What becomes of the lines of one service. */
struct entry_edit {
	const char *name, *type;
	struct edit_verdict verdict;
	size_t found;
};

static struct edit_verdict judge(void *arg, struct span first_line)
{
	struct entry_edit *edit = arg;
	struct span name, type;

	if (!span_token(&first_line, " \t\r", &name) ||
	    !span_token(&first_line, " \t\r", &type) ||
	    !span_is(name, edit->name) || !span_is(type, edit->type))
		return (struct edit_verdict){VERDICT_KEEP, NULL};
	edit->found++;
	return edit->verdict;
}

static enum rc file_edit(const struct postconf *pc, struct entry_edit *edit,
			 struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(pc->mem);
	char *path =
	    mem_printf(tmp, "%s/master.cf", pc->conf->config_directory);
	struct master_table *checked;
	struct span text;
	struct buf out;

	if (edit_lock(pc->conf->config_directory, fault) != RC_OK ||
	    lines_read_file(tmp, path, &text, fault) != RC_OK)
		return RC_CONF;
	buf_init(&out, tmp, 2 * LINES_FILE_MAX_BYTES);
	edit_text(text, judge, edit, &out);
	if (edit->found == 0 && edit->verdict.what == VERDICT_REPLACE) {
		buf_add_text(&out, edit->verdict.text);
		buf_add_char(&out, '\n');
	}
	if (edit->found == 0 && edit->verdict.what != VERDICT_REPLACE)
		fprintf(stderr,
			"postconf: warning: unmatched request: \"%s/%s\"\n",
			edit->name, edit->type);
	if (out.full)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "%s would be too large", path);
	/* What could not be read back is not written. */
	if (master_cf_parse(tmp, pc->conf, buf_span(&out), path, &checked,
			    fault) != RC_OK)
		return fault_add(fault, "not written");
	return edit_write(path, buf_span(&out), fault);
}

/* Split "smtp/inet[/rest]" at the last slashes: a name may hold some. */
static enum rc cut_service(const struct postconf *pc, const char *request,
			   bool has_rest, struct entry_edit *edit,
			   const char **ret_rest, struct fault *fault)
{
	struct span text = span_from(request), part;
	ssize_t slash = -1;

	*ret_rest = NULL;
	if (has_rest) {
		slash = span_rfind(text, '/');
		if (slash > 0) {
			part = span_skip(text, (size_t)slash + 1);
			*ret_rest = mem_span_dup(pc->mem, part);
			text = span_take(text, (size_t)slash);
		}
	}
	slash = span_rfind(text, '/');
	if (slash <= 0 || (has_rest && *ret_rest == NULL))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "\"%s\": service_name/type%s expected",
				 request, has_rest ? "/name" : "");
	edit->name = mem_span_dup(pc->mem, span_take(text, (size_t)slash));
	edit->type = mem_span_dup(pc->mem, span_skip(text, (size_t)slash + 1));
	return RC_OK;
}

static struct master_entry *find_entry(const struct postconf *pc,
				       const struct entry_edit *edit,
				       struct fault *fault)
{
	for (size_t i = 0; i < pc->table->count; i++) {
		struct master_entry *entry = &pc->table->entries[i];

		if (strcmp(entry->name, edit->name) == 0 &&
		    strcmp(service_type_name(entry->type), edit->type) == 0)
			return entry;
	}
	fault_set(fault, RC_CONF, "4.3.5", "%s: no service \"%s/%s\"",
		  pc->table->path, edit->name, edit->type);
	return NULL;
}

static enum rc replace_with(const struct postconf *pc, struct entry_edit *edit,
			    const struct master_entry *entry,
			    struct fault *fault)
{
	struct postconf plain = *pc;
	struct buf out;

	plain.expand = false;
	buf_init(&out, pc->mem, ENTRY_MAX_BYTES);
	if (entry_format(&plain, entry, true, &out, fault) != RC_OK)
		return RC_CONF;
	edit->verdict.what = VERDICT_REPLACE;
	edit->verdict.text = buf_text(&out);
	return file_edit(pc, edit, fault);
}

/* -M service/type=entry */
static enum rc set_entry(const struct postconf *pc, struct entry_edit *edit,
			 const char *text, struct fault *fault)
{
	struct master_table *table;
	const struct master_entry *entry;

	if (master_cf_parse(pc->mem, pc->conf, span_from(text), "the new entry",
			    &table, fault) != RC_OK)
		return RC_CONF;
	if (table->count != 1)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "one entry expected: \"%s\"", text);
	entry = &table->entries[0];
	if (strcmp(entry->name, edit->name) != 0 ||
	    strcmp(service_type_name(entry->type), edit->type) != 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "the entry is of %s/%s, not of %s/%s",
				 entry->name, service_type_name(entry->type),
				 edit->name, edit->type);
	return replace_with(pc, edit, entry, fault);
}

/* -F service/type/field=value */
static enum rc set_field(const struct postconf *pc, struct entry_edit *edit,
			 const char *field, const char *value,
			 struct fault *fault)
{
	struct master_entry *entry = find_entry(pc, edit, fault);
	const char **words;

	if (entry == NULL)
		return RC_CONF;
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		if (strcmp(field_names[i], field) != 0)
			continue;
		words = mem_array(pc->mem, const char *, entry->word_count);
		memcpy(words, entry->words, entry->word_count * sizeof(*words));
		words[i] = value;
		entry->words = words;
		if (i + 1 == FIELD_COUNT)
			entry->word_count = FIELD_COUNT;
		return replace_with(pc, edit, entry, fault);
	}
	return fault_set(fault, RC_CONF, "4.3.5",
			 "unknown field \"%s\": service, type, private, "
			 "unprivileged, chroot, wakeup, process_limit or "
			 "command expected",
			 field);
}

/* -P service/type/name=value; a NULL value removes the -o. */
static enum rc set_override(const struct postconf *pc, struct entry_edit *edit,
			    const char *name, const char *value,
			    struct fault *fault)
{
	struct master_entry *entry = find_entry(pc, edit, fault);
	const char **words;
	size_t used = FIELD_COUNT, len = strlen(name);
	const char *added = NULL;

	if (entry == NULL)
		return RC_CONF;
	words = mem_array(pc->mem, const char *, entry->word_count + 2);
	memcpy(words, entry->words, FIELD_COUNT * sizeof(*words));
	if (value != NULL)
		added = mem_printf(pc->mem,
				   strpbrk(value, " \t") != NULL ? "{%s=%s}"
								 : "%s=%s",
				   name, value);
	for (size_t i = FIELD_COUNT; i < entry->word_count; i++) {
		const char *word = entry->words[i];
		const char *text =
		    i + 1 < entry->word_count ? entry->words[i + 1] : "";

		text += *text == '{';
		/* Options end at the first word that is none. */
		if (word[0] != '-' && added != NULL) {
			words[used++] = "-o";
			words[used++] = added;
			added = NULL;
		}
		if (strcmp(word, "-o") == 0 && strncmp(text, name, len) == 0 &&
		    text[len] == '=') {
			i++;
			continue;
		}
		words[used++] = word;
		if (strcmp(word, "-o") == 0 && i + 1 < entry->word_count)
			words[used++] = entry->words[++i];
	}
	if (added != NULL) {
		words[used++] = "-o";
		words[used++] = added;
	}
	entry->words = words;
	entry->word_count = used;
	return replace_with(pc, edit, entry, fault);
}

static enum rc edit_one(const struct postconf *pc, char mode,
			enum postconf_edit what, const char *request,
			struct fault *fault)
{
	struct entry_edit edit = {.found = 0};
	struct span name = span_from(request), value = {NULL, 0};
	const char *rest, *text;

	if (what == EDIT_SET &&
	    main_cf_split(span_from(request), &name, &value, fault) != RC_OK)
		return RC_CONF;
	if (cut_service(pc, mem_span_dup(pc->mem, name), mode != 'M', &edit,
			&rest, fault) != RC_OK)
		return RC_CONF;
	text = value.ptr == NULL ? NULL : mem_span_dup(pc->mem, value);
	if (mode == 'P' && what == EDIT_COMMENT)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "-P does not go with -#: use -X");
	if (mode == 'P')
		return set_override(pc, &edit, rest, text, fault);
	if (mode == 'F' && what != EDIT_SET)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "-F does not go with -X and -#");
	if (mode == 'F')
		return set_field(pc, &edit, rest, text, fault);
	if (what == EDIT_SET)
		return set_entry(pc, &edit, text, fault);
	edit.verdict.what =
	    what == EDIT_DELETE ? VERDICT_DROP : VERDICT_COMMENT;
	return file_edit(pc, &edit, fault);
}

enum rc postconf_edit_master(const struct postconf *pc, char mode,
			     enum postconf_edit what, struct fault *fault)
{
	struct postconf fresh = *pc;

	for (size_t i = 0; i < pc->name_count; i++) {
		/* Each edit builds on the one before. */
		if (i > 0 && master_cf_load_all(pc->mem, pc->conf, &fresh.table,
						fault) != RC_OK)
			return RC_CONF;
		if (edit_one(&fresh, mode, what, pc->names[i], fault) != RC_OK)
			return RC_CONF;
	}
	return RC_OK;
}
