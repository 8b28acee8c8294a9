/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/buf.h"
#include "command/postconf_priv.h"
#include "conf/lines.h"
#include "conf/main_cf.h"

struct request {
	struct span name;
	const char *line; /* "name = value" */
	bool superseded;
	size_t found;
};

struct edit {
	enum postconf_edit what;
	struct request *requests;
	size_t count;
};

static struct edit_verdict judge(void *arg, struct span first_line)
{
	struct edit *edit = arg;
	ssize_t at = span_find(first_line, '=');
	struct span name = span_trim(
		at < 0 ? first_line : span_take(first_line, (size_t)at));

	for (size_t i = 0; i < edit->count; i++) {
		struct request *request = &edit->requests[i];

		if (request->superseded || !span_eq(request->name, name))
			continue;
		request->found++;
		if (edit->what == EDIT_DELETE)
			return (struct edit_verdict){ VERDICT_DROP, NULL };
		if (edit->what == EDIT_COMMENT)
			return (struct edit_verdict){ VERDICT_COMMENT, NULL };
		return (struct edit_verdict){ VERDICT_REPLACE, request->line };
	}
	return (struct edit_verdict){ VERDICT_KEEP, NULL };
}

static enum rc request_parse(TALLOC_CTX *mem, enum postconf_edit what,
			     const char *arg, struct request *request,
			     struct fault *fault)
{
	struct span text = span_from(arg), value;

	if (strchr(arg, '\n') != NULL)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "-e, -X, or -# accepts no multi-line input");
	if (what != EDIT_SET) {
		request->name = span_trim(text);
		if (request->name.len == 0)
			return fault_set(fault, RC_CONF, "4.3.5",
					 "-X or -# requires non-blank "
					 "parameter names");
		if (span_find(text, '=') >= 0)
			return fault_set(fault, RC_CONF, "4.3.5",
					 "-X and -# take names, not \"%s\"",
					 arg);
		return RC_OK;
	}
	if (main_cf_split(text, &request->name, &value, fault) != RC_OK)
		return RC_CONF;
	if (request->name.ptr[0] == '#')
		return fault_set(fault, RC_CONF, "4.3.5",
				 "-e, -X, or -# accepts no comment input: "
				 "\"%s\"",
				 arg);
	request->line = mem_printf(mem, "%.*s = %.*s", SPAN_FMT(request->name),
				   SPAN_FMT(value));
	return RC_OK;
}

static void supersede(struct edit *edit, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		struct request *request = &edit->requests[i];

		if (request->superseded ||
		    !span_eq(request->name, edit->requests[index].name))
			continue;
		request->superseded = true;
		if (edit->what == EDIT_SET)
			fprintf(stderr,
				"postconf: warning: ignoring earlier request: "
				"'%s'\n",
				request->line);
	}
}

static void append_new(const struct edit *edit, const char *path,
		       struct buf *out)
{
	for (size_t i = 0; i < edit->count; i++) {
		const struct request *request = &edit->requests[i];

		if (request->superseded)
			continue;
		if (request->found > 1)
			fprintf(stderr,
				"postconf: warning: %s: multiple entries for "
				"\"%.*s\"\n",
				path, SPAN_FMT(request->name));
		if (request->found == 0 && edit->what == EDIT_SET) {
			buf_add_text(out, request->line);
			buf_add_char(out, '\n');
		}
	}
}

enum rc postconf_edit_main(const char *config_directory,
			   enum postconf_edit what, char **args, size_t count,
			   struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *path = mem_printf(tmp, "%s/main.cf", config_directory);
	struct edit edit = { what, mem_array(tmp, struct request, count),
			     count };
	struct buf out;
	struct span text;

	for (size_t i = 0; i < count; i++) {
		if (request_parse(tmp, what, args[i], &edit.requests[i],
				  fault) != RC_OK)
			return RC_CONF;
		supersede(&edit, i);
	}
	if (edit_lock(config_directory, fault) != RC_OK ||
	    lines_read_file(tmp, path, &text, fault) != RC_OK)
		return RC_CONF;
	buf_init(&out, tmp, 2 * LINES_FILE_MAX_BYTES);
	edit_text(text, judge, &edit, &out);
	append_new(&edit, path, &out);
	if (out.full)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "%s would be too large", path);
	return edit_write(path, buf_span(&out), fault);
}
