/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/main_cf.h"

#include "conf/lines.h"

enum rc main_cf_split(struct span text, struct span *ret_name,
		      struct span *ret_value, struct fault *fault)
{
	struct span shown = span_take(span_trim(text), 60);
	ssize_t at = span_find(text, '=');
	struct span name =
	    span_trim(at < 0 ? text : span_take(text, (size_t)at));

	for (size_t i = 0; i < name.len; i++) {
		if (ascii_is_space(name.ptr[i]))
			at = -1; /* "a b = c" */
	}
	if (at < 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "missing '=' after attribute name: \"%.*s\"",
				 SPAN_FMT(shown));
	if (name.len == 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "missing attribute name: \"%.*s\"",
				 SPAN_FMT(shown));
	*ret_name = name;
	*ret_value = span_trim(span_skip(text, (size_t)at + 1));
	return RC_OK;
}

static void line_push(struct main_cf *main_cf, struct span name,
		      struct span value, int line)
{
	size_t used = main_cf->count;

	if (used % 64 == 0)
		main_cf->lines = mem_resize(main_cf, main_cf->lines,
					    struct main_cf_line, used + 64);
	main_cf->lines[used] = (struct main_cf_line){
	    .name = mem_span_dup(main_cf, name),
	    .value = mem_span_dup(main_cf, value),
	    .line = line,
	};
	main_cf->count++;
}

enum rc main_cf_parse(TALLOC_CTX *mem, struct span text, const char *path,
		      struct main_cf **ret_main, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct main_cf *main_cf = mem_new(tmp, struct main_cf);
	struct lines lines;
	struct buf logical;
	int line = 0;
	bool orphan = false;
	enum rc rc;

	buf_init(&logical, tmp, LINES_MAX_BYTES);
	lines_init(&lines, text, path);
	while ((rc = lines_next(&lines, &logical, &line, &orphan, fault)) ==
	       RC_OK) {
		struct span name, value;

		if (orphan) {
			main_cf->orphan_line = line;
			continue;
		}
		if (main_cf_split(buf_span(&logical), &name, &value, fault) !=
		    RC_OK)
			return fault_add(fault, "%s, line %d", path, line);
		line_push(main_cf, name, value, line);
	}
	if (rc != RC_NONE)
		return rc;
	*ret_main = talloc_steal(mem, main_cf);
	return RC_OK;
}
