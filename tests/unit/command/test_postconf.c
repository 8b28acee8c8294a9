/* SPDX-License-Identifier: Apache-2.0 */
#include "../conf/world.h"

#include <sys/stat.h>

#include "command/postconf_priv.h"

static const char start[] = "# top\n"
			    "relayhost = a,\n"
			    "   b\n"
			    "# mid\n"
			    "   c\n"
			    "# after\n"
			    "mydestination = x\n"
			    "relayhost = z\n"
			    "\n"
			    "# end\n";

static void file_is(const struct world *w, const char *name, const char *want)
{
	char path[128], got[8192];
	FILE *file;
	size_t len;

	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	file = fopen(path, "r");
	assert_non_null(file);
	len = fread(got, 1, sizeof(got) - 1, file);
	got[len] = '\0';
	fclose(file);
	assert_string_equal(got, want);
}

static void main_cf_keeps_its_layout(void **state)
{
	static const struct {
		enum postconf_edit what;
		const char *arg, *want;
	} cases[] = {
		{ EDIT_SET, "relayhost = new",
		  "# top\nrelayhost = new\n# mid\n# after\n"
		  "mydestination = x\nrelayhost = new\n\n# end\n" },
		{ EDIT_DELETE, "relayhost",
		  "# top\n# mid\n# after\nmydestination = x\n\n# end\n" },
		{ EDIT_COMMENT, "relayhost",
		  "# top\n#relayhost = a,\n#   b\n# mid\n#   c\n# after\n"
		  "mydestination = x\n#relayhost = z\n\n# end\n" },
		{ EDIT_SET, "mydestination=",
		  "# top\nrelayhost = a,\n   b\n# mid\n   c\n# after\n"
		  "mydestination = \nrelayhost = z\n\n# end\n" },
		{ EDIT_SET, " myorigin =  q  r ",
		  "# top\nrelayhost = a,\n   b\n# mid\n   c\n# after\n"
		  "mydestination = x\nrelayhost = z\n\n# end\n"
		  "myorigin = q  r\n" },
		{ EDIT_DELETE, "relay", start },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world *w = world_new(start);
		char *arg = mem_strdup(w->mem, cases[i].arg);

		print_message("  %s\n", arg);
		if (postconf_edit_main(w->dir, cases[i].what, &arg, 1,
				       &w->fault) != RC_OK)
			fail_msg("%s", w->fault.text);
		file_is(w, "main.cf", cases[i].want);
		world_free(w);
	}
}

static void a_bad_request_changes_nothing(void **state)
{
	static const struct {
		enum postconf_edit what;
		const char *arg;
	} cases[] = {
		{ EDIT_SET, "foo" },	    { EDIT_SET, "=x" },
		{ EDIT_SET, "a b = c" },    { EDIT_SET, "a=b\nc" },
		{ EDIT_SET, "#a=b" },	    { EDIT_DELETE, "a=b" },
		{ EDIT_COMMENT, "a\nb" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world *w = world_new(start);
		char *args[2] = { mem_strdup(w->mem, "relayhost"),
				  mem_strdup(w->mem, cases[i].arg) };

		if (cases[i].what == EDIT_SET)
			args[0] = mem_strdup(w->mem, "relayhost=changed");
		assert_int_equal(postconf_edit_main(w->dir, cases[i].what, args,
						    2, &w->fault),
				 RC_CONF);
		file_is(w, "main.cf", start);
		world_free(w);
	}
}

static void the_mode_and_a_link_stay(void **state)
{
	struct world *w = world_new("");
	char *arg = mem_strdup(w->mem, "relayhost=new");
	char path[128], real[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/main.cf", w->dir);
	snprintf(real, sizeof(real), "%s/origin", w->dir);
	assert_int_equal(rename(path, real), 0);
	assert_int_equal(symlink(real, path), 0);
	assert_int_equal(chmod(real, 0640), 0);
	assert_int_equal(postconf_edit_main(w->dir, EDIT_SET, &arg, 1,
					    &w->fault),
			 RC_OK);
	file_is(w, "origin", "relayhost = new\n");
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	world_free(w);
}

static void a_file_without_a_last_line_end_is_completed(void **state)
{
	struct world *w = world_new("a = b");
	char *arg = mem_strdup(w->mem, "c=d");

	assert_int_equal(postconf_edit_main(w->dir, EDIT_SET, &arg, 1,
					    &w->fault),
			 RC_OK);
	file_is(w, "main.cf", "a = b\nc = d\n");
	world_free(w);
}

static const char services[] =
	"# top\n"
	"smtp      inet  n       -       y       -       -       smtpd\n"
	"# about relay\n"
	"relay     unix  -       -       y       -       -       smtp\n"
	"        -o syslog_name=postfix/$service_name\n"
	"#       -o smtp_helo_timeout=5\n"
	"discard   unix  -       -       y       -       -       discard\n";

#define TOP                                                                    \
	"# top\n"                                                              \
	"smtp      inet  n       -       y       -       -       smtpd\n"        \
	"# about relay\n"
#define END                                                                    \
	"#       -o smtp_helo_timeout=5\n"                                     \
	"discard   unix  -       -       y       -       -       discard\n"

static void master_cf_is_edited_by_service(void **state)
{
	static const struct {
		char mode;
		enum postconf_edit what;
		const char *arg, *want;
	} cases[] = {
		{ 'M', EDIT_DELETE, "relay/unix", TOP END },
		{ 'F', EDIT_SET, "relay/unix/chroot=n",
		  TOP "relay      unix  -       -       n       -       -      "
		      " smtp\n    -o syslog_name=postfix/$service_name\n" END },
		{ 'P', EDIT_SET, "relay/unix/syslog_name=x",
		  TOP "relay      unix  -       -       y       -       -      "
		      " smtp\n    -o syslog_name=x\n" END },
		{ 'P', EDIT_DELETE, "relay/unix/syslog_name",
		  TOP "relay      unix  -       -       y       -       -      "
		      " smtp\n" END },
		{ 'P', EDIT_SET, "relay/unix/smtp_bind_address=a b",
		  TOP "relay      unix  -       -       y       -       -      "
		      " smtp\n    -o syslog_name=postfix/$service_name\n"
		      "    -o {smtp_bind_address=a b}\n" END },
		{ 'M', EDIT_SET,
		  "relay/unix = relay unix - - n - 5 smtp -o a=b",
		  TOP "relay      unix  -       -       n       -       5      "
		      " smtp\n    -o a=b\n" END },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world *w = world_of("");
		char *arg = mem_strdup(w->mem, cases[i].arg);
		struct postconf pc = { .mem = w->mem,
				       .conf = w->conf,
				       .names = &arg,
				       .name_count = 1 };

		print_message("  -%c %s\n", cases[i].mode, arg);
		world_write(w, "master.cf", services);
		assert_int_equal(master_cf_load_all(w->mem, w->conf, &pc.table,
						    &w->fault),
				 RC_OK);
		if (postconf_edit_master(&pc, cases[i].mode, cases[i].what,
					 &w->fault) != RC_OK)
			fail_msg("%s", w->fault.text);
		file_is(w, "master.cf", cases[i].want);
		world_free(w);
	}
}

static void what_could_not_be_read_back_is_not_written(void **state)
{
	static const struct {
		char mode;
		const char *arg;
	} cases[] = {
		{ 'F', "relay/unix/chroot=perhaps" },
		{ 'F', "relay/unix/shoe=n" },
		{ 'M', "relay/unix=relay unix -" },
		{ 'P', "relay/unix=x" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world *w = world_of("");
		char *arg = mem_strdup(w->mem, cases[i].arg);
		struct postconf pc = { .mem = w->mem,
				       .conf = w->conf,
				       .names = &arg,
				       .name_count = 1 };

		world_write(w, "master.cf", services);
		assert_int_equal(master_cf_load_all(w->mem, w->conf, &pc.table,
						    &w->fault),
				 RC_OK);
		assert_int_equal(postconf_edit_master(&pc, cases[i].mode,
						      EDIT_SET, &w->fault),
				 RC_CONF);
		file_is(w, "master.cf", services);
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(main_cf_keeps_its_layout),
		cmocka_unit_test(a_bad_request_changes_nothing),
		cmocka_unit_test(the_mode_and_a_link_stay),
		cmocka_unit_test(a_file_without_a_last_line_end_is_completed),
		cmocka_unit_test(master_cf_is_edited_by_service),
		cmocka_unit_test(what_could_not_be_read_back_is_not_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
