/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>
#include <stdio.h>

#include "base/buf.h"
#include "command/postconf_priv.h"
#include "conf/lines.h"
#include "conf/main_cf.h"

enum { LINE_WIDTH = 80, ENTRY_MAX_BYTES = 1 << 20 };

const char *const postconf_field_names[FIELD_COUNT] = {
	"service", "type",   "private",	      "unprivileged",
	"chroot",  "wakeup", "process_limit", "command",
};
/* Where each field begins, when those before it leave the room. */
static const size_t field_columns[FIELD_COUNT] = {
	0, 11, 17, 25, 33, 41, 49, 57
};

enum rc postconf_bad_field(struct span name, struct fault *fault)
{
	return fault_set(fault, RC_CONF, "4.3.5",
			 "invalid service attribute name: \"%.*s\": service, "
			 "type, private, unprivileged, chroot, wakeup, "
			 "process_limit or command expected",
			 SPAN_FMT(name));
}

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

	*ret_rest = (struct span){ NULL, 0 };
	/* A service name may hold a slash: try the name itself first. */
	if (span_starts(rest, entry->name) &&
	    (rest.len == name_len || rest.ptr[name_len] == '/')) {
		rest = rest.len == name_len ? (struct span){ NULL, 0 }
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

/* The arguments after the program, from `column` on. `fold` puts each -o on its
 * own line, and what follows the last of them. */
static enum rc add_arguments(const struct postconf *pc,
			     const struct master_entry *entry, bool fold,
			     size_t column, struct buf *out,
			     struct fault *fault)
{
	bool options = true, after_o = false;

	for (size_t i = FIELD_COUNT; i < entry->word_count; i++) {
		const char *text = entry->words[i];
		bool is_o = options && strcmp(text, "-o") == 0 &&
			    i + 1 < entry->word_count;

		options = options && text[0] == '-';
		if (is_o && postconf_value(pc, entry->words[++i], &text,
					   fault) != RC_OK)
			return RC_CONF;
		if (fold && (is_o || after_o ||
			     column + 1 + strlen(text) >= LINE_WIDTH)) {
			buf_add_text(out, "\n    ");
			column = 4;
		} else {
			buf_add_char(out, ' ');
			column++;
		}
		buf_add_text(out, is_o ? "-o " : "");
		buf_add_text(out, text);
		column += strlen(text) + (is_o ? 3 : 0);
		after_o = is_o;
	}
	return RC_OK;
}

enum rc postconf_entry_format(const struct postconf *pc,
			      const struct master_entry *entry, bool fold,
			      struct buf *out, struct fault *fault)
{
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		if (i > 0)
			buf_add_char(out, ' ');
		while (out->len < field_columns[i] && !out->full)
			buf_add_char(out, ' ');
		buf_add_text(out, entry->words[i]);
	}
	return add_arguments(pc, entry, fold, out->len, out, fault);
}

static enum rc print_entry(const struct postconf *pc,
			   const struct master_entry *entry,
			   struct fault *fault)
{
	struct buf out;

	buf_init(&out, pc->mem, ENTRY_MAX_BYTES);
	if (postconf_entry_format(pc, entry, pc->fold, &out, fault) != RC_OK)
		return RC_CONF;
	if (pc->json)
		postconf_print_json(mem_printf(pc->mem, "%s/%s", entry->name,
					       service_type_name(entry->type)),
				    buf_text(&out));
	else
		puts(buf_text(&out));
	buf_done(&out);
	return RC_OK;
}

static enum rc print_field(const struct postconf *pc,
			   const struct master_entry *entry, size_t i,
			   struct fault *fault)
{
	char *name = mem_printf(pc->mem, "%s/%s/%s", entry->name,
				service_type_name(entry->type),
				postconf_field_names[i]);
	size_t column = pc->hide_names ? 0 : strlen(name) + strlen(" = ");
	struct buf out;

	buf_init(&out, pc->mem, ENTRY_MAX_BYTES);
	buf_add_text(&out, entry->words[i]);
	if (i + 1 == FIELD_COUNT &&
	    add_arguments(pc, entry, pc->fold, column + out.len, &out, fault) !=
		    RC_OK)
		return RC_CONF;
	/* The words are folded already. */
	if (pc->json)
		postconf_print_json(name, buf_text(&out));
	else if (pc->hide_values)
		puts(name);
	else
		printf("%s%s%s\n", pc->hide_names ? "" : name,
		       pc->hide_names ? "" : " = ", buf_text(&out));
	return RC_OK;
}

static enum rc print_fields(const struct postconf *pc,
			    const struct master_entry *entry, struct span field,
			    struct fault *fault)
{
	bool any = false;

	for (size_t i = 0; i < FIELD_COUNT; i++) {
		if (field.ptr != NULL &&
		    !part_matches(field, postconf_field_names[i]))
			continue;
		any = true;
		if (print_field(pc, entry, i, fault) != RC_OK)
			return RC_CONF;
	}
	return any ? RC_OK : postconf_bad_field(field, fault);
}

static enum rc print_overrides(const struct postconf *pc,
			       const struct master_entry *entry,
			       struct span wanted, bool *ret_any,
			       struct fault *fault)
{
	for (size_t i = 0; i < entry->override_count; i++) {
		const char *text = entry->overrides[i];
		const char *equals = strchr(text, '=');
		const char *value;
		char *name = mem_span_dup(
			pc->mem,
			(struct span){ text, (size_t)(equals - text) });

		if (wanted.ptr != NULL && !part_matches(wanted, name))
			continue;
		*ret_any = true;
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
			 bool *ret_any, struct fault *fault)
{
	*ret_any = mode != 'P'; /* which may have none */
	if (mode == 'M')
		return print_entry(pc, entry, fault);
	if (mode == 'F')
		return print_fields(pc, entry, rest, fault);
	return print_overrides(pc, entry, rest, ret_any, fault);
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
	struct span rest = { NULL, 0 };
	bool any = false;
	struct postconf scope;
	enum rc rc = scope_of(pc, entry, &scope, fault);

	if (rc != RC_OK)
		return rc;
	if (pc->name_count == 0)
		rc = print_one(&scope, mode, entry, rest, &any, fault);
	for (size_t i = 0; rc == RC_OK && i < pc->name_count; i++) {
		if (!entry_matches(entry, pc->names[i], &rest))
			continue;
		rc = print_one(&scope, mode, entry, rest, &any, fault);
		found[i] |= any;
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
