/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

static const char names[] = "sp=a  b\n"
			    "ct=a\n  b\n"
			    "x = xval\n"
			    "e =\n"
			    "n7 = 7\n"
			    "n10 = 10\n"
			    "ver=3.10\n"
			    "smtp_banner_x = 1\n"
			    "myhostname=a.example\n";

/* What "postconf -x" of the reference makes of each; NULL: refused. */
/* clang-format off */
static const struct {
	const char *text, *want;
} cases[] = {
	{ "a$x b", "axval b" },
	{ "a${x}b", "axvalb" },
	{ "a$(x)b", "axvalb" },
	{ "a$$x", "a$x" },
	{ "$$", "$" },
	{ "$", NULL },
	{ "a$", NULL },
	{ "$ x", NULL },
	{ "${x?y}", "y" },
	{ "${x?{y}}", "y" },
	{ "${x? y }", " y " },
	{ "${x?{ y }}", " y " },
	{ "${e?y}", "" },
	{ "${e:z}", "z" },
	{ "${e:{z}}", "z" },
	{ "${x:z}", "" },
	{ "${nope:z}", "z" },
	{ "${x?{a}:{b}}", "a" },
	{ "${e?{a}:{b}}", "b" },
	{ "${e?{a}:b}", "b" },
	{ "${x?{a} : {b}}", "a" },
	{ "${e?{a} : {b}}", "b" },
	{ "${e ? {a} : {b}}", "b" },
	{ "${x ? {a} : {b}}", "a" },
	{ "${{$x} == {xval} ? {a} : {b}}", "a" },
	{ "${{$x}=={xval}?{a}:{b}}", "a" },
	{ "${{$x}=={xval}?a}", "a" },
	{ "${{$x}!={xval}?a}", "" },
	{ "${{$x}!={xval}?{a}:b}", "b" },
	{ "${{$n7}<{$n10}?{lt}:{ge}}", "lt" },
	{ "${{$n7}<={$n10}?{le}:{gt}}", "le" },
	{ "${{$n7}>{$n10}?{gt}:{le}}", "le" },
	{ "${{$n7}>={$n10}?{ge}:{lt}}", "lt" },
	{ "${{a7}<{a10}?{lt}:{ge}}", "ge" },
	{ "${{$n7} == {7}}", "true" },
	{ "${{$n7} == {8}}", "" },
	{ "${{$ver} >=level {3.9} ? {yes} : {no}}", "yes" },
	{ "${{$ver} <level {3.9} ? {yes} : {no}}", "no" },
	{ "${{$ver} ==level {3.10} ? {yes} : {no}}", "yes" },
	{ "${{$ver} !=level {3.10} ? {yes} : {no}}", "no" },
	{ "${{$ver} <=level {3} ? {yes} : {no}}", "no" },
	{ "${{$ver} >level {3} ? {yes} : {no}}", "yes" },
	{ "${{3} ==level {3.0} ? {yes} : {no}}", "yes" },
	{ "${{3.0.1} ==level {3} ? {yes} : {no}}", "no" },
	{ "${{abc} >level {3} ? {yes} : {no}}", NULL },
	{ "${{$x} : {b}}", NULL },
	{ "${{$x} =x {b}?c}", NULL },
	{ "${x?{$n7}:{$n10}}", "7" },
	{ "${x?$n7}", "7" },
	{ "${x?${n7}}", "7" },
	{ "${x?{a}", NULL },
	{ "${x", NULL },
	{ "$(x", NULL },
	{ "$(x?y)", "y" },
	{ "$(x:y)", "" },
	{ "$(e:y)", "y" },
	{ "${x}}", "xval}" },
	{ "${x y}", NULL },
	{ "${}", NULL },
	{ "${ x }", "xval" },
	{ "${x-y}", NULL },
	{ "$x-y", "xval-y" },
	{ "$x.y", "xval.y" },
	{ "${x?a:b}", "a:b" },
	{ "${x?a}:b}", "a:b}" },
	{ "${e:a?b}", "a?b" },
	{ "${x?}", "" },
	{ "${x?{}:{b}}", "" },
	{ "${e?{a}:}", "" },
	{ "${e?{a}:{b}c}", NULL },
	{ "${x?{a}c}", NULL },
	{ "${x ?a}", "a" },
	{ "${x!y}", NULL },
	{ "${n7}$n10", "710" },
	{ "$smtp_helo_name", "a.example" },
	{ "${{} == {} ? {e} : {ne}}", "e" },
	{ "${{$e} == {} ? {e} : {ne}}", "e" },
	{ "${{a b} == {a b} ? {e} : {ne}}", "e" },
	{ "${{ a } == {a} ? {e} : {ne}}", "ne" },
	{ "${{0x10} == {16} ? {e} : {ne}}", "ne" },
	{ "${{07} == {7} ? {e} : {ne}}", "e" },
	{ "${{-1} < {1} ? {lt} : {ge}}", "lt" },
	{ "${{99999999999999999999} > {1} ? {gt} : {le}}", NULL },
	{ "${{x} == {x}?{a}:{$nope}}", "a" },
	{ "$n7x", "" },
	{ "$7", "" },
	{ "$_x", "" },
	{ "a {$x} b", "a {xval} b" },
	{ "[${x? y }]", "[ y ]" },
	{ "[${x?{ y }}]", "[ y ]" },
	{ "[${e:{ y }}]", "[ y ]" },
	{ "[${e: y }]", "[ y ]" },
	{ "[${x?{a}:  y }]", "[a]" },
	{ "[${e?{a}:  y }]", "[  y ]" },
	{ "[${e?{ a }:{ y }}]", "[ y ]" },
	{ "[${{ $x } == { xval }?{a}:{b}}]", "[a]" },
	{ "[${{$x} == {xval }?{a}:{b}}]", "[b]" },
	{ "a   b", "a   b" },
	{ "[$(x?{a}:{b})]", "[a]" },
	{ "[$(e:(a))]", "[(a)]" },
	{ "[${e:{a{b}c}}]", "[a{b}c]" },
	{ "[${e:a{b}c}]", "[a{b}c]" },
	{ "[$(e:a(b)c)]", "[a(b)c]" },
	{ "[$(e:a)b)c]", "[ab)c]" },
	{ "[${e:a(})]", "[a()]" },
	{ "[${{1}<{2}}]", "[true]" },
	{ "[${{$x}=={xval}?{a}:{}}]", "[a]" },
	{ "[${{3.6} < level {3.7} ? {a}:{b}}]", NULL },
	{ "[${{3.6} <level{3.7}?{a}:{b}}]", "[a]" },
	{ "[${{3.6}<level {3.7}?{a}:{b}}]", "[a]" },
	{ "[${{3.6} >=level {bad}?{a}:{b}}]", NULL },
	{ "[${{1.2.3.4} >=level {1}?{a}:{b}}]", NULL },
	{ "[${{} >=level {1}?{a}:{b}}]", NULL },
	{ "[${{1.} >=level {1}?{a}:{b}}]", NULL },
	{ "[${{-} < {a}?{a}:{b}}]", "[a]" },
	{ "[${{+1} == {1}?{a}:{b}}]", "[b]" },
	{ "[${{1} == {1}:{b}}]", "[]" },
	{ "[${{1} == {2}:{b}}]", "[b]" },
	{ "[${{1} == {1}:b}]", "[]" },
	{ "[${x?{a}:{$$b}}]", "[a]" },
	{ "[${x?$$b}]", "[$b]" },
	{ "[$$$x]", "[$xval]" },
	{ "[${x?{a}:{b} }]", "[a]" },
	{ "[${x?{a}: {b} }]", "[a]" },
	{ "[${x?{a} }]", "[a]" },
	{ "[${{1}=={1} }]", "[true]" },
	{ "[${ {1}=={1} ? {a} : {b} }]", "[a]" },
	{ "[${e?{a}:{$x}}]", "[xval]" },
	{ "[${e==x}]", NULL },
	{ "[${e}?]", "[?]" },
	{ "${{$sp} == {a b} ? {collapsed} : {kept}}", "kept" },
	{ "${{$ct} == {a b} ? {collapsed} : {kept}}", "kept" },
	{ "${{$ct} == {a  b} ? {two} : {not}}", "two" },
	{ "${{$ct} == {ab} ? {none} : {not}}", "not" },
};
/* clang-format on */

static void every_form_means_what_it_means_to_the_reference(void **state)
{
	struct world *w = world_of(names);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *text = NULL;
		enum rc rc = conf_expand(w->mem, w->conf, cases[i].text, &text,
					 &w->fault);

		if (cases[i].want == NULL && rc != RC_CONF)
			fail_msg("%s: not refused: %s", cases[i].text, text);
		if (cases[i].want != NULL && rc != RC_OK)
			fail_msg("%s: %s", cases[i].text, w->fault.text);
		if (cases[i].want != NULL && strcmp(text, cases[i].want) != 0)
			fail_msg("%s is \"%s\", not \"%s\"", cases[i].text,
				 text, cases[i].want);
	}
	world_free(w);
}

static void a_domain_becomes_ascii(void **state)
{
	struct world *w = world_of("mydomain = b\xc3\xbc" "cher.example\n");
	char *text;

	assert_int_equal(conf_expand(w->mem, w->conf,
				     "${domain_to_ascii{$mydomain}}", &text,
				     &w->fault),
			 RC_OK);
	assert_string_equal(text, "xn--bcher-kva.example");
	assert_int_equal(conf_expand(w->mem, w->conf, "${lower{X}}", &text,
				     &w->fault),
			 RC_CONF);
	world_free(w);
}

static void a_value_that_refers_to_itself_is_refused(void **state)
{
	world_refuses("relayhost = $relayhost\n", "refers to itself");
	world_refuses("relayhost = $a\na = ${b?{$b}}\nb = x$a\n",
		      "refers to itself");
}

static void deep_nesting_and_growth_have_limits(void **state)
{
	struct world *w = world_of("");
	struct buf deep, wide;
	char *text;

	buf_init(&deep, w->mem, 1 << 20);
	for (int i = 0; i < 1000; i++)
		buf_add_text(&deep, "${myhostname?{");
	for (int i = 0; i < 1000; i++)
		buf_add_text(&deep, "}}");
	assert_int_equal(conf_expand(w->mem, w->conf, buf_text(&deep), &text,
				     &w->fault),
			 RC_CONF);
	assert_non_null(strstr(w->fault.text, "nested too deep"));

	buf_init(&wide, w->mem, 1 << 20);
	for (int i = 0; i < 5000; i++)
		buf_add_text(&wide, "$proxy_read_maps $proxy_read_maps ");
	assert_int_equal(conf_expand(w->mem, w->conf, buf_text(&wide), &text,
				     &w->fault),
			 RC_CONF);
	assert_non_null(strstr(w->fault.text, "grows beyond"));
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			every_form_means_what_it_means_to_the_reference),
		cmocka_unit_test(a_domain_becomes_ascii),
		cmocka_unit_test(a_value_that_refers_to_itself_is_refused),
		cmocka_unit_test(deep_nesting_and_growth_have_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
