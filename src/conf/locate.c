/* SPDX-License-Identifier: Apache-2.0 */
/* Which line of main.cf a piece of a value comes from. */
#include "conf/conf_priv.h"

enum { LOCATE_DEPTH_MAX = 20 };

struct search {
	const struct conf_priv *priv;
	struct conf_place *place;
	size_t left; /* of the expanded text, before the piece */
	int depth;
};

static bool says_nothing(struct span line)
{
	line = span_trim(line);
	return line.len == 0 || line.ptr[0] == '#';
}

/* Blanks after the "=" are no part of a value. */
static size_t value_start(struct span line, bool is_first)
{
	ssize_t at = is_first ? span_find(line, '=') : -1;
	size_t i = at < 0 ? 0 : (size_t)at + 1;

	while (i < line.len && ascii_is_space(line.ptr[i]))
		i++;
	return i;
}

/* The physical line of a byte of a value as written: the parts of a logical
 * line, joined without their ends. */
static int line_of(const struct conf_priv *priv, int line, size_t offset)
{
	struct span rest = priv->main_text, part;
	int number = 0, last = line;
	bool begun = false;

	while (span_cut(&rest, '\n', &part)) {
		if (++number < line || says_nothing(part))
			continue;
		while (part.len > 0 && part.ptr[part.len - 1] == '\r')
			part.len--;
		if (number > line && !ascii_is_space(part.ptr[0]))
			break;
		if (!begun) {
			size_t start = value_start(part, number == line);

			begun = start < part.len;
			part = span_skip(part, start);
		}
		if (begun && !ascii_is_space(part.ptr[0]))
			last = number;
		if (begun && offset < part.len)
			return number;
		offset -= MIN_OF(offset, part.len);
	}
	return last;
}

static void place_set(const struct search *s, const struct conf_entry *entry,
		      size_t offset)
{
	*s->place = (struct conf_place){ .parameter = entry->name };
	if (entry->is_override) {
		s->place->file = s->priv->override_path;
		s->place->line = s->priv->override_line;
		s->place->is_override = true;
	} else if (entry->line > 0) {
		s->place->file = s->priv->main_path;
		s->place->line = line_of(s->priv, entry->line, offset);
	}
}

/* The length of "$name", "${...}", "$(...)" at the front. */
static size_t reference_length(struct span text, struct span *ret_name)
{
	char open = text.len > 1 ? text.ptr[1] : '\0';
	char close = open == '{' ? '}' : ')';
	size_t i = 1, level = 0;

	if (open != '{' && open != '(') {
		while (i < text.len &&
		       (ascii_is_alnum(text.ptr[i]) || text.ptr[i] == '_'))
			i++;
		*ret_name = span_take(span_skip(text, 1), i - 1);
		return i;
	}
	for (; i < text.len; i++) {
		level += text.ptr[i] == open;
		if (text.ptr[i] == close && --level == 0)
			break;
	}
	*ret_name = span_take(span_skip(text, 2), i - 2);
	return MIN_OF(i + 1, text.len);
}

static bool search_entry(struct search *s, const struct conf_entry *entry);

/* Step over a reference, or into it. */
static bool search_reference(struct search *s, struct span reference,
			     struct span name)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const struct conf_entry *entry = conf_table_find(s->priv, name);
	struct fault fault;
	char *text;
	size_t len;

	if (conf_expand(tmp, s->priv->conf, mem_span_dup(tmp, reference), &text,
			&fault) != RC_OK)
		return false;
	len = strlen(text);
	if (s->left >= len) {
		s->left -= len;
		return false;
	}
	if (entry != NULL && entry->text != NULL && s->depth < LOCATE_DEPTH_MAX)
		search_entry(s, entry);
	return true;
}

static bool search_entry(struct search *s, const struct conf_entry *entry)
{
	struct span text = span_from(entry->text == NULL ? "" : entry->text);
	size_t i = 0;

	s->depth++;
	while (i < text.len) {
		struct span rest = span_skip(text, i), name;
		size_t length = 1;

		if (span_starts(rest, "$$")) {
			length = 2;
		} else if (rest.ptr[0] == '$') {
			length = reference_length(rest, &name);
			place_set(s, entry, i);
			if (search_reference(s, span_take(rest, length), name))
				return true;
			i += length;
			continue;
		}
		if (s->left == 0) {
			place_set(s, entry, i);
			return true;
		}
		s->left--;
		i += length;
	}
	place_set(s, entry, 0);
	return false;
}

void conf_locate(const struct conf *conf, const char *parameter, size_t offset,
		 struct conf_place *ret_place)
{
	struct search search = { .priv = conf->priv,
				 .place = ret_place,
				 .left = offset };
	const struct conf_entry *entry =
		conf_table_find(conf->priv, span_from(parameter));

	*ret_place = (struct conf_place){ .parameter = parameter };
	if (entry != NULL)
		search_entry(&search, entry);
}
