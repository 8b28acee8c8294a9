/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/sasl_answer.h"

static int property_of(struct span word)
{
	static const struct {
		const char *name;
		enum sasl_property property;
	} names[] = {
		{ "plaintext", SASL_PLAINTEXT },
		{ "anonymous", SASL_ANONYMOUS },
		{ "dictionary", SASL_DICTIONARY },
		{ "active", SASL_ACTIVE },
		{ "forward-secrecy", SASL_FORWARD_SECRECY },
		{ "mutual-auth", SASL_MUTUAL_AUTH },
		{ "private", SASL_PRIVATE },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (span_is(word, names[i].name))
			return names[i].property;
	return 0;
}

static bool parse_mechanism(struct span rest, struct sasl_answer *answer)
{
	struct span word;

	if (!span_cut(&rest, '\t', &answer->name) || answer->name.len == 0)
		return false;
	while (span_cut(&rest, '\t', &word))
		answer->properties |= property_of(word);
	return true;
}

/* What follows "OK id" and "FAIL id". */
static void parse_facts(struct span rest, struct sasl_answer *answer)
{
	struct span word;

	while (span_cut(&rest, '\t', &word)) {
		if (span_starts(word, "user="))
			answer->user = span_skip(word, 5);
		else if (span_starts(word, "reason="))
			answer->reason = span_skip(word, 7);
		else if (span_is(word, "temp") ||
			 span_is(word, "code=temp_fail"))
			answer->temporary = true;
	}
}

static bool take_number(struct span *rest, uint32_t *ret_number)
{
	struct span word;
	uint64_t number;

	if (!span_cut(rest, '\t', &word) ||
	    !span_to_u64(word, UINT32_MAX, &number))
		return false;
	*ret_number = (uint32_t)number;
	return true;
}

bool sasl_answer_parse(struct span line, struct sasl_answer *ret_answer)
{
	static const struct {
		const char *word;
		enum sasl_answer_kind kind;
	} kinds[] = {
		{ "VERSION", SASL_VERSION }, { "MECH", SASL_MECHANISM },
		{ "DONE", SASL_DONE },	     { "OK", SASL_OK },
		{ "FAIL", SASL_FAIL },	     { "CONT", SASL_CONT },
	};
	struct sasl_answer answer = { .kind = SASL_IGNORED };
	struct span word;
	bool good = true;

	if (!span_cut(&line, '\t', &word) || word.len == 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (span_is(word, kinds[i].word))
			answer.kind = kinds[i].kind;
	switch (answer.kind) {
	case SASL_MECHANISM:
		good = parse_mechanism(line, &answer);
		break;
	case SASL_VERSION:
		good = take_number(&line, &answer.id);
		break;
	case SASL_OK:
	case SASL_FAIL:
		good = take_number(&line, &answer.id);
		parse_facts(line, &answer);
		break;
	case SASL_CONT:
		good = take_number(&line, &answer.id);
		if (good && !span_cut(&line, '\t', &answer.data))
			answer.data = SPAN_OF("");
		break;
	default:
		break;
	}
	if (good)
		*ret_answer = answer;
	return good;
}
