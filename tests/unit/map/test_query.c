/* SPDX-License-Identifier: Apache-2.0 */
/* Templates, results and settings of tables that are asked with queries. */
#include "map_world.h"

#include "map/query.h"
#include "map/table_conf.h"

/* A quote of the tests: doubles ', has no form for ?. */
static bool quote(void *arg, struct span raw, struct buf *out)
{
	if (span_find(raw, '?') >= 0)
		return false;
	for (size_t i = 0; i < raw.len; i++) {
		if (raw.ptr[i] == '\'')
			buf_add_char(out, '\'');
		buf_add_char(out, raw.ptr[i]);
	}
	return true;
}

static void a_template_takes_the_parts_of_the_key(void **state)
{
	static const struct {
		const char *text, *key, *want; /* NULL: nothing to ask */
	} cases[] = {
		{ "k='%s'", "a@b", "k='a@b'" },
		{ "k='%S'", "a@b", "k='a@b'" },
		{ "100%% %s%%", "a", "100% a%" },
		{ "%%s", "a", "%s" },
		{ "no key", "a", "no key" },
		{ "", "a", "" },
		{ "[%u]", "abc", "[abc]" },
		{ "[%U]", "a@b", "[a]" },
		{ "[%u]", "a@b@c", "[a@b]" },
		{ "[%u]", "@b", NULL },
		{ "[%u]", "a@", "[a]" },
		{ "[%d]", "abc", NULL },
		{ "[%D]", "a@b@c", "[c]" },
		{ "[%d]", "@b", "[b]" },
		{ "[%d]", "a@", NULL },
		{ "%1,%2,%3", "a@b.c.d", "d,c,b" },
		{ "%1,%2,%3", "a@b.c.d.e", "e,d,c" },
		{ "%1,%2,%3", "a@.b.c.d", "d,c,b" },
		{ "%1,%2,%3", "a@b..d", NULL },
		{ "%1,%3", "a@b..d", "d,b" },
		{ "%1,%2,%3", "a@b.c", NULL },
		{ "%1", "b.c.d", NULL },
		{ "%9", "a@1.2.3.4.5.6.7.8.9", "1" },
		{ "%1", "a@b.", NULL },
		{ "'%s'", "it's", "'it''s'" },
		{ "'%u' '%d'", "o'x@d'y", "'o''x' 'd''y'" },
		{ "'%s'", "what?", NULL },
	};
	const struct query_quote quoting = { quote, NULL };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *mem = talloc_new(NULL);
		struct span key = span_from(cases[i].key);
		struct query_template *t;
		struct buf out;
		enum rc rc;

		print_message("  %s of %s\n", cases[i].text, cases[i].key);
		buf_init(&out, mem, 1000);
		assert_int_equal(
			query_template_parse(mem, cases[i].text, &t, NULL),
			RC_OK);
		rc = query_template_expand(t, key, key, &quoting, &out);
		assert_int_equal(rc, cases[i].want ? RC_OK : RC_NONE);
		if (cases[i].want != NULL)
			assert_string_equal(buf_text(&out), cases[i].want);
	}
}

static void a_template_with_another_letter_is_refused(void **state)
{
	static const char *const bad[] = { "%z", "a%",	"%0",
					   "%",	 "%%%", "x %s %q" };
	struct query_template *t;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct fault fault = { 0 };

		assert_int_equal(
			query_template_parse(*state, bad[i], &t, &fault),
			RC_CONF);
		assert_true(
			span_starts(span_from(fault.text), "Invalid template"));
	}
}

static void a_template_knows_whether_it_has_the_whole_key(void **state)
{
	static const struct {
		const char *text;
		bool want;
	} cases[] = {
		{ "%s", true },	  { "%S", true },    { "%u@%d", true },
		{ "%U%d", true }, { "%u", false },   { "%d", false },
		{ "%1", false },  { "none", false }, { "%%s", false },
	};
	struct query_template *t;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(
			query_template_parse(*state, cases[i].text, &t, NULL),
			RC_OK);
		assert_int_equal(query_template_has_key(t), cases[i].want);
	}
}

static struct query_rules *rules_of(struct world *w, const char *format,
				    const char *domain, int limit)
{
	struct query_settings settings = { domain, format, limit };
	struct map map = { .conf = w->conf };
	struct fault fault = { 0 };
	struct query_rules *rules;

	if (query_rules_open(w, &map, &settings, &rules, &fault) != RC_OK)
		fail_msg("%s", fault.text);
	return rules;
}

static void only_keys_that_can_be_there_are_asked_for(void **state)
{
	static const struct {
		const char *format, *domain;
		struct span key;
		enum rc want;
	} cases[] = {
		{ NULL, NULL, SPAN("a"), RC_OK },
		{ NULL, NULL, SPAN(""), RC_NONE },
		{ NULL, NULL, SPAN("a\0b"), RC_NONE },
		{ NULL, NULL, SPAN("caf\xc3\xa9"), RC_OK },
		{ NULL, NULL, SPAN("caf\xe9"), RC_NONE },
		{ "%s", NULL, SPAN("a"), RC_OK },
		{ "%s %D", NULL, SPAN("a"), RC_NONE },
		{ "%s %D", NULL, SPAN("a@b"), RC_OK },
		{ "%s %2", NULL, SPAN("a@b"), RC_NONE },
		{ "%u %d", NULL, SPAN("a"), RC_OK },
		{ NULL, "example.com .sub.test", SPAN("a"), RC_NONE },
		{ NULL, "example.com .sub.test", SPAN("a@b"), RC_NONE },
		{ NULL, "example.com .sub.test", SPAN("@example.com"),
		  RC_NONE },
		{ NULL, "example.com .sub.test", SPAN("example.com"), RC_NONE },
		{ NULL, "example.com .sub.test", SPAN("a@example.com"), RC_OK },
		{ NULL, "example.com .sub.test", SPAN("a@EXAMPLE.com"), RC_OK },
		{ NULL, "example.com .sub.test", SPAN("a@x.example.com"),
		  RC_NONE },
		{ NULL, "example.com .sub.test", SPAN("a@x.sub.test"),
		  RC_NONE },
		{ NULL, "example.com fail:x", SPAN("a@other.test"), RC_TEMP },
		{ NULL, "inline:{b.test=x}", SPAN("a@b.test"), RC_OK },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fault fault = { 0 };

		print_message("  %.*s, domain %s, %s\n", SPAN_FMT(cases[i].key),
			      cases[i].domain, cases[i].format);
		assert_int_equal(
			query_rules_allow(rules_of(*state, cases[i].format,
						   cases[i].domain, 0),
					  cases[i].key, &fault),
			cases[i].want);
	}
}

static void results_are_formatted_and_joined(void **state)
{
	static const struct {
		const char *format, *key;
		const char *values[4];
		int limit;
		enum rc want_rc;
		const char *want;
	} cases[] = {
		{ NULL, "k", { "1" }, 0, RC_OK, "1" },
		{ NULL, "k", { "1", "2" }, 0, RC_OK, "1,2" },
		{ NULL, "k", { "1", "", "2" }, 0, RC_OK, "1,2" },
		{ NULL, "k", { "" }, 0, RC_NONE, NULL },
		{ NULL, "k", { NULL }, 0, RC_NONE, NULL },
		{ NULL, "k", { "1", "2" }, 2, RC_OK, "1,2" },
		{ NULL, "k", { "1", "", "2" }, 2, RC_OK, "1,2" },
		{ NULL, "k", { "1", "2", "3" }, 2, RC_TEMP, NULL },
		{ "<%s|%S|%U|%%>",
		  "u@d.com",
		  { "x@y" },
		  0,
		  RC_OK,
		  "<x@y|u@d.com|u|%>" },
		{ "<%u|%d>",
		  "k",
		  { "x@y", "1", "@z", "z@" },
		  0,
		  RC_OK,
		  "<x|y>" },
		{ "%u", "k", { "1", "@y", "x@y" }, 1, RC_TEMP, NULL },
		{ "%u", "k", { "@y", "x@y" }, 1, RC_OK, "x" },
		{ "smtp:[%s]",
		  "k",
		  { "mx1", "mx2" },
		  0,
		  RC_OK,
		  "smtp:[mx1],smtp:[mx2]" },
		{ "%s %D %1 %2",
		  "u@d.com",
		  { "x" },
		  0,
		  RC_OK,
		  "x d.com com d" },
		{ "fixed", "k", { "x", "y" }, 0, RC_OK, "fixed,fixed" },
		{ NULL, "k", { "caf\xe9" }, 0, RC_TEMP, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *mem = talloc_new(NULL);
		struct query_rules *rules =
			rules_of(*state, cases[i].format, NULL, cases[i].limit);
		struct span key = span_from(cases[i].key), value;
		struct query_answer answer;
		struct fault fault = { 0 };
		enum rc rc = RC_OK;

		print_message("  case %zu\n", i);
		query_answer_init(&answer, mem);
		for (size_t j = 0;
		     j < 4 && cases[i].values[j] != NULL && rc == RC_OK; j++)
			rc = query_answer_add(rules, key,
					      span_from(cases[i].values[j]),
					      &answer, &fault);
		if (rc == RC_OK)
			rc = query_answer_end(rules, &answer, &value, &fault);
		assert_int_equal(rc, cases[i].want_rc);
		if (rc == RC_OK && !span_is(value, cases[i].want))
			fail_msg("\"%.*s\"", SPAN_FMT(value));
		assert_int_equal(rc == RC_TEMP, fault.text[0] != '\0');
	}
}

static void settings_are_read_or_refused_with_the_line(void **state)
{
	static const struct {
		const char *text;
		enum rc want;
		const char *fault; /* begins so */
	} cases[] = {
		{ "dbpath = /x\nquery = select 1\n", RC_OK, "" },
		{ "# c\n\ndbpath=/x\nquery = select 1\n  from t\n", RC_OK, "" },
		{ "dbpath = $x ${y}\n", RC_OK, "" },
		{ "query = select 1\n", RC_CONF,
		  "t.cf: dbpath = : bad string length 0 < 1" },
		{ "dbpath = /x\nresult_format =\n", RC_CONF,
		  "t.cf, line 2: result_format = : bad string length" },
		{ "dbpath = /x\nexpansion_limit = many\n", RC_CONF,
		  "t.cf, line 2: expansion_limit = many: " },
		{ "dbpath = /x\nexpansion_limit =\n", RC_CONF,
		  "t.cf, line 2: expansion_limit = : " },
		{ "dbpath = /x\nnothing\n", RC_CONF,
		  "t.cf, line 2: missing '=' after attribute name" },
		{ "dbpath = /x\nqurey = 1\n", RC_OK,
		  "t.cf, line 2: a table of type sqlite has no setting "
		  "\"qurey\"; did you mean \"query\"?" },
		{ "dbpath = /x\npassword = 1\n", RC_OK,
		  "t.cf, line 2: a table of type sqlite has no setting "
		  "\"password\"" },
		{ "dbpath = /x\nquery = 1\nquery = 2\n", RC_OK,
		  "t.cf, line 3: overriding earlier entry: query=1" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *mem = talloc_new(NULL);
		struct table_conf_sqlite conf;
		struct fault fault = { 0 };

		print_message("  %s\n", cases[i].text);
		assert_int_equal(
			table_conf_parse(mem,
					 table_params_find(SPAN_OF("sqlite")),
					 span_from(cases[i].text), "t.cf",
					 &conf, &fault),
			cases[i].want);
		if (!span_starts(span_from(fault.text), cases[i].fault) ||
		    (cases[i].fault[0] == '\0' && fault.text[0] != '\0'))
			fail_msg("\"%s\"", fault.text);
		if (cases[i].want == RC_OK)
			assert_string_equal(conf.result_format, "%s");
	}
}

static void each_type_has_defaults_that_can_be_used(void **state)
{
	for (size_t i = 0; i < table_params_count(); i++) {
		const struct table_params *params = table_params_at(i);
		SCRATCH TALLOC_CTX *mem = talloc_new(NULL);
		struct fault fault = { 0 };
		struct buf text;

		buf_init(&text, mem, 100000);
		for (size_t j = 0; j < params->count; j++) {
			const struct table_param *p = &params->list[j];

			assert_true(strlen(p->meaning) > 10);
			/* What must be set is. */
			if (p->type == TABLE_PARAM_STRING && p->min > 0 &&
			    p->preset[0] == '\0')
				buf_addf(&text, "%s = x\n", p->name);
		}
		if (table_conf_parse(mem, params, buf_span(&text), "t.cf",
				     talloc_zero_size(mem, params->size),
				     &fault) != RC_OK)
			fail_msg("%s: %s", params->type, fault.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_template_takes_the_parts_of_the_key),
		cmocka_unit_test(a_template_with_another_letter_is_refused),
		cmocka_unit_test(a_template_knows_whether_it_has_the_whole_key),
		cmocka_unit_test(only_keys_that_can_be_there_are_asked_for),
		cmocka_unit_test(results_are_formatted_and_joined),
		cmocka_unit_test(settings_are_read_or_refused_with_the_line),
		cmocka_unit_test(each_type_has_defaults_that_can_be_used),
	};

	return cmocka_run_group_tests(tests, world_open, world_close);
}
