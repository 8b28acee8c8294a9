/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/macro.h"

enum { EXPANDED_MAX_BYTES = 16 * 1024, DEPTH_MAX = 10 };

struct expansion {
	const struct macro_value *values;
	size_t count;
	const char *allowed;
	struct buf *out;
	int depth;
	struct fault *fault;
};

static enum rc expand(struct expansion *e, struct span text);

static const char *value_of(const struct expansion *e, struct span name)
{
	for (size_t i = 0; i < e->count; i++)
		if (span_is(name, e->values[i].name))
			return e->values[i].value != NULL ? e->values[i].value
							  : "";
	return NULL;
}

static size_t name_len(struct span text)
{
	size_t len = 0;

	while (len < text.len &&
	       (ascii_is_alnum(text.ptr[len]) || text.ptr[len] == '_'))
		len++;
	return len;
}

static void value_add(struct expansion *e, const char *value)
{
	for (; *value != '\0'; value++)
		buf_add_char(e->out,
			     e->allowed == NULL || strchr(e->allowed, *value)
				 ? *value
				 : '_');
}

/* The length up to the bracket that closes the one before `text`. */
static bool closing(struct span text, char open, char close, size_t *ret_len)
{
	int depth = 1;

	for (size_t i = 0; i < text.len; i++) {
		depth += (text.ptr[i] == open) - (text.ptr[i] == close);
		if (depth == 0) {
			*ret_len = i;
			return true;
		}
	}
	return false;
}

/* "{a}:{b}" or plain text that is all of the first branch. */
static void branches(struct span text, struct span *ret_first,
		     struct span *ret_second)
{
	size_t len;

	*ret_first = text;
	*ret_second = SPAN_OF("");
	if (!span_starts(text, "{") ||
	    !closing(span_skip(text, 1), '{', '}', &len))
		return;
	*ret_first = span_trim(span_take(span_skip(text, 1), len));
	text = span_skip(text, len + 2);
	if (!span_starts(text, ":"))
		return;
	text = span_skip(text, 1);
	if (span_starts(text, "{") &&
	    closing(span_skip(text, 1), '{', '}', &len))
		text = span_trim(span_take(span_skip(text, 1), len));
	*ret_second = text;
}

static enum rc unknown_name(struct expansion *e, struct span name)
{
	return fault_set(e->fault, RC_CONF, "4.3.5",
			 "unknown macro name \"%.*s\"", SPAN_FMT(name));
}

static enum rc expand_braced(struct expansion *e, struct span body)
{
	const size_t len = name_len(body);
	const struct span name = span_take(body, len);
	const char *value = value_of(e, name);
	struct span rest = span_skip(body, len), first, second;

	if (value == NULL || len == 0)
		return unknown_name(e, name);
	if (rest.len == 0) {
		value_add(e, value);
		return RC_OK;
	}
	branches(span_skip(rest, 1), &first, &second);
	if (rest.ptr[0] == '?')
		return expand(e, *value != '\0' ? first : second);
	if (rest.ptr[0] == ':')
		return expand(e, *value == '\0' ? first : second);
	return unknown_name(e, body);
}

/* After a '$'; *text moves on. */
static enum rc expand_one(struct expansion *e, struct span *text)
{
	const char open = text->len > 0 ? text->ptr[0] : '\0';
	const char *value;
	struct span name;
	size_t len;
	enum rc rc;

	if (open == '$') {
		buf_add_char(e->out, '$');
		*text = span_skip(*text, 1);
		return RC_OK;
	}
	if (open == '{' || open == '(') {
		if (!closing(span_skip(*text, 1), open, open == '{' ? '}' : ')',
			     &len))
			return fault_set(e->fault, RC_CONF, "4.3.5",
					 "unbalanced %c in \"%.*s\"", open,
					 SPAN_FMT(*text));
		rc = expand_braced(e, span_take(span_skip(*text, 1), len));
		*text = span_skip(*text, len + 2);
		return rc;
	}
	len = name_len(*text);
	name = span_take(*text, len);
	value = value_of(e, name);
	if (len == 0 || value == NULL)
		return unknown_name(e, name);
	value_add(e, value);
	*text = span_skip(*text, len);
	return RC_OK;
}

static enum rc expand(struct expansion *e, struct span text)
{
	enum rc rc = RC_OK;

	if (++e->depth > DEPTH_MAX)
		return fault_set(e->fault, RC_CONF, "4.3.5",
				 "macros nested too deep");
	while (rc == RC_OK && text.len > 0) {
		ssize_t at = span_find(text, '$');

		if (at < 0) {
			buf_add(e->out, text);
			break;
		}
		buf_add(e->out, span_take(text, (size_t)at));
		text = span_skip(text, (size_t)at + 1);
		rc = expand_one(e, &text);
	}
	e->depth--;
	return rc;
}

enum rc macro_expand(TALLOC_CTX *mem, const char *text,
		     const struct macro_value *values, size_t count,
		     const char *allowed, char **ret_text, struct fault *fault)
{
	struct expansion e = {values, count, allowed, NULL, 0, fault};
	struct buf out;
	enum rc rc;

	buf_init(&out, mem, EXPANDED_MAX_BYTES);
	e.out = &out;
	rc = expand(&e, span_from(text));
	if (rc == RC_OK && out.full)
		rc = fault_set(fault, RC_CONF, "4.3.5", "expansion too long");
	if (rc == RC_OK)
		*ret_text = mem_strdup(mem, buf_text(&out));
	return rc;
}
