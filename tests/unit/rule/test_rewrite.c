/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include "rule/rewrite.h"

struct expect {
	const char *in, *local, *remote;
};

static void check(const char *main_cf, const struct expect *cases, size_t count)
{
	struct world *w = world_new(main_cf, "");

	for (size_t i = 0; i < count; i++) {
		struct span in = span_from(cases[i].in);
		char *out = rewrite_address(w->mem, w->conf, REWRITE_LOCAL, in);

		print_message("  %s\n", cases[i].in);
		assert_string_equal(out, cases[i].local);
		assert_string_equal(rewrite_address(w->mem, w->conf,
						    REWRITE_LOCAL,
						    span_from(out)),
				    cases[i].local);
		assert_string_equal(rewrite_address(w->mem, w->conf,
						    REWRITE_REMOTE, in),
				    cases[i].remote);
	}
	world_free(w);
}

static void addresses_are_completed(void **state)
{
	static const struct expect cases[] = {
		{ "", "", "" },
		{ "@", "", "" },
		{ "joe", "joe@mx.example.test", "joe" },
		{ "joe@host", "joe@host", "joe@host" },
		{ "joe@host.", "joe@host", "joe@host" },
		{ "joe@host.x.", "joe@host.x", "joe@host.x" },
		{ "joe@host..", "joe@host..", "joe@host.." },
		{ "joe@", "joe@", "joe@" },
		{ "joe@[1.2.3.4]", "joe@[1.2.3.4]", "joe@[1.2.3.4]" },
		{ "a!b", "b@a", "b@a" },
		{ "a!b!c", "b!c@a", "b!c@a" },
		{ "a!b@c", "a!b@c", "a!b@c" },
		{ "a%b", "a@b", "a@b" },
		{ "a%b%c", "a%b@c", "a%b@c" },
		{ "u!v%w", "v%w@u", "v%w@u" },
		{ "@x,@y:joe@z", "joe@z", "joe@z" },
		{ "@x:joe", "joe@mx.example.test", "joe" },
		{ "two words", "two words@mx.example.test", "two words" },
	};

	check("", cases, ARRAY_LEN(cases));
}

static void remote_addresses_get_their_own_domain(void **state)
{
	static const struct expect cases[] = {
		{ "joe", "joe@mx.example.test", "joe@domain.invalid" },
		{ "joe@host", "joe@host.example.test",
		  "joe@host.domain.invalid" },
		{ "joe@a.b", "joe@a.b", "joe@a.b" },
	};

	check("append_dot_mydomain = yes\n"
	      "remote_header_rewrite_domain = domain.invalid\n",
	      cases, ARRAY_LEN(cases));
}

static void settings_switch_forms_off(void **state)
{
	static const struct expect cases[] = {
		{ "joe", "joe", "joe" },
		{ "a!b", "a!b", "a!b" },
		{ "a%b", "a%b", "a%b" },
	};

	check("append_at_myorigin = no\nswap_bangpath = no\n"
	      "allow_percent_hack = no\n",
	      cases, ARRAY_LEN(cases));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_completed),
		cmocka_unit_test(remote_addresses_get_their_own_domain),
		cmocka_unit_test(settings_switch_forms_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
