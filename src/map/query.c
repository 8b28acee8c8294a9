/* SPDX-License-Identifier: Apache-2.0 */
#include "map/query.h"

#include "base/utf8.h"

enum { LABELS_MAX = 9 };

/* Literal text, then what replaces a letter; 0 at the end. */
struct query_part {
	struct span literal;
	char letter;
};

struct query_template {
	struct query_part *parts;
	size_t count;
};

static bool is_letter(char c)
{
	return strchr("sudSUD123456789", c) != NULL && c != '\0';
}

static void part_add(struct query_template *t, struct span literal, char letter)
{
	t->parts = mem_resize(t, t->parts, struct query_part, t->count + 1);
	t->parts[t->count++] = (struct query_part){ literal, letter };
}

enum rc query_template_parse(TALLOC_CTX *mem, const char *text,
			     struct query_template **ret_template,
			     struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct query_template *t = mem_new(tmp, struct query_template);
	struct span rest = span_from(mem_strdup(t, text));

	for (ssize_t at; (at = span_find(rest, '%')) >= 0;) {
		size_t end = (size_t)at;
		char letter = rest.ptr[end + 1]; /* or the NUL at the end */

		if (letter == '%')
			part_add(t, span_take(rest, end + 1), 0);
		else if (is_letter(letter))
			part_add(t, span_take(rest, end), letter);
		else
			return fault_set(fault, RC_CONF, "4.3.5",
					 "Invalid template: %.200s: after %% "
					 "comes one of %%sudSUD123456789",
					 text);
		rest = span_skip(rest, end + 2);
	}
	part_add(t, rest, 0);
	*ret_template = talloc_steal(mem, t);
	return RC_OK;
}

bool query_template_has_key(const struct query_template *t)
{
	bool user = false, domain = false;

	for (size_t i = 0; i < t->count; i++) {
		char letter = ascii_lower(t->parts[i].letter);

		if (letter == 's')
			return true;
		user |= letter == 'u';
		domain |= letter == 'd';
	}
	return user && domain;
}

bool query_template_is_fixed(const struct query_template *t)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->parts[i].letter != 0)
			return false;
	return true;
}

/* The label of this number, from the right; empty when there is none. */
static struct span label_of(struct span domain, int number)
{
	struct span label = SPAN_OF("");

	for (int i = 0; i < number; i++) {
		ssize_t dot = span_rfind(domain, '.');

		if (domain.len == 0)
			return SPAN_OF("");
		label = span_skip(domain, (size_t)(dot + 1));
		domain = span_take(domain, dot < 0 ? 0 : (size_t)dot);
	}
	return label;
}

/* What replaces the letter; empty: it has none. */
static struct span part_of(char letter, struct span key, struct span text)
{
	struct span from = letter >= 'a' ? text : key;
	ssize_t at = span_rfind(from, '@');

	if (ascii_is_digit(letter))
		return at < 0 ? SPAN_OF("")
			      : label_of(span_skip(key, (size_t)at + 1),
					 letter - '0');
	switch (ascii_lower(letter)) {
	case 'u':
		return at < 0 ? from : span_take(from, (size_t)at);
	case 'd':
		return at < 0 ? SPAN_OF("") : span_skip(from, (size_t)at + 1);
	default:
		return from;
	}
}

enum rc query_template_expand(const struct query_template *t, struct span key,
			      struct span text, const struct query_quote *quote,
			      struct buf *out)
{
	for (size_t i = 0; i < t->count; i++) {
		struct span part;

		buf_add(out, t->parts[i].literal);
		if (t->parts[i].letter == 0)
			continue;
		part = part_of(t->parts[i].letter, key, text);
		if (part.len == 0)
			return RC_NONE;
		if (quote == NULL || quote->fn == NULL)
			buf_add(out, part);
		else if (!quote->fn(quote->arg, part, out))
			return RC_NONE;
	}
	return RC_OK;
}

/* Does the key have all that the template wants of it? */
static bool key_is_enough(const struct query_template *t, struct span key)
{
	for (size_t i = 0; i < t->count; i++) {
		char letter = t->parts[i].letter;

		if (letter != 0 && letter < 'a' &&
		    part_of(letter, key, key).len == 0)
			return false;
	}
	return true;
}

struct query_rules {
	struct match_list *domain; /* NULL: all */
	struct query_template *result;
	int expansion_limit;
	bool utf8;
};

enum rc query_rules_open(TALLOC_CTX *mem, const struct map *map,
			 const struct query_settings *settings,
			 struct query_rules **ret_rules, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct query_rules *rules = mem_new(tmp, struct query_rules);
	const char *format = settings->result_format;
	struct fault why = { 0 };

	rules->expansion_limit = settings->expansion_limit;
	rules->utf8 = map->conf->v.smtputf8_enable;
	if (query_template_parse(rules, format == NULL ? "%s" : format,
				 &rules->result, fault) != RC_OK)
		return fault_add(fault, "result_format");
	if (settings->domain != NULL && settings->domain[0] != '\0') {
		/* Whole names only, as in mydestination. */
		if (match_list_open(rules, map->conf, "mydestination",
				    settings->domain, &rules->domain,
				    &why) != RC_OK)
			return fault_set(fault, RC_CONF, "4.3.5", "domain: %s",
					 why.text);
		if (why.text[0] != '\0' && fault != NULL &&
		    fault->text[0] == '\0')
			*fault = why;
	}
	*ret_rules = talloc_steal(mem, rules);
	return RC_OK;
}

static enum rc domain_allows(const struct query_rules *rules, struct span key,
			     struct fault *fault)
{
	ssize_t at = span_rfind(key, '@');
	enum rc rc;

	if (rules->domain == NULL)
		return RC_OK;
	if (at <= 0)
		return RC_NONE;
	rc = match_list_domain(rules->domain, span_skip(key, (size_t)at + 1),
			       fault);
	if (rc != RC_OK && rc != RC_NONE)
		return fault_add(fault, "domain");
	return rc;
}

enum rc query_rules_allow(const struct query_rules *rules, struct span key,
			  struct fault *fault)
{
	if (key.len == 0 || span_find(key, '\0') >= 0 ||
	    (rules->utf8 && !utf8_is_valid(key)) ||
	    !key_is_enough(rules->result, key))
		return RC_NONE;
	return domain_allows(rules, key, fault);
}

void query_answer_init(struct query_answer *answer, TALLOC_CTX *mem)
{
	*answer = (struct query_answer){ 0 };
	buf_init(&answer->text, mem, QUERY_ANSWER_MAX_BYTES);
}

enum rc query_answer_add(const struct query_rules *rules, struct span key,
			 struct span value, struct query_answer *answer,
			 struct fault *fault)
{
	struct buf *out = &answer->text;
	size_t before = out->len;

	if (value.len == 0)
		return RC_OK;
	if (answer->count > 0)
		buf_add_char(out, ',');
	if (query_template_expand(rules->result, key, value, NULL, out) !=
	    RC_OK) {
		out->len = before;
		if (out->data != NULL)
			out->data[before] = '\0';
		return RC_OK;
	}
	answer->count++;
	if (rules->expansion_limit > 0 &&
	    answer->count > rules->expansion_limit)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "Expansion limit exceeded for key '%.*s': "
				 "more than expansion_limit = %d results",
				 (int)MIN_OF(key.len, (size_t)100), key.ptr,
				 rules->expansion_limit);
	if (out->full)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "the results for key '%.*s' are more than %d "
				 "bytes",
				 (int)MIN_OF(key.len, (size_t)100), key.ptr,
				 QUERY_ANSWER_MAX_BYTES);
	return RC_OK;
}

enum rc query_answer_end(const struct query_rules *rules,
			 const struct query_answer *answer,
			 struct span *ret_value, struct fault *fault)
{
	struct span value = buf_span(&answer->text);

	if (answer->count == 0 || value.len == 0)
		return RC_NONE;
	if (span_find(value, '\0') >= 0 ||
	    (rules->utf8 && !utf8_is_valid(value)))
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "non-UTF-8 value: malformed UTF-8 or invalid "
				 "codepoint");
	*ret_value = value;
	return RC_OK;
}
