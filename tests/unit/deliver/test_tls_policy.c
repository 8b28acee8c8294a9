/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "deliver/smtp/session.h"
#include "deliver/smtp/starttls_memory.h"
#include "deliver/smtp/tls_policy.h"
#include "world.h"

static const struct nexthop hop = { .text = "example.test",
				    .host = "example.test",
				    .port = 25 };

static void lines_are_understood_or_refused_whole(void **state)
{
	static const struct {
		const char *text;
		enum rc rc;
		enum tls_level level;
		const char *match; /* joined by a blank */
		const char *protocols, *ciphers, *exclude, *name, *anchors;
	} cases[] = {
		{ "may", RC_OK, TLS_MAY, "", "", "", "", "", "" },
		{ "  encrypt  ", RC_OK, TLS_ENCRYPT, "", "", "", "", "", "" },
		{ "SECURE", RC_OK, TLS_SECURE, "", "", "", "", "", "" },
		{ "secure match=.google.com:google.com", RC_OK, TLS_SECURE,
		  ".google.com google.com", "", "", "", "", "" },
		{ "verify, match=a match=b:c", RC_OK, TLS_VERIFY, "a b c", "",
		  "", "", "", "" },
		{ "fingerprint match=AA:BB|CC:DD match=EE:FF", RC_OK,
		  TLS_FINGERPRINT, "AA:BB CC:DD EE:FF", "", "", "", "", "" },
		{ "encrypt protocols=TLSv1.2:!TLSv1 ciphers=HIGH "
		  "exclude=aNULL:MD5",
		  RC_OK, TLS_ENCRYPT, "", "TLSv1.2:!TLSv1", "high", "aNULL:MD5",
		  "", "" },
		{ "encrypt { protocols = >=TLSv1.2 <=TLSv1.3 } "
		  "servername=hostname",
		  RC_OK, TLS_ENCRYPT, "", ">=TLSv1.2 <=TLSv1.3", "", "",
		  "hostname", "" },
		{ "secure tafile=/a.pem tafile=/b.pem", RC_OK, TLS_SECURE, "",
		  "", "", "", "", "/a.pem /b.pem" },
		{ "secure match=x policy_type=sts policy_ttl=86400 "
		  "mx_host_pattern=*.x",
		  RC_OK, TLS_SECURE, "x", "", "", "", "", "" },
		{ "none match=x", RC_OK, TLS_NONE, "", "", "", "", "", "" },
		{ "dane connection_reuse=yes enable_rpk=no", RC_OK, TLS_DANE,
		  "", "", "", "", "", "" },
		{ "", RC_CONF, 0, "", "", "", "", "", "" },
		{ "strong", RC_CONF, 0, "", "", "", "", "", "" },
		{ "secure match", RC_CONF, 0, "", "", "", "", "", "" },
		{ "secure match=", RC_CONF, 0, "", "", "", "", "", "" },
		{ "secure what=ever", RC_CONF, 0, "", "", "", "", "", "" },
		{ "may match=x", RC_CONF, 0, "", "", "", "", "", "" },
		{ "dane-only match=x", RC_CONF, 0, "", "", "", "", "", "" },
		{ "encrypt tafile=/a.pem", RC_CONF, 0, "", "", "", "", "", "" },
		{ "encrypt ciphers=best", RC_CONF, 0, "", "", "", "", "", "" },
		{ "encrypt connection_reuse=maybe", RC_CONF, 0, "", "", "", "",
		  "", "" },
	};
	struct world *w = world_new();
	static const char *const none[] = { NULL };
	struct smtp_settings settings;

	world_configure(w, none);
	smtp_settings_init(&settings, w->conf, false);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct smtp_tls_policy *p =
			mem_new(tmp, struct smtp_tls_policy);
		const char *match = "";
		struct fault fault;

		print_message("  \"%s\"\n", cases[i].text);
		assert_int_equal(smtp_tls_policy_read(&settings, &hop,
						      span_from(cases[i].text),
						      p, &fault),
				 cases[i].rc);
		if (cases[i].rc != RC_OK) {
			assert_string_equal(fault.dsn, "4.7.5");
			assert_string_equal(fault.text,
					    "client TLS configuration problem");
			continue;
		}
		for (size_t m = 0; m < p->match_count; m++)
			match = mem_printf(tmp, "%s%s%s", match,
					   m > 0 ? " " : "", p->match[m]);
		assert_int_equal(p->level, cases[i].level);
		assert_string_equal(match, cases[i].match);
		assert_string_equal(p->protocols ? p->protocols : "",
				    cases[i].protocols);
		assert_string_equal(p->ciphers ? p->ciphers : "",
				    cases[i].ciphers);
		assert_string_equal(p->exclude ? p->exclude : "",
				    cases[i].exclude);
		assert_string_equal(p->servername ? p->servername : "",
				    cases[i].name);
		assert_string_equal(p->anchor_files ? p->anchor_files : "",
				    cases[i].anchors);
	}
	world_free(w);
}

static void only_hosts_that_the_policy_names_are_used(void **state)
{
	static const struct {
		const char *patterns, *host;
		bool fits;
	} cases[] = {
		{ "secure mx_host_pattern=mx.a.test", "mx.a.test", true },
		{ "secure mx_host_pattern=mx.a.test", "MX.A.TEST", true },
		{ "secure mx_host_pattern=mx.a.test", "mx2.a.test", false },
		{ "secure mx_host_pattern=*.a.test", "mx2.a.test", true },
		{ "secure mx_host_pattern=*.a.test", "x.mx2.a.test", false },
		{ "secure mx_host_pattern=*.a.test", "a.test", false },
		{ "secure mx_host_pattern=b.test:*.a.test", "mx.a.test", true },
		{ "secure", "whoever.test", true },
	};
	struct world *w = world_new();
	static const char *const none[] = { NULL };
	struct smtp_settings settings;

	world_configure(w, none);
	smtp_settings_init(&settings, w->conf, false);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct smtp_tls_policy *p =
			mem_new(tmp, struct smtp_tls_policy);
		const struct smtp_host host = { .name = cases[i].host };
		struct smtp_tls_policy *own;
		struct fault fault;

		print_message("  \"%s\" %s\n", cases[i].patterns, host.name);
		assert_int_equal(
			smtp_tls_policy_read(&settings, &hop,
					     span_from(cases[i].patterns), p,
					     &fault),
			RC_OK);
		assert_int_equal(smtp_tls_policy_for_host(tmp, &settings, NULL,
							  &hop, &host, p, &own,
							  &fault),
				 cases[i].fits ? RC_OK : RC_TEMP);
	}
	world_free(w);
}

static void only_who_offered_starttls_before_can_take_it_back(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct starttls_memory *memory = starttls_memory_new(tmp);

	assert_false(starttls_memory_note(memory, "a[192.0.2.1]:25", false));
	assert_false(starttls_memory_note(memory, "a[192.0.2.1]:25", true));
	assert_false(starttls_memory_note(memory, "b[192.0.2.2]:25", false));
	assert_true(starttls_memory_note(memory, "a[192.0.2.1]:25", false));
	assert_false(starttls_memory_note(memory, "a[192.0.2.1]:25", true));
	/* Many hosts push the oldest out, and cost no more. */
	for (int i = 0; i < 10000; i++)
		assert_false(starttls_memory_note(
			memory, mem_printf(tmp, "h%d", i), true));
	assert_false(starttls_memory_note(memory, "a[192.0.2.1]:25", false));
	assert_true(starttls_memory_note(memory, "h9999", false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_understood_or_refused_whole),
		cmocka_unit_test(only_hosts_that_the_policy_names_are_used),
		cmocka_unit_test(
			only_who_offered_starttls_before_can_take_it_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
