/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <pthread.h>

#include "conf/own_address.h"
#include "conf/param.h"
#include "conf/show.h"

static void the_defaults_of_an_empty_file_are_good(void **state)
{
	struct world *w = world_of("");

	assert_int_equal(w->conf->v.smtpd_timeout, 300);
	assert_int_equal(w->conf->v.maximal_queue_lifetime, 5 * 86400);
	assert_int_equal(w->conf->v.message_size_limit, 10240000);
	assert_true(w->conf->v.biff);
	assert_string_equal(w->conf->v._2bounce_notice_recipient, "postmaster");
	assert_string_equal(conf_text(w->conf, "2bounce_notice_recipient"),
			    "postmaster");
	assert_string_equal(w->conf->v.process_name, "smtpd");
	assert_string_equal(w->conf->v.service_name, "submission");
	assert_string_equal(w->conf->v.config_directory, w->dir);
	assert_string_equal(w->conf->v.smtpd_relay_restrictions, "");
	assert_non_null(strstr(w->conf->v.default_rbl_reply, "$rbl_code"));
	world_free(w);
}

static void defaults_follow_the_compatibility_level(void **state)
{
	struct world *w = world_of("compatibility_level = 3.6\n");

	assert_non_null(strstr(w->conf->v.smtpd_relay_restrictions,
			       "defer_unauth_destination"));
	assert_string_equal(w->conf->v.mynetworks_style, "host");
	assert_false(w->conf->v.append_dot_mydomain);
	world_free(w);
}

static void stress_makes_limits_tight(void **state)
{
	static const char *const overrides[] = { "stress=yes" };
	struct world *w = world_new("");

	assert_int_equal(world_load(w, overrides, 1), RC_OK);
	assert_int_equal(w->conf->v.smtpd_timeout, 10);
	assert_int_equal(w->conf->v.smtpd_hard_error_limit, 1);
	world_free(w);
}

static void a_bare_time_takes_the_unit_of_its_default(void **state)
{
	static const struct {
		const char *text;
		int lifetime, timeout, delay;
	} cases[] = {
		{ "5", 5 * 86400, 5, 5 * 3600 },
		{ "90m", 5400, 5400, 5400 },
		{ "2h", 7200, 7200, 7200 },
		{ "1w", 7 * 86400, 7 * 86400, 7 * 86400 },
		{ "17s", 17, 17, 17 },
		{ "${stress?{1}:{2d}}", 172800, 172800, 172800 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		TALLOC_CTX *mem = talloc_new(NULL);
		struct world *w = world_of(
			mem_printf(mem,
				   "t = %s\nmaximal_queue_lifetime = $t\n"
				   "smtpd_timeout = $t\n"
				   "delay_warning_time = $t\n",
				   cases[i].text));

		assert_int_equal(w->conf->v.maximal_queue_lifetime,
				 cases[i].lifetime);
		assert_int_equal(w->conf->v.smtpd_timeout, cases[i].timeout);
		assert_int_equal(w->conf->v.delay_warning_time, cases[i].delay);
		world_free(w);
		talloc_free(mem);
	}
}

static void bad_values_are_refused_with_file_and_line(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "#\nsmtpd_timeout = 5x\n",
		  "main.cf, line 2: smtpd_timeout = 5x: bad time value" },
		{ "smtpd_timeout =\n", "line 1: smtpd_timeout = : bad time" },
		{ "smtpd_timeout = 0\n", "time 0 is too small" },
		{ "smtpd_timeout = 99999999999w\n", "bad time value" },
		{ "maximal_queue_lifetime = 101d\n", "is too large" },
		{ "#\ncompatibility_level = newest\n",
		  "main.cf, line 2: compatibility_level = newest: bad" },
		{ "compatibility_level = $compatibility_level\n",
		  "refers to itself" },
		{ "biff = maybe\n", "bad boolean value: write yes or no" },
		{ "biff = true\n", "bad boolean value" },
		{ "smtpd_recipient_limit = many\n", "bad numerical value" },
		{ "smtpd_recipient_limit = 0\n",
		  "number 0 is too small: the minimum is 1" },
		{ "smtpd_recipient_limit = 9999999999\n",
		  "number 9999999999 is too large" },
		{ "qmgr_fudge_factor = 101\n", "the maximum is 100" },
		{ "myorigin =\n", "the value may not be empty" },
		{ "default_verp_delimiters = +=-\n", "length 3 is too large" },
		{ "myhostname = -x\n", "myhostname = -x: not a host name" },
		{ "myhostname = a..b\n", "not a host name" },
		{ "a = $(b\nrelayhost = $a\n",
		  "line 2: relayhost = $a:" },
		{ "mynetworks_style = all\n", "none of host, subnet, class" },
		{ "inet_protocols = ipv5\n", "none of all, ipv4, ipv6" },
		{ "inet_interfaces = 192.0.2.99\n",
		  "no local interface has the address 192.0.2.99" },
		{ "myorigin = /nonexistent/name\n",
		  "open /nonexistent/name: No such file" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		world_refuses(cases[i].text, cases[i].want);
}

static void good_values_are_read(void **state)
{
	struct world *w = world_of("biff = NO\n"
				   "mailbox_size_limit = 9999999999\n"
				   "postscreen_dnsbl_allowlist_threshold = -2\n"
				   "virtual_mailbox_base =\n"
				   "smtpd_recipient_limit = ${stress?{1}:{7}}\n"
				   "forward_path = $home/x\n");

	assert_false(w->conf->v.biff);
	assert_int_equal(w->conf->v.mailbox_size_limit, 9999999999);
	assert_int_equal(w->conf->v.postscreen_dnsbl_allowlist_threshold, -2);
	assert_int_equal(w->conf->v.smtpd_recipient_limit, 7);
	assert_string_equal(w->conf->v.forward_path, "$home/x");
	world_free(w);
}

static void overrides_win_and_see_each_other(void **state)
{
	static const char *const overrides[] = {
		"own=x",
		"relayhost=[${own}].$mydomain",
		"smtpd_banner = $service_name",
		"smtpd_timeout=7",
		"smtpd_timeout=8m",
	};
	static const char *const bad[] = { "relayhost" };
	static const char *const worse[] = { "smtpd_timeout=soon" };
	struct world *w = world_new("mydomain = ex.test\nrelayhost = main\n");

	assert_int_equal(world_load(w, overrides, ARRAY_LEN(overrides)),
			 RC_OK);
	assert_string_equal(w->conf->v.relayhost, "[x].ex.test");
	assert_string_equal(w->conf->v.smtpd_banner, "submission");
	assert_int_equal(w->conf->v.smtpd_timeout, 480);
	assert_string_equal(conf_text(w->conf, "own"), "x");

	assert_int_equal(world_load(w, bad, 1), RC_CONF);
	assert_string_equal(w->fault.text,
			    "-o relayhost: missing '=' after attribute name: "
			    "\"relayhost\"");
	assert_int_equal(world_load(w, worse, 1), RC_CONF);
	assert_non_null(strstr(w->fault.text, "-o smtpd_timeout=soon: bad"));
	world_free(w);
}

static void host_and_domain_make_each_other(void **state)
{
	char host[256];
	struct world *w = world_of("myhostname = mx.a.test\n");

	assert_string_equal(w->conf->v.mydomain, "a.test");
	assert_string_equal(w->conf->v.myorigin, "mx.a.test");
	world_free(w);

	w = world_of("myhostname = single\n");
	assert_string_equal(w->conf->v.mydomain, "localdomain");
	world_free(w);

	w = world_of("mydomain = b.test\n");
	assert_int_equal(gethostname(host, sizeof(host)), 0);
	if (strchr(host, '.') == NULL)
		strncat(host, ".b.test", sizeof(host) - strlen(host) - 1);
	assert_string_equal(w->conf->v.myhostname, host);
	world_free(w);
}

static void myorigin_may_be_the_first_line_of_a_file(void **state)
{
	struct world *w = world_new("myorigin = ${config_directory}/origin\n"
				    "mydestination = $myorigin, localhost\n");

	world_write(w, "origin", " mail.example \nmore\n");
	assert_int_equal(world_load(w, NULL, 0), RC_OK);
	assert_string_equal(w->conf->v.myorigin, "mail.example");
	assert_string_equal(w->conf->v.mydestination,
			    "mail.example, localhost");
	world_free(w);
}

static void loopback_only_trusts_the_loopback(void **state)
{
	struct world *w = world_of("inet_interfaces = loopback-only\n"
				   "inet_protocols = ipv4\n"
				   "mynetworks_style = subnet\n");

	assert_string_equal(w->conf->v.mynetworks, "127.0.0.0/8");
	world_free(w);
	w = world_of("inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n"
		     "mynetworks_style = host\n");
	assert_string_equal(w->conf->v.mynetworks, "127.0.0.1/32");
	world_free(w);
}

static void transports_fall_back(void **state)
{
	struct world *w = world_of("a_destination_recipient_limit = 3\n"
				   "a_destination_rate_delay = 2m\n"
				   "b_destination_recipient_limit = x\n"
				   "b_destination_rate_delay = y\n");
	const struct conf *c = w->conf;
	int value;

	assert_int_equal(conf_transport_int(c, "a",
					    "_destination_recipient_limit", 50,
					    &value, &w->fault),
			 RC_OK);
	assert_int_equal(value, 3);
	assert_int_equal(conf_transport_int(c, "c",
					    "_destination_recipient_limit", 50,
					    &value, &w->fault),
			 RC_OK);
	assert_int_equal(value, 50);
	assert_int_equal(conf_transport_int(c, "local",
					    "_destination_concurrency_limit",
					    20, &value, &w->fault),
			 RC_OK);
	assert_int_equal(value, 2);
	assert_int_equal(conf_transport_time(c, "a", "_destination_rate_delay",
					     0, &value, &w->fault),
			 RC_OK);
	assert_int_equal(value, 120);
	assert_int_equal(conf_transport_int(c, "b",
					    "_destination_recipient_limit", 50,
					    &value, &w->fault),
			 RC_CONF);
	assert_non_null(strstr(w->fault.text, "main.cf, line 3: b_dest"));
	assert_int_equal(conf_transport_time(c, "b", "_destination_rate_delay",
					     0, &value, &w->fault),
			 RC_CONF);
	assert_string_equal(conf_text(c, "x_destination_recipient_limit"),
			    "50");
	assert_null(conf_text(c, "x_destination"));
	world_free(w);
}

static bool warns(const struct world *w, const struct master_table *table,
		  const char *want)
{
	const char *const *list;
	size_t count;
	bool found = false;

	conf_warnings(w->mem, w->conf, table, &list, &count);
	for (size_t i = 0; i < count; i++)
		found |= strstr(list[i], want) != NULL;
	return found;
}

static void what_nothing_uses_is_said_with_a_suggestion(void **state)
{
	struct world *w =
		world_of("myhostnme = a\n"
			 "used = b\nrelayhost = $used\n"
			 "class_a = permit\nsmtpd_restriction_classes = class_a\n"
			 "db_hosts = c\nalias_maps = proxy:mysql:db\n"
			 "relay_destination_rate_delay = 1s\n"
			 "zzzz = 1\n"
			 "broken = $(\n"
			 "tls_random_source = dev:/dev/random\n"
			 "relayhost = $used\n"
			 "process_name = x\n"
			 "in_master = 1\n");
	struct master_table *table;

	assert_true(warns(w, NULL,
			  "unused parameter: myhostnme=a; did you mean "
			  "\"myhostname\"?"));
	assert_true(warns(w, NULL, "unused parameter: zzzz=1"));
	assert_false(warns(w, NULL, "zzzz=1; did"));
	assert_false(warns(w, NULL, "unused parameter: used"));
	assert_false(warns(w, NULL, "class_a"));
	assert_false(warns(w, NULL, "db_hosts"));
	assert_false(warns(w, NULL, "relay_destination"));
	assert_true(warns(w, NULL, "line 10: broken = $(: "));
	assert_true(warns(w, NULL, "line 11: tls_random_source has no effect"));
	assert_true(warns(w, NULL, "line 12: overriding earlier entry"));
	assert_true(warns(w, NULL, "line 13: process_name cannot be set"));
	assert_true(warns(w, NULL, "unused parameter: in_master"));

	world_write(w, "master.cf",
		    "smtp inet n - n - - smtpd -o relayhost=$in_master\n");
	assert_int_equal(master_cf_load(w->mem, w->conf, &table, &w->fault),
			 RC_OK);
	assert_false(warns(w, table, "unused parameter: in_master"));
	assert_true(warns(w, table, "unused parameter: relay_destination"));

	world_write(w, "master.cf",
		    "smtp inet n - n - - smtpd -o relayhst=x -o own=y\n"
		    " -o relayhost=$own -o smtp_destination_rate_delay=1\n"
		    " -o tls_random_bytes=3\n"
		    "smtp inet n - n - - smtpd -o sysl_name=x\n"
		    "a unix - - n - - x -o a_destination_rate_delay=1s\n");
	assert_int_equal(master_cf_load_all(w->mem, w->conf, &table, &w->fault),
			 RC_OK);
	assert_true(warns(w, table,
			  "master.cf: unused parameter: relayhst=x (line 1); "
			  "did you mean \"relayhost\"?"));
	assert_false(warns(w, table, "unused parameter: own=y"));
	assert_false(warns(w, table, "smtp_destination_rate_delay"));
	assert_false(warns(w, table, "a_destination_rate_delay"));
	assert_true(warns(w, table, "line 1: tls_random_bytes has no effect"));
	assert_true(warns(w, table, "line 1: duplicate entry for smtp/inet"));
	world_free(w);
}

static void the_nearest_name_is_found(void **state)
{
	static const struct {
		const char *name, *want;
	} cases[] = {
		{ "myhostnam", "myhostname" },
		{ "relayhots", "relayhost" },
		{ "smtp_tls_securty_level", "smtp_tls_security_level" },
		{ "smtpd_recipient_restriction",
		  "smtpd_recipient_restrictions" },
		{ "entirely_else", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *found =
			conf_nearest_name(span_from(cases[i].name));

		if (cases[i].want == NULL)
			assert_null(found);
		else
			assert_string_equal(found, cases[i].want);
	}
}

static void a_tolerant_load_shows_what_is_wrong(void **state)
{
	struct world *w = world_new("smtpd_timeout = x\nrelayhost = $(\n"
				    "mydestination = a\n");
	struct conf_source source = { .config_directory = w->dir,
				      .tolerant = true };

	assert_int_equal(conf_load(&source, &w->conf, &w->fault), RC_OK);
	assert_true(warns(w, NULL, "line 1: smtpd_timeout = x: bad time"));
	assert_true(warns(w, NULL, "line 2: relayhost = $("));
	assert_string_equal(conf_text(w->conf, "mydestination"), "a");
	world_free(w);
}

static void every_parameter_is_declared_well(void **state)
{
	struct world *w = world_of("");

	for (size_t i = 0; i < param_count(); i++) {
		const struct param_def *def = param_at(i);

		if (def->meaning[0] == '\0' ||
		    def->meaning[strlen(def->meaning) - 1] != '.')
			fail_msg("%s: the meaning is not a sentence",
				 def->name);
		assert_non_null(conf_text(w->conf, def->name));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(def->name, param_at(j)->name);
	}
	for (size_t i = 0; i < param_transport_count(); i++) {
		const char *preset = param_transport_at(i)->preset;

		assert_int_equal(preset[0], '$');
		assert_non_null(conf_text(w->conf, preset + 1));
	}
	world_free(w);
}

static void *hold_and_drop(void *arg)
{
	for (int i = 0; i < 10000; i++) {
		struct conf *conf = conf_ref(arg);

		assert(conf->v.smtpd_timeout == 300);
		conf_unref(conf);
	}
	return NULL;
}

static void references_are_counted_by_any_thread(void **state)
{
	struct world *w = world_of("");
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						hold_and_drop, w->conf),
				 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(w->conf->v.smtpd_timeout, 300);
	world_free(w);
}

/* The line that a word of an expanded value was written on. */
static void the_line_of_each_word_is_known(void **state)
{
	static const char main_cf[] =
		"mine = permit_mine,\n"
		"  # a comment\n"
		"    reject_mine\n"
		"empty =\n"
		"smtpd_client_restrictions =\n"
		"\n"
		"    permit_mynetworks\n"
		"    # between\n"
		"    $mine,\n"
		"  ${empty?never}${mine?sometimes}\n"
		"    check_client_access hash:$config_directory/x, last\n"
		"smtpd_helo_restrictions = one ${mine}$empty two\n";
	static const struct {
		const char *parameter, *word;
		int line;
		const char *in;
	} cases[] = {
		{ "smtpd_client_restrictions", "permit_mynetworks", 7,
		  "smtpd_client_restrictions" },
		{ "smtpd_client_restrictions", "permit_mine", 1, "mine" },
		{ "smtpd_client_restrictions", "reject_mine", 3, "mine" },
		{ "smtpd_client_restrictions", "sometimes", 10,
		  "smtpd_client_restrictions" },
		{ "smtpd_client_restrictions", "check_client", 11,
		  "smtpd_client_restrictions" },
		{ "smtpd_client_restrictions", "last", 11,
		  "smtpd_client_restrictions" },
		{ "smtpd_helo_restrictions", "one", 12,
		  "smtpd_helo_restrictions" },
		{ "smtpd_helo_restrictions", "reject_mine", 3, "mine" },
		{ "smtpd_helo_restrictions", "two", 12,
		  "smtpd_helo_restrictions" },
		{ "mine", "reject_mine", 3, "mine" },
		{ "smtpd_data_restrictions", "", 0, "smtpd_data_restrictions" },
		{ "smtpd_etrn_restrictions", "given", 7,
		  "smtpd_etrn_restrictions" },
	};
	static const char *const overrides[] = {
		"smtpd_etrn_restrictions=given"
	};
	struct world *w = world_new(main_cf);
	struct conf_source source = { .config_directory = w->dir,
				      .overrides = overrides,
				      .override_count = 1,
				      .override_path = "master.cf",
				      .override_line = 7 };

	assert_int_equal(conf_load(&source, &w->conf, &w->fault), RC_OK);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *text = conf_text(w->conf, cases[i].parameter);
		const char *at = strstr(text, cases[i].word);
		struct conf_place place;

		print_message("  %s: %s\n", cases[i].parameter, cases[i].word);
		assert_non_null(at);
		conf_locate(w->conf, cases[i].parameter, (size_t)(at - text),
			    &place);
		assert_int_equal(place.line, cases[i].line);
		assert_string_equal(place.parameter, cases[i].in);
		assert_int_equal(place.file == NULL, cases[i].line == 0);
		assert_int_equal(place.is_override,
				 strcmp(cases[i].word, "given") == 0);
	}
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_defaults_of_an_empty_file_are_good),
		cmocka_unit_test(defaults_follow_the_compatibility_level),
		cmocka_unit_test(stress_makes_limits_tight),
		cmocka_unit_test(a_bare_time_takes_the_unit_of_its_default),
		cmocka_unit_test(bad_values_are_refused_with_file_and_line),
		cmocka_unit_test(good_values_are_read),
		cmocka_unit_test(overrides_win_and_see_each_other),
		cmocka_unit_test(host_and_domain_make_each_other),
		cmocka_unit_test(myorigin_may_be_the_first_line_of_a_file),
		cmocka_unit_test(loopback_only_trusts_the_loopback),
		cmocka_unit_test(transports_fall_back),
		cmocka_unit_test(what_nothing_uses_is_said_with_a_suggestion),
		cmocka_unit_test(the_nearest_name_is_found),
		cmocka_unit_test(a_tolerant_load_shows_what_is_wrong),
		cmocka_unit_test(every_parameter_is_declared_well),
		cmocka_unit_test(references_are_counted_by_any_thread),
		cmocka_unit_test(the_line_of_each_word_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
