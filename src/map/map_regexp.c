/* SPDX-License-Identifier: Apache-2.0 */
/* regexp: and pcre:, tables of /pattern/flags result. */
#include "map/rule_table.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <regex.h>

/* Take "/pattern/flags" off the front. A backslash keeps the delimiter in. */
static const char *delimited_cut(struct span *rest, struct span *ret_pattern,
				 struct span *ret_flags)
{
	char delimiter;
	size_t n = 1, flags = 0;

	if (rest->len == 0)
		return "no regular expression";
	delimiter = rest->ptr[0];
	if (ascii_is_alnum(delimiter) || ascii_is_space(delimiter) ||
	    delimiter == '\\')
		return "no regular expression, expected /pattern/";
	while (n < rest->len && rest->ptr[n] != delimiter)
		n += rest->ptr[n] == '\\' ? 2 : 1;
	if (n >= rest->len)
		return "no closing delimiter";
	*ret_pattern = (struct span){ rest->ptr + 1, n - 1 };
	*rest = span_skip(*rest, n + 1);
	while (flags < rest->len && !ascii_is_space(rest->ptr[flags]))
		flags++;
	*ret_flags = span_take(*rest, flags);
	*rest = span_skip(*rest, flags);
	return NULL;
}

static int regexp_free(regex_t *regex)
{
	regfree(regex);
	return 0;
}

static const char *regexp_read(TALLOC_CTX *mem, const struct map *map,
			       struct span *rest, struct rule *rule)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	int options = REG_EXTENDED | REG_ICASE;
	struct span pattern, flags;
	const char *problem = delimited_cut(rest, &pattern, &flags);
	regex_t *regex;
	char text[200];
	int error;

	if (problem != NULL)
		return problem;
	for (size_t i = 0; i < flags.len; i++) {
		if (flags.ptr[i] == 'i')
			options ^= REG_ICASE;
		else if (flags.ptr[i] == 'm')
			options ^= REG_NEWLINE;
		else if (flags.ptr[i] == 'x')
			options ^= REG_EXTENDED;
		else
			return mem_printf(mem, "unknown regexp option \"%c\"",
					  flags.ptr[i]);
	}
	regex = mem_new(tmp, regex_t);
	error = regcomp(regex, mem_span_dup(tmp, pattern), options);
	if (error != 0) {
		regerror(error, regex, text, sizeof(text));
		return mem_strdup(mem, text);
	}
	talloc_set_destructor(regex, regexp_free);
	rule->pattern = talloc_steal(mem, regex);
	rule->captures = regex->re_nsub;
	return NULL;
}

/* regexec may look for a NUL, whatever length it is told. */
static bool regexp_begin(struct rule_key *key)
{
	key->room = mem_span_dup(NULL, key->text);
	key->text.ptr = key->room;
	return true;
}

static void regexp_end(struct rule_key *key)
{
	talloc_free(key->room);
}

static enum rc regexp_match(const struct rule *rule, struct rule_key *rule_key,
			    struct rule_captures *ret_captures,
			    struct fault *fault)
{
	struct span key = rule_key->text;
	size_t count = MIN_OF(rule->captures + 1, (size_t)RULE_CAPTURES_MAX);
	regmatch_t match[RULE_CAPTURES_MAX] = { { .rm_so = 0 } };
	int error;

	match[0] = (regmatch_t){ 0, (regoff_t)key.len };
	error = regexec(rule->pattern, key.ptr, count, match, REG_STARTEND);
	if (error == REG_NOMATCH)
		return RC_NONE;
	if (error != 0)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "regular expression: no memory to match");
	for (size_t i = 0; i < count; i++) {
		ret_captures->spans[i] = SPAN_OF("");
		if (match[i].rm_so >= 0)
			ret_captures->spans[i] = (struct span){
				key.ptr + match[i].rm_so,
				(size_t)(match[i].rm_eo - match[i].rm_so)
			};
	}
	ret_captures->count = count;
	return RC_OK;
}

static const struct rule_kind regexp_kind = {
	.name = "regexp",
	.substitutes = true,
	.read = regexp_read,
	.begin = regexp_begin,
	.end = regexp_end,
	.match = regexp_match,
};

struct pcre {
	pcre2_code *code;
};

static int pcre_free(struct pcre *pcre)
{
	pcre2_code_free(pcre->code);
	return 0;
}

static const char *pcre_flags(TALLOC_CTX *mem, struct span flags,
			      uint32_t *options)
{
	static const struct {
		char letter;
		uint32_t option;
	} letters[] = {
		{ 'i', PCRE2_CASELESS }, { 'm', PCRE2_MULTILINE },
		{ 's', PCRE2_DOTALL },	 { 'x', PCRE2_EXTENDED },
		{ 'A', PCRE2_ANCHORED }, { 'E', PCRE2_DOLLAR_ENDONLY },
		{ 'U', PCRE2_UNGREEDY }, { 'X', 0 },
	};

	for (size_t i = 0; i < flags.len; i++) {
		size_t k = 0;

		while (k < ARRAY_LEN(letters) &&
		       letters[k].letter != flags.ptr[i])
			k++;
		if (k == ARRAY_LEN(letters))
			return mem_printf(mem, "unknown PCRE option \"%c\"",
					  flags.ptr[i]);
		*options ^= letters[k].option;
	}
	return NULL;
}

static const char *pcre_read(TALLOC_CTX *mem, const struct map *map,
			     struct span *rest, struct rule *rule)
{
	uint32_t options = PCRE2_CASELESS | PCRE2_DOTALL, captures;
	struct span pattern, flags;
	const char *problem = delimited_cut(rest, &pattern, &flags);
	struct pcre *pcre;
	PCRE2_UCHAR text[200];
	PCRE2_SIZE where;
	pcre2_code *code;
	int error;

	if (problem == NULL)
		problem = pcre_flags(mem, flags, &options);
	if (problem != NULL)
		return problem;
	if (map->conf->v.smtputf8_enable)
		options |= PCRE2_UTF | PCRE2_MATCH_INVALID_UTF;
	code = pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len, options,
			     &error, &where, NULL);
	if (code == NULL) {
		pcre2_get_error_message(error, text, sizeof(text));
		return mem_printf(mem, "error in regex at offset %zu: %s",
				  where, (const char *)text);
	}
	/* Where memory may not be made executable it runs interpreted. */
	(void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
	pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &captures);
	pcre = mem_new(mem, struct pcre);
	pcre->code = code;
	talloc_set_destructor(pcre, pcre_free);
	rule->pattern = pcre;
	rule->captures = captures;
	return NULL;
}

static void pcre_captures(pcre2_match_data *data, int count, struct span key,
			  struct rule_captures *ret_captures)
{
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(data);

	if (count <= 0 || count > RULE_CAPTURES_MAX)
		count = RULE_CAPTURES_MAX;
	for (int i = 0; i < count; i++) {
		ret_captures->spans[i] = SPAN_OF("");
		if (at[2 * i] != PCRE2_UNSET && at[2 * i] <= at[2 * i + 1])
			ret_captures->spans[i] =
				(struct span){ key.ptr + at[2 * i],
					       at[2 * i + 1] - at[2 * i] };
	}
	ret_captures->count = (size_t)count;
}

static bool pcre_begin(struct rule_key *key)
{
	key->room = pcre2_match_data_create(RULE_CAPTURES_MAX, NULL);
	return true;
}

static void pcre_end(struct rule_key *key)
{
	pcre2_match_data_free(key->room);
}

static enum rc pcre_match(const struct rule *rule, struct rule_key *key,
			  struct rule_captures *ret_captures,
			  struct fault *fault)
{
	const struct pcre *pcre = rule->pattern;
	struct span text = key->text;
	PCRE2_UCHAR why[200];
	int count;

	if (key->room == NULL)
		return fault_set(fault, RC_TEMP, "4.3.0", "no memory to match");
	count = pcre2_match(pcre->code,
			    (PCRE2_SPTR)(text.len == 0 ? "" : text.ptr),
			    text.len, 0, 0, key->room, NULL);
	if (count == PCRE2_ERROR_NOMATCH)
		return RC_NONE;
	if (count < 0) {
		pcre2_get_error_message(count, why, sizeof(why));
		return fault_set(fault, RC_TEMP, "4.3.0", "pcre: %s",
				 (const char *)why);
	}
	pcre_captures(key->room, count, text, ret_captures);
	return RC_OK;
}

static const struct rule_kind pcre_kind = {
	.name = "pcre",
	.substitutes = true,
	.read = pcre_read,
	.begin = pcre_begin,
	.end = pcre_end,
	.match = pcre_match,
};

static enum rc regexp_open(struct map *map, struct fault *fault)
{
	return rule_map_open(map, &regexp_kind, fault);
}

static enum rc pcre_open(struct map *map, struct fault *fault)
{
	return rule_map_open(map, &pcre_kind, fault);
}

const struct map_driver map_driver_regexp = {
	.type = "regexp",
	.can = MAP_SHARED_BY_THREADS | MAP_PATTERN | MAP_NEEDS_NAME,
	.open = regexp_open,
	.lookup = rule_map_lookup,
	.needs_restart = rule_map_needs_restart,
};

const struct map_driver map_driver_pcre = {
	.type = "pcre",
	.can = MAP_SHARED_BY_THREADS | MAP_PATTERN | MAP_NEEDS_NAME,
	.open = pcre_open,
	.lookup = rule_map_lookup,
	.needs_restart = rule_map_needs_restart,
};
