/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

static struct master_table *table_of(struct world *w, const char *text)
{
	struct master_table *table;

	world_write(w, "master.cf", text);
	if (master_cf_load(w->mem, w->conf, &table, &w->fault) != RC_OK)
		fail_msg("%s", w->fault.text);
	return table;
}

/* Arguments as "[a][b]" and overrides as "<c=d>". */
static void words_are(const struct master_entry *entry, const char *want)
{
	struct buf got;

	buf_init(&got, talloc_new(NULL), 10000);
	for (size_t i = 0; i < entry->argc; i++)
		buf_addf(&got, "[%s]", entry->argv[i]);
	for (size_t i = 0; i < entry->override_count; i++)
		buf_addf(&got, "<%s>", entry->overrides[i]);
	assert_string_equal(buf_text(&got), want);
	talloc_free(got.mem);
}

static void fields_are_read_with_their_defaults(void **state)
{
	struct world *w = world_of("compatibility_level = 3.6\n"
				   "default_process_limit = 77\n");
	struct master_table *table =
		table_of(w, "smtp inet n - y - - smtpd\n"
			    "pickup unix n y - 60 1 pickup\n"
			    "tlsmgr unix - n n 1000? 0 tlsmgr\n"
			    "postlog unix-dgram n - n - 1 postlogd\n"
			    "[::1]:10025 inet n - - - - smtpd\n"
			    "smtpd pass - - n - - smtpd\n");
	const struct master_entry *e = table->entries;

	assert_int_equal(table->count, 6);
	assert_string_equal(e[0].name, "smtp");
	assert_int_equal(e[0].type, SERVICE_INET);
	assert_false(e[0].is_private);
	assert_true(e[0].unprivileged);
	assert_true(e[0].chroot);
	assert_int_equal(e[0].max_processes, 77);
	assert_string_equal(e[0].program, "smtpd");
	assert_false(e[1].chroot);
	assert_int_equal(e[1].wakeup_s, 60);
	assert_false(e[1].wakeup_after_use);
	assert_int_equal(e[1].max_processes, 1);
	assert_true(e[2].is_private);
	assert_false(e[2].unprivileged);
	assert_int_equal(e[2].wakeup_s, 1000);
	assert_true(e[2].wakeup_after_use);
	assert_int_equal(e[2].max_processes, 0);
	assert_int_equal(e[3].type, SERVICE_UNIX_DGRAM);
	assert_string_equal(e[4].name, "[::1]:10025");
	assert_int_equal(e[5].type, SERVICE_PASS);
	assert_int_equal(e[5].line, 6);
	world_free(w);
}

static void old_configurations_are_chrooted(void **state)
{
	struct world *w = world_of("");

	assert_true(
		table_of(w, "a unix - - - - - x\n")->entries[0].chroot);
	world_free(w);
}

static void arguments_take_every_form(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "smtpd", "" },
		{ "smtpd -o a=b", "<a=b>" },
		{ "smtpd\n -o a=b\n# c\n\n -o c=d", "<a=b><c=d>" },
		{ "smtpd -o { a = b c }", "<a=b c>" },
		{ "smtpd -oa=b -o{c=d}", "<a=b><c=d>" },
		{ "smtpd -v -vo a=b", "[-v][-v]<a=b>" },
		{ "smtpd -o a=", "<a=>" },
		{ "smtpd -o a=b=c", "<a=b=c>" },
		{ "pipe {x y} {} {{z}}", "[x y][][{z}]" },
		{ "pipe argv=uux -r -o x -a$sender ${recipient}",
		  "[argv=uux][-r][-o][x][-a$sender][${recipient}]" },
		{ "pipe -o a=b flags=F argv=x -o y",
		  "[flags=F][argv=x][-o][y]<a=b>" },
		{ "pipe ${a b} x", "[${a b}][x]" },
		{ "pipe a}b", "[a}b]" },
	};
	struct world *w = world_of("");

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *line = mem_printf(w->mem, "a unix - - - - - %s\n",
					cases[i].text);

		print_message("  %s\n", cases[i].text);
		words_are(&table_of(w, line)->entries[0], cases[i].want);
	}
	world_free(w);
}

static void the_last_of_two_stays(void **state)
{
	struct world *w = world_of("");
	struct master_table *table =
		table_of(w, "a unix - - n - - x\nb unix - - n - - y\n"
			    "a inet n - n - - z\na unix - - n - 5 w\n");

	assert_int_equal(table->count, 3);
	assert_string_equal(table->entries[2].program, "w");
	assert_int_equal(table->warning_count, 1);
	assert_non_null(strstr(table->warnings[0],
			       "master.cf, line 1: duplicate entry for a/unix: "
			       "the one in line 4 counts"));
	assert_int_equal(master_cf_load_all(w->mem, w->conf, &table, &w->fault),
			 RC_OK);
	assert_int_equal(table->count, 4);
	world_free(w);
}

static void services_can_be_switched_off(void **state)
{
	static const struct {
		const char *list;
		size_t left;
	} cases[] = {
		{ "", 3 },	    { "smtp/inet", 2 }, { "inet", 1 },
		{ "inet unix", 0 }, { "smtp/unix", 3 }, { "!smtp/inet, inet", 2 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		TALLOC_CTX *mem = talloc_new(NULL);
		struct world *w = world_of(mem_printf(
			mem, "master_service_disable = %s\n", cases[i].list));

		assert_int_equal(table_of(w, "smtp inet n - n - - smtpd\n"
					     "25 inet n - n - - smtpd\n"
					     "a unix - - n - - x\n")
					 ->count,
				 cases[i].left);
		world_free(w);
		talloc_free(mem);
	}
}

static void bad_lines_are_refused_with_file_and_line(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "#\n\na unix - - - -\n", "line 3: bad field count: 6" },
		{ "a foo - - - - - x\n", "field 2, the type, is \"foo\"" },
		{ "a unix Y - - - - x\n", "field 3, private, is \"Y\"" },
		{ "a inet y - - - - x\n", "field 3, private, is \"y\": n" },
		{ "a unix - x - - - x\n", "field 4, unprivileged" },
		{ "a unix - - x - - x\n", "field 5, chroot" },
		{ "a unix - - - 5x - x\n", "field 6, the wakeup time" },
		{ "a unix - - - -1 - x\n", "field 6, the wakeup time" },
		{ "a unix - - - - x x\n", "field 7, the process limit" },
		{ "a unix - - - - 99999999999 x\n", "field 7" },
		{ "a unix - - - - - x -o\n", "nothing follows the last \"-o\"" },
		{ "a unix - - - - - x -o a\n", "-o a: missing '='" },
		{ "a unix - - - - - x {a\n", "no \"}\" for the \"{\"" },
		{ "a unix - - - - - x -o {a=b}c\n", "text after the \"}\"" },
		{ "a unix - - - - - x\n b {\n", "line 1: no \"}\"" },
	};
	struct world *w = world_of("");

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct master_table *table;

		world_write(w, "master.cf", cases[i].text);
		assert_int_equal(
			master_cf_load(w->mem, w->conf, &table, &w->fault),
			RC_CONF);
		if (strstr(w->fault.text, cases[i].want) == NULL ||
		    strstr(w->fault.text, "/master.cf, line ") == NULL)
			fail_msg("\"%s\" does not say \"%s\"", w->fault.text,
				 cases[i].want);
	}
	world_free(w);
}

static void words_can_be_read_back(void **state)
{
	struct world *w = world_of("");
	struct master_table *table = table_of(
		w, "a unix - - n 5? - pipe -vo{b = c d} -o e=f {} {x y} g\n");
	const struct master_entry *entry = &table->entries[0];
	struct buf line;

	buf_init(&line, w->mem, 10000);
	for (size_t i = 0; i < entry->word_count; i++)
		buf_addf(&line, "%s ", entry->words[i]);
	assert_string_equal(buf_text(&line),
			    "a unix - - n 5? - pipe -v -o {b=c d} -o e=f {} "
			    "{x y} g ");
	buf_add_char(&line, '\n');
	table = table_of(w, buf_text(&line));
	words_are(&table->entries[0], "[-v][][x y][g]<b=c d><e=f>");
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_read_with_their_defaults),
		cmocka_unit_test(old_configurations_are_chrooted),
		cmocka_unit_test(arguments_take_every_form),
		cmocka_unit_test(the_last_of_two_stays),
		cmocka_unit_test(services_can_be_switched_off),
		cmocka_unit_test(bad_lines_are_refused_with_file_and_line),
		cmocka_unit_test(words_can_be_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
