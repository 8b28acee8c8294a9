/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/expand.h"

#include <errno.h>
#include <idn2.h>
#include <limits.h>

/* One level of a text under way. */
struct state {
	const struct expand *expand;
	struct buf *out;
	int depth;
	struct fault *fault;
};

static enum rc bad(const struct state *st, const char *why, struct span at)
{
	struct span shown = span_take(at, 60);

	if (at.len == 0)
		return fault_set(st->fault, RC_CONF, "4.3.5",
				 "%s at the end of the value", why);
	return fault_set(st->fault, RC_CONF, "4.3.5", "%s at \"%.*s\"", why,
			 SPAN_FMT(shown));
}

static bool is_name_char(char c)
{
	return ascii_is_alnum(c) || c == '_';
}

static void skip_blanks(struct span *text)
{
	while (text->len > 0 && ascii_is_space(text->ptr[0]))
		*text = span_skip(*text, 1);
}

static struct span cut_name(struct span *text)
{
	size_t len = 0;
	struct span name;

	while (len < text->len && is_name_char(text->ptr[len]))
		len++;
	name = span_take(*text, len);
	*text = span_skip(*text, len);
	return name;
}

/* Take "{...}" or "(...)" off the front; the inside goes to *ret_inside. */
static bool cut_group(struct span *text, struct span *ret_inside)
{
	char open = text->len > 0 ? text->ptr[0] : '\0';
	char close = open == '{' ? '}' : ')';
	size_t level = 0;

	if (open != '{' && open != '(')
		return false;
	for (size_t i = 0; i < text->len; i++) {
		if (text->ptr[i] == open)
			level++;
		else if (text->ptr[i] == close && --level == 0) {
			*ret_inside = span_take(span_skip(*text, 1), i - 1);
			*text = span_skip(*text, i + 1);
			return true;
		}
	}
	return false;
}

/* What stands after "?" or ":": braced, or all that is left. */
static enum rc cut_branch(const struct state *st, struct span *rest,
			  struct span *ret_branch)
{
	struct span inside = *rest;

	skip_blanks(&inside);
	if (inside.len == 0 || inside.ptr[0] != '{') {
		*ret_branch = *rest;
		*rest = span_skip(*rest, rest->len);
		return RC_OK;
	}
	*rest = inside;
	if (!cut_group(rest, ret_branch))
		return bad(st, "no \"}\" for the \"{\"", inside);
	skip_blanks(rest);
	return RC_OK;
}

/* The part that begins with "?" or ":", or is empty. Without any branch
 * *ret_branch.ptr is NULL. */
static enum rc choose_branch(const struct state *st, struct span rest,
			     bool truth, struct span *ret_branch)
{
	struct span when_true = {"", 0}, when_false = {"", 0};
	enum rc rc = RC_OK;

	*ret_branch = (struct span){NULL, 0};
	if (rest.len == 0)
		return RC_OK;
	if (rest.ptr[0] != '?' && rest.ptr[0] != ':')
		return bad(st, "\"?\", \":\" or the end of the name expected",
			   rest);
	if (rest.ptr[0] == '?') {
		rest = span_skip(rest, 1);
		rc = cut_branch(st, &rest, &when_true);
		if (rc == RC_OK && rest.len > 0 && rest.ptr[0] != ':')
			rc = bad(st, "\":\" expected", rest);
	}
	if (rc == RC_OK && rest.len > 0) {
		rest = span_skip(rest, 1);
		rc = cut_branch(st, &rest, &when_false);
		if (rc == RC_OK && rest.len > 0)
			rc = bad(st, "unexpected text", rest);
	}
	if (rc == RC_OK)
		*ret_branch = truth ? when_true : when_false;
	return rc;
}

static bool is_number(struct span text)
{
	if (span_starts(text, "-"))
		text = span_skip(text, 1);
	for (size_t i = 0; i < text.len; i++) {
		if (!ascii_is_digit(text.ptr[i]))
			return false;
	}
	return text.len > 0;
}

static bool to_number(struct span text, int64_t *ret_value)
{
	bool negative = span_starts(text, "-");
	uint64_t value;

	if (!span_to_u64(negative ? span_skip(text, 1) : text, INT64_MAX,
			 &value))
		return false;
	*ret_value = negative ? -(int64_t)value : (int64_t)value;
	return true;
}

/* "3", "3.6" or "3.6.1" as one number that compares right. */
static bool to_level(struct span text, int64_t *ret_value)
{
	int64_t level = 0;
	struct span part;
	int parts = 0;

	while (span_cut(&text, '.', &part)) {
		uint64_t value;

		if (++parts > 3 || !span_to_u64(part, 0xfffff, &value))
			return false;
		level = level << 20 | (int64_t)value;
	}
	for (; parts < 3; parts++)
		level <<= 20;
	*ret_value = level;
	return true;
}

static enum rc compare(const struct state *st, struct span a, struct span b,
		       bool by_level, int *ret_order)
{
	int64_t x, y;
	int order;

	if (by_level) {
		if (!to_level(a, &x))
			return bad(st, "not a compatibility level", a);
		if (!to_level(b, &y))
			return bad(st, "not a compatibility level", b);
	} else if (is_number(a) && is_number(b)) {
		if (!to_number(a, &x))
			return bad(st, "the number is too large", a);
		if (!to_number(b, &y))
			return bad(st, "the number is too large", b);
	} else {
		order = memcmp(a.ptr, b.ptr, MIN_OF(a.len, b.len));
		x = order != 0 ? order : (int64_t)a.len;
		y = order != 0 ? 0 : (int64_t)b.len;
	}
	*ret_order = x < y ? -1 : x > y;
	return RC_OK;
}

static const struct compare_op {
	const char *text;
	bool by_level;
	bool less, equal, greater; /* true for */
} ops[] = {
    {"==level", true, false, true, false}, {"!=level", true, true, false, true},
    {"<=level", true, true, true, false},  {">=level", true, false, true, true},
    {"<level", true, true, false, false},  {">level", true, false, false, true},
    {"==", false, false, true, false},	   {"!=", false, true, false, true},
    {"<=", false, true, true, false},	   {">=", false, false, true, true},
    {"<", false, true, false, false},	   {">", false, false, false, true},
};

static const struct compare_op *cut_op(struct span *text)
{
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		if (span_starts(*text, ops[i].text)) {
			*text = span_skip(*text, strlen(ops[i].text));
			return &ops[i];
		}
	}
	return NULL;
}

static enum rc expand_level(const struct state *st, struct span text);

/* Expand a text into a buffer of its own, child of mem. */
static enum rc expand_apart(const struct state *st, TALLOC_CTX *mem,
			    struct span text, struct span *ret_value)
{
	struct buf *out = mem_new(mem, struct buf);
	struct state inner = *st;
	enum rc rc;

	buf_init(out, mem, EXPAND_MAX_BYTES);
	inner.out = out;
	rc = expand_level(&inner, text);
	if (rc == RC_OK)
		*ret_value = buf_span(out);
	return rc;
}

/* {text} op {text}, and what follows. */
static enum rc expand_expression(const struct state *st, struct span text)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct span start = text, left, right, branch;
	const struct compare_op *op;
	bool truth;
	int order;
	enum rc rc;

	if (!cut_group(&text, &left))
		return bad(st, "no \"}\" for the \"{\"", start);
	skip_blanks(&text);
	op = cut_op(&text);
	if (op == NULL)
		return bad(st, "one of == != < <= > >= expected", text);
	skip_blanks(&text);
	if (text.len == 0 || text.ptr[0] != '{' || !cut_group(&text, &right))
		return bad(st, "\"{text}\" expected", text);
	skip_blanks(&text);

	rc = expand_apart(st, tmp, left, &left);
	if (rc == RC_OK)
		rc = expand_apart(st, tmp, right, &right);
	if (rc == RC_OK)
		rc = compare(st, left, right, op->by_level, &order);
	if (rc != RC_OK)
		return rc;
	truth = order < 0 ? op->less : order > 0 ? op->greater : op->equal;
	rc = choose_branch(st, text, truth, &branch);
	if (rc != RC_OK)
		return rc;
	if (branch.ptr == NULL)
		branch = span_from(truth ? "true" : "");
	return expand_level(st, branch);
}

static enum rc domain_to_ascii(const struct state *st, struct span domain)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *text = mem_span_dup(tmp, domain);
	char *ascii;
	int err;

	err = idn2_to_ascii_8z(text, &ascii, IDN2_NONTRANSITIONAL);
	if (err != IDN2_OK)
		return fault_set(st->fault, RC_CONF, "4.3.5",
				 "domain_to_ascii{%s}: %s", text,
				 idn2_strerror(err));
	buf_add_text(st->out, ascii);
	idn2_free(ascii);
	return RC_OK;
}

static enum rc expand_function(const struct state *st, struct span name,
			       struct span text)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct span arg;
	enum rc rc;

	if (!span_is(name, "domain_to_ascii"))
		return bad(st, "unknown function (domain_to_ascii is known)",
			   name);
	if (!cut_group(&text, &arg))
		return bad(st, "no \"}\" for the \"{\"", text);
	skip_blanks(&text);
	if (text.len > 0)
		return bad(st, "unexpected text", text);
	rc = expand_apart(st, tmp, arg, &arg);
	if (rc != RC_OK)
		return rc;
	return domain_to_ascii(st, arg);
}

static enum rc expand_value(const struct state *st, struct span name,
			    struct span *ret_value)
{
	enum rc rc;

	rc = st->expand->value(st->expand->arg, name, st->depth + 1, ret_value,
			       st->fault);
	if (rc == RC_NONE) {
		*ret_value = (struct span){"", 0};
		return RC_OK;
	}
	return rc;
}

/* What stands between ${ and }. */
static enum rc expand_reference(const struct state *st, struct span text)
{
	struct span name, value, branch;
	enum rc rc;

	skip_blanks(&text);
	if (text.len > 0 && text.ptr[0] == '{')
		return expand_expression(st, text);
	name = cut_name(&text);
	if (name.len == 0)
		return bad(st, "a name expected", text);
	skip_blanks(&text);
	if (text.len > 0 && text.ptr[0] == '{')
		return expand_function(st, name, text);
	rc = expand_value(st, name, &value);
	if (rc == RC_OK)
		rc = choose_branch(st, text, value.len > 0, &branch);
	if (rc != RC_OK)
		return rc;
	if (branch.ptr != NULL)
		return expand_level(st, branch);
	buf_add(st->out, value);
	return RC_OK;
}

/* *text stands behind a "$". */
static enum rc expand_dollar(const struct state *st, struct span *text)
{
	struct span start = {text->ptr - 1, text->len + 1}, inside, value;
	enum rc rc;

	if (span_starts(*text, "$")) {
		buf_add_char(st->out, '$');
		*text = span_skip(*text, 1);
		return RC_OK;
	}
	if (span_starts(*text, "{") || span_starts(*text, "(")) {
		if (!cut_group(text, &inside))
			return bad(st, "the name is not closed", start);
		return expand_reference(st, inside);
	}
	inside = cut_name(text);
	if (inside.len == 0)
		return bad(st,
			   "a name expected after \"$\" (a dollar sign is "
			   "written \"$$\")",
			   start);
	rc = expand_value(st, inside, &value);
	if (rc == RC_OK)
		buf_add(st->out, value);
	return rc;
}

static enum rc expand_level(const struct state *outer, struct span text)
{
	struct state st = *outer;

	if (++st.depth > EXPAND_MAX_DEPTH)
		return bad(&st, "names are nested too deep", text);
	while (text.len > 0) {
		ssize_t at = span_find(text, '$');
		enum rc rc;

		if (at < 0) {
			buf_add(st.out, text);
			break;
		}
		buf_add(st.out, span_take(text, (size_t)at));
		text = span_skip(text, (size_t)at + 1);
		rc = expand_dollar(&st, &text);
		if (rc != RC_OK)
			return rc;
	}
	if (st.out->full)
		return fault_set(st.fault, RC_CONF, "4.3.5",
				 "the value grows beyond %d bytes",
				 EXPAND_MAX_BYTES);
	return RC_OK;
}

enum rc expand_text(const struct expand *expand, struct span text, int depth,
		    struct buf *out, struct fault *fault)
{
	struct state st = {expand, out, depth, fault};

	return expand_level(&st, text);
}

/* Names may stand in branches that are not taken, so this looks at the text
 * itself: every run of name characters behind "$", "${" or "$(". */
void expand_names(struct span text, void (*see)(void *arg, struct span name),
		  void *arg)
{
	ssize_t at;

	while ((at = span_find(text, '$')) >= 0) {
		struct span name;

		text = span_skip(text, (size_t)at + 1);
		if (span_starts(text, "$")) {
			text = span_skip(text, 1);
			continue;
		}
		if (span_starts(text, "{") || span_starts(text, "("))
			text = span_skip(text, 1);
		skip_blanks(&text);
		name = cut_name(&text);
		if (name.len > 0)
			see(arg, name);
	}
}
