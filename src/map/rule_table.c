/* SPDX-License-Identifier: Apache-2.0 */
#include "map/rule_table.h"

#include "map/table_source.h"

enum { IF_DEPTH_MAX = 100, RESULT_MAX_BYTES = 1024 * 1024 };

struct rule_table {
	const struct rule_kind *kind;
	struct rule *rules;
	size_t count, room;
};

/* A table being read. */
struct reading {
	const char *name; /* of the file */
	struct rule_table *table;
	const struct map *map;
	size_t open_ifs[IF_DEPTH_MAX];
	size_t depth;
	struct table_warn warn;
};

struct rule_map {
	const struct rule_kind *kind;
	struct map_watch *watch;  /* of a file */
	struct rule_table *table; /* of a text in the name */
};

/* "$1", "${1}", "$(1)" at the start of the text; "$$" is none. */
static size_t reference_len(struct span text, size_t *ret_number)
{
	struct span digits = span_skip(text, 1);
	char close = '\0';
	size_t n = 0, number = 0;

	if (digits.len > 0 && (digits.ptr[0] == '{' || digits.ptr[0] == '(')) {
		close = digits.ptr[0] == '{' ? '}' : ')';
		digits = span_skip(digits, 1);
	}
	while (n < digits.len && n < 3 && ascii_is_digit(digits.ptr[n]))
		number = 10 * number + (size_t)(digits.ptr[n++] - '0');
	if (n == 0 || number == 0)
		return 0;
	if (close != '\0') {
		if (n == digits.len || digits.ptr[n] != close)
			return 0;
		n++;
	}
	*ret_number = number;
	return (size_t)(digits.ptr - text.ptr) + n;
}

static const char *result_problem(const struct reading *r,
				  const struct rule *rule)
{
	struct span rest = span_from(rule->result);
	size_t number, len;

	for (; rest.len > 0; rest = span_skip(rest, len)) {
		len = 1;
		if (rest.ptr[0] != '$')
			continue;
		if (span_starts(rest, "$$")) {
			len = 2;
			continue;
		}
		len = reference_len(rest, &number);
		if (len == 0)
			return "bad $ in the result, write $$ for $";
		if (rule->negated)
			return "$number found in negative match replacement "
			       "text";
		if (r->map->flags & MAP_SECURE)
			return "$number is not allowed here for security "
			       "reasons";
		if (number > rule->captures)
			return "out of range replacement index";
	}
	return NULL;
}

static void rule_add(struct reading *r, const struct rule *rule)
{
	struct rule_table *table = r->table;

	if (table->count == table->room) {
		table->room = 2 * table->room + 16;
		table->rules = mem_resize(table, table->rules, struct rule,
					  table->room);
	}
	table->rules[table->count++] = *rule;
}

/* Is this the word of an if or endif? It ends at a blank, or for if also where
 * the pattern starts. */
static bool word_cut(struct span *line, const char *word, bool alone)
{
	size_t len = strlen(word);

	if (!span_starts_nocase(*line, word) ||
	    (line->len > len && ascii_is_alnum(line->ptr[len])) ||
	    (alone && line->len > len && !ascii_is_space(line->ptr[len])))
		return false;
	*line = span_trim(span_skip(*line, len));
	return true;
}

/* What follows an if or endif: an error where rules are addresses, of no
 * account where they are expressions, as the reference has it. */
static const char *extra_check(struct reading *r, struct span extra,
			       const char *word, unsigned int number)
{
	if (extra.len == 0)
		return NULL;
	if (!r->table->kind->substitutes)
		return mem_printf(r->table, "garbage after %s", word);
	table_warn(&r->warn,
		   "%s map %s, line %u: ignoring extra text after %s",
		   r->table->kind->name, r->name, number, word);
	return NULL;
}

static const char *endif_read(struct reading *r, struct span extra,
			      unsigned int number)
{
	struct rule rule = { .type = RULE_ENDIF, .line = number };
	const char *problem = extra_check(r, extra, "ENDIF", number);

	if (problem != NULL)
		return problem;
	if (r->depth == 0)
		return "ENDIF without matching IF";
	r->table->rules[r->open_ifs[--r->depth]].endif = r->table->count;
	rule_add(r, &rule);
	return NULL;
}

static const char *rule_read(struct reading *r, struct span line,
			     unsigned int number)
{
	struct rule rule = { .type = RULE_MATCH, .line = number };
	const char *problem;

	if (word_cut(&line, "endif", true))
		return endif_read(r, line, number);
	if (word_cut(&line, "if", false))
		rule.type = RULE_IF;
	while (line.len > 0 && line.ptr[0] == '!') {
		rule.negated = !rule.negated;
		line = span_trim(span_skip(line, 1));
	}
	problem = r->table->kind->read(r->table, r->map, &line, &rule);
	if (problem != NULL)
		return problem;
	line = span_trim(line);
	if (rule.type == RULE_IF) {
		problem = extra_check(r, line, "IF statement", number);
		if (problem != NULL)
			return problem;
		if (r->depth == IF_DEPTH_MAX)
			return "IF nested too deep";
		r->open_ifs[r->depth++] = r->table->count;
	} else if (line.len == 0 && !r->table->kind->substitutes) {
		return "no lookup result";
	}
	rule.result = mem_span_dup(r->table, line);
	if (rule.type == RULE_MATCH && r->table->kind->substitutes)
		problem = result_problem(r, &rule);
	if (problem == NULL)
		rule_add(r, &rule);
	return problem;
}

/* Has the last rule read a result without text? */
static bool result_is_empty(const struct rule_table *table)
{
	const struct rule *last = &table->rules[table->count - 1];

	return last->type == RULE_MATCH && last->result[0] == '\0';
}

/* Those that nothing has closed reach to the end. */
static void ifs_close(struct reading *r)
{
	while (r->depth > 0) {
		struct rule *rule = &r->table->rules[r->open_ifs[--r->depth]];

		rule->endif = r->table->count;
		table_warn(&r->warn,
			   "%s map %s, line %u: IF has no matching ENDIF",
			   r->table->kind->name, r->name, rule->line);
	}
}

static enum rc rules_read(struct map *map, const struct rule_kind *kind,
			  struct table_source *source,
			  struct rule_table **ret_table, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct reading r = { .map = map,
			     .name = table_source_name(source),
			     .warn = table_warn_to_log() };
	struct span line;
	unsigned int number;
	enum rc rc;

	r.table = mem_new(tmp, struct rule_table);
	r.table->kind = kind;
	while ((rc = table_source_next(source, &line, &number, fault)) ==
	       RC_OK) {
		const char *problem = rule_read(&r, line, number);

		if (problem != NULL)
			table_warn(&r.warn,
				   "%s map %s, line %u: %s: skipping this rule",
				   kind->name, r.name, number, problem);
		else if (result_is_empty(r.table))
			table_warn(&r.warn,
				   "%s map %s, line %u: no replacement text: "
				   "using empty string",
				   kind->name, r.name, number);
	}
	if (rc != RC_NONE)
		return rc;
	ifs_close(&r);
	*ret_table = talloc_steal(NULL, r.table);
	return RC_OK;
}

static enum rc rules_load(struct map *map, const char *path, int fd,
			  void **ret_table, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct rule_map *rules = map->state;
	struct rule_table *table;
	enum rc rc;

	rc = rules_read(map, rules->kind, table_source_new(tmp, path, fd),
			&table, fault);
	if (rc == RC_OK)
		*ret_table = table;
	return rc;
}

enum rc rule_map_open(struct map *map, const struct rule_kind *kind,
		      struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(map);
	struct rule_map *rules = mem_new(map, struct rule_map);
	struct span text = span_trim(span_from(map->name));
	struct table_source *source;
	enum rc rc;

	map->state = rules;
	rules->kind = kind;
	if (!span_starts(text, "{"))
		return map_watch_open(map, map->name, 0, rules_load,
				      &rules->watch, fault);
	source = table_source_inline(tmp, "inline", map_text_unbrace(text));
	rc = rules_read(map, kind, source, &rules->table, fault);
	if (rc != RC_OK)
		return rc;
	talloc_steal(map, rules->table);
	return RC_OK;
}

static bool result_make(TALLOC_CTX *mem, const struct rule *rule,
			bool substitute, const struct rule_captures *captures,
			struct span *ret_value)
{
	struct span rest = span_from(rule->result);
	struct buf out;
	size_t number, len;

	buf_init(&out, mem, RESULT_MAX_BYTES);
	if (!substitute)
		buf_add(&out, rest);
	for (; substitute && rest.len > 0; rest = span_skip(rest, len)) {
		len = 1;
		if (rest.ptr[0] != '$') {
			ssize_t at = span_find(rest, '$');

			len = at < 0 ? rest.len : (size_t)at;
			buf_add(&out, span_take(rest, len));
		} else if (span_starts(rest, "$$")) {
			len = 2;
			buf_add_char(&out, '$');
		} else {
			len = reference_len(rest, &number);
			if (number < captures->count)
				buf_add(&out, captures->spans[number]);
		}
	}
	*ret_value = out.data == NULL ? span_from(mem_strdup(mem, ""))
				      : buf_span(&out);
	return !out.full;
}

static enum rc rules_try(const struct rule_table *table, TALLOC_CTX *mem,
			 struct rule_key *key, struct span *ret_value,
			 struct fault *fault)
{
	struct rule_captures captures;

	for (size_t i = 0; i < table->count; i++) {
		const struct rule *rule = &table->rules[i];
		enum rc rc;

		if (rule->type == RULE_ENDIF)
			continue;
		captures.count = 0;
		rc = table->kind->match(rule, key, &captures, fault);
		if (rc == RC_TEMP)
			return fault_add(fault, "line %u", rule->line);
		if (rc == RC_PERM || (rc == RC_OK) == rule->negated) {
			if (rule->type == RULE_IF)
				i = rule->endif;
			continue;
		}
		if (rule->type == RULE_IF)
			continue;
		if (!result_make(mem, rule, table->kind->substitutes, &captures,
				 ret_value))
			return fault_set(fault, RC_TEMP, "4.3.0",
					 "line %u: result too large",
					 rule->line);
		return RC_OK;
	}
	return RC_NONE;
}

static enum rc rules_lookup(const struct rule_table *table, TALLOC_CTX *mem,
			    struct span text, struct span *ret_value,
			    struct fault *fault)
{
	struct rule_key key = { .text = text };
	enum rc rc;

	if (!table->kind->begin(&key))
		return RC_NONE;
	rc = rules_try(table, mem, &key, ret_value, fault);
	table->kind->end(&key);
	return rc;
}

enum rc rule_map_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
			struct span *ret_value, struct fault *fault)
{
	struct rule_map *rules = map->state;
	const struct rule_table *table = rules->table;
	enum rc rc;

	if (table != NULL)
		return rules_lookup(table, mem, key, ret_value, fault);
	table = map_watch_hold(rules->watch, fault);
	if (table == NULL)
		return RC_TEMP;
	rc = rules_lookup(table, mem, key, ret_value, fault);
	map_watch_release(rules->watch);
	return rc;
}

bool rule_map_needs_restart(const struct map *map)
{
	const struct rule_map *rules = map->state;

	return rules->watch != NULL && map_watch_needs_restart(rules->watch);
}
