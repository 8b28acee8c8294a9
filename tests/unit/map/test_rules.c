/* SPDX-License-Identifier: Apache-2.0 */
/* cidr, regexp and pcre. The answers are those of the reference. */
#include "map_world.h"

static void cidr_tables_answer_by_network(void **state)
{
	struct world *w = *state;
	static const char table[] = "10.0.0.0/8 ten\n"
				    "!192.168.0.0/16 notprivate\n"
				    "192.168.1.1 one\n"
				    "192.168.1.5/24 hostbits\n"
				    "[::1] v6\n"
				    "2001:db8::/32 doc\n"
				    "if 192.168.0.0/16\n"
				    "192.168.2.0/24 two\n"
				    "endif\n"
				    "[2001:db9::]/32 br6\n"
				    "::ffff:0:0/96 mapped\n"
				    "0.0.0.0/0 any\n";
	static const struct {
		const char *key, *want;
	} cases[] = {
		{ "10.1.2.3", "ten" },
		{ "192.168.1.1", "one" },
		{ "192.168.2.2", "two" },
		{ "192.168.1.7", "any" },
		{ "::1", "v6" },
		{ "2001:db8::5", "doc" },
		{ "2001:DB9::1", "br6" },
		{ "foo", NULL },
		{ "8.8.8.8", "notprivate" },
		{ "10.1", NULL },
		{ "::ffff:10.1.2.3", "mapped" },
		{ "2001:db7::1", NULL },
	};
	struct fault fault;
	struct map *map;

	world_write(w, "cidr", SPAN_OF(table));
	assert_int_equal(map_open(w, w->conf,
				  span_from(mem_printf(w, "cidr:%s",
						       world_path(w, "cidr"))),
				  MAP_FOLD, &map, &fault),
			 RC_OK);
	assert_true(world_logged(
		w, "line 4: non-null host address bits in \"192.168.1.5/24\", "
		   "perhaps you should use \"192.168.1.0/24\" instead: "
		   "skipping this rule"));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_found(map, cases[i].key, cases[i].want);
}

static void regular_expressions_answer_in_order(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *why, *table, *key, *want;
	} cases[] = {
		{ "substitution", "regexp:{{/^a(.)c/ got $1 ${1} $(1) $$1}}",
		  "abc", "got b b b $1" },
		{ "capitals are the same", "regexp:{{/abc/ x}}", "xABCx", "x" },
		{ "unless asked", "regexp:{{/abc/i x}}", "ABC", NULL },
		{ "negated", "regexp:{{!/x/ nox}}", "abc", "nox" },
		{ "negated, no", "regexp:{{!/x/ nox}}", "xyz", NULL },
		{ "another delimiter", "regexp:{{|a/b| x}}", "a/b", "x" },
		{ "escaped delimiter", "regexp:{{/a\\/b/ x}}", "a/b", "x" },
		{ "block, entered",
		  "regexp:{{if /^a/} {/b/ in} {endif} {/./ out}}", "ab", "in" },
		{ "block, passed by",
		  "regexp:{{if /^a/} {/b/ in} {endif} {/./ out}}", "xb",
		  "out" },
		{ "block, no hit",
		  "regexp:{{if /^a/} {/b/ in} {endif} {/./ out}}", "ac",
		  "out" },
		{ "block in block",
		  "regexp:{{if /a/} {if !/b/} {/c/ in} {endif} {/./ mid} "
		  "{endif}}",
		  "abc", "mid" },
		{ "block in block, entered",
		  "regexp:{{if /a/} {if !/b/} {/c/ in} {endif} {/./ mid} "
		  "{endif}}",
		  "ac", "in" },
		{ "no result text", "regexp:{{/abc/}}", "abc", "" },
		{ "bad rules are skipped",
		  "regexp:{{/(/ bad} {/a/q bad} {/a(b)/ $2} {!/a/ $1} "
		  "{abc} {/abc} {endif} {/abc/ good}}",
		  "abc", "good" },
		{ "a group that took no part is empty",
		  "regexp:{{/a(x)?b/ <$1>}}", "ab", "<>" },
		{ "pcre", "pcre:{{/^(?<name>\\w+)@(.*)$/ $2 $1}}", "jo@x.test",
		  "x.test jo" },
		{ "pcre: a dot takes line ends", "pcre:{{/a.b/ x}}", "a\nb",
		  "x" },
		{ "pcre: unless asked", "pcre:{{/a.b/s x}}", "a\nb", NULL },
		{ "pcre: anchored", "pcre:{{/b/A x}}", "ab", NULL },
		{ "pcre: letters above 127", "pcre:{{/^\xd0\x94.$/ x}}",
		  "\xd0\xb4\xd0\x90", "x" },
		{ "pcre: bytes that are no letters", "pcre:{{/b/ x}}",
		  "\xff\xfe b", "x" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		print_message("  %s\n", cases[i].why);
		assert_found(world_map(w, cases[i].table), cases[i].key,
			     cases[i].want);
	}
}

static void a_pattern_without_end_is_try_later(void **state)
{
	struct world *w = *state;
	struct map *map = world_map(w, "pcre:{{/^(a+)+$/ x}}");
	struct fault fault;
	struct span value;
	struct buf key;

	buf_init(&key, w, 1000);
	for (int i = 0; i < 60; i++)
		buf_add_char(&key, 'a');
	buf_add_char(&key, '!');
	assert_int_equal(map_lookup(map, w, buf_span(&key), &value, &fault),
			 RC_TEMP);
}

static void what_users_may_send_is_not_substituted(void **state)
{
	struct world *w = *state;
	struct fault fault;
	struct span value;
	struct map *map;

	assert_int_equal(map_open(w, w->conf,
				  SPAN_OF("regexp:{{/(.*)/ |cmd $1}}"),
				  MAP_FOLD | MAP_SECURE, &map, &fault),
			 RC_OK);
	assert_true(world_logged(w, "regexp map inline, line 1: $number is not "
				    "allowed here"));
	assert_int_equal(map_lookup(map, w, SPAN_OF("x"), &value, &fault),
			 RC_NONE);
}

static void every_bad_line_is_named_with_its_file(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *type, *text;
		const char *want[5];
	} cases[] = {
		{ "cidr",
		  "10.0.0.1/8 a\n10.0.0.0/33 b\n10.0.0.0/8\n"
		  "2001:db8::1/32 e\nif 1.2.3.4\n",
		  { "line 1: non-null host address bits in \"10.0.0.1/8\", "
		    "perhaps you should use \"10.0.0.0/8\" instead",
		    "line 2: bad mask length in \"10.0.0.0/33\"",
		    "line 3: no lookup result",
		    "line 4: non-null host address bits in "
		    "\"2001:db8::1/32\", perhaps you should use "
		    "\"2001:db8::/32\" instead",
		    "line 5: IF has no matching ENDIF" } },
		{ "regexp",
		  "/a(/ x\n/ok/q w\n/(a)/ $2\nendif\n/a/\n",
		  { "line 1: Unmatched ( or \\(",
		    "line 2: unknown regexp option \"q\"",
		    "line 3: out of range replacement index",
		    "line 4: ENDIF without matching IF",
		    "line 5: no replacement text: using empty string" } },
		{ "pcre",
		  "/a(/ x\n/noend\n/[/ y\n!/a(b)/ $1\nfoo z\n",
		  { "line 1: error in regex at offset 2: missing closing "
		    "parenthesis",
		    "line 2: no closing delimiter",
		    "line 3: error in regex at offset 1: missing terminating ]",
		    "line 4: $number found in negative match",
		    "line 5: no regular expression" } },
		{ "cidr",
		  "if 10.0.0.0/8 x\nif 10.0.0.0/8\nendif x\nendif\n",
		  { "line 1: garbage after IF statement: skipping",
		    "line 3: garbage after ENDIF: skipping" } },
		{ "regexp",
		  "if /a/ x\nendif y\n",
		  { "line 1: ignoring extra text after IF statement",
		    "line 2: ignoring extra text after ENDIF" } },
		{ "texthash",
		  "a b\nc\n\"q x\na dup\nd: e\n",
		  { "line 2: expected format: key whitespace value",
		    "line 3: unbalanced '\"'", "line 4: duplicate entry: \"a\"",
		    "line 5: record is in \"key: value\" format" } },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		world_write(w, "bad", span_from(cases[i].text));
		for (size_t k = 0; k < 5 && cases[i].want[k] != NULL; k++) {
			world_map(w, mem_printf(w, "%s:%s", cases[i].type,
						world_path(w, "bad")));
			assert_true(world_logged(w, world_path(w, "bad,")));
			world_map(w, mem_printf(w, "%s:%s", cases[i].type,
						world_path(w, "bad")));
			assert_true(world_logged(w, cases[i].want[k]));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cidr_tables_answer_by_network),
		cmocka_unit_test(regular_expressions_answer_in_order),
		cmocka_unit_test(a_pattern_without_end_is_try_later),
		cmocka_unit_test(what_users_may_send_is_not_substituted),
		cmocka_unit_test(every_bad_line_is_named_with_its_file),
	};

	return cmocka_run_group_tests(tests, world_open, world_close);
}
