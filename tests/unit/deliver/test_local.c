/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "deliver/local/local.h"
#include "deliver/macro.h"
#include "deliver/local/token.h"
#include "world.h"

#define TEXT                       \
	"From: Me <me@x.test>\r\n" \
	"Subject: test one\r\n"    \
	"\r\n"                     \
	"Hello\r\n"                \
	"From here\r\n"            \
	".dot\r\n"                 \
	">From there\r\n"          \
	"Fro\r\n"                  \
	"last\r\n"

/* The user these tests run as; it gets mail in every one of them. */
static const char *own_name(void)
{
	const struct passwd *own = getpwuid(geteuid());

	assert_non_null(own);
	return own->pw_name;
}

struct post {
	struct world *w;
	struct local *local;
	struct delivery *d;
	char *spool;
};

static struct post post_open(const char *const *settings)
{
	struct post p = {.w = world_new()};
	const char **all = mem_array(p.w, const char *, 20);
	struct fault fault;
	size_t count = 0;

	p.spool = mem_printf(p.w, "%s/spool", p.w->directory);
	assert_int_equal(mkdir(p.spool, 0755), 0);
	all[count++] = mem_printf(p.w, "mail_spool_directory=%s", p.spool);
	all[count++] = "local_transport=local:$myhostname";
	all[count++] = "deliver_lock_attempts=1";
	all[count++] = "recipient_delimiter=+";
	all[count++] = "forward_path=";
	while (settings != NULL && *settings != NULL)
		all[count++] = *settings++;
	world_configure(p.w, all);
	p.w->service->name = "local";
	if (local_open(p.w, p.w->service, &p.local, &fault) != RC_OK)
		fail_msg("%s", fault.text);
	return p;
}

static void post_deliver(struct post *p, const char *local_part)
{
	const char *const to[] = {
	    mem_printf(p->w, "%s@example.test", local_part), NULL};
	const struct world_message message = {.sender = "me@remote.test",
					      .recipients = to,
					      .text = TEXT,
					      .transport = "local",
					      .nexthop = "example.test"};

	talloc_free(p->d);
	p->d = world_delivery(p->w, &message);
	p->d->image->env->arrival_us = 1795302662ULL * 1000000;
	p->d->request->env->arrival_us = 1795302662ULL * 1000000;
	local_deliver(p->local, p->d);
	assert_int_equal(p->d->open_count, 0);
}

static void post_close(struct post *p)
{
	talloc_free(p->d);
	world_free(p->w);
}

static const char *status_text(struct post *p)
{
	const struct delivery_status *s = &p->d->statuses[0];

	return mem_printf(p->d, "%s %s", s->dsn, s->reason);
}

static void an_mbox_gets_what_the_reference_writes(void **state)
{
	struct post p = post_open(NULL);
	const char *own = own_name(), *path, *want;

	setenv("TZ", "UTC", 1);
	post_deliver(&p, own);
	assert_string_equal(status_text(&p), "2.0.0 delivered to mailbox");
	path = mem_printf(p.w, "%s/%s", p.spool, own);
	want = mem_printf(p.w,
			  "From me@remote.test  Sat Nov 21 23:11:02 2026\n"
			  "Return-Path: <me@remote.test>\n"
			  "X-Original-To: %s@example.test\n"
			  "Delivered-To: %s@example.test\n"
			  "From: Me <me@x.test>\n"
			  "Subject: test one\n"
			  "\n"
			  "Hello\n"
			  ">From here\n"
			  ".dot\n"
			  ">From there\n"
			  "Fro\n"
			  "last\n"
			  "\n",
			  own, own);
	assert_string_equal(world_file(p.w, path), want);
	post_deliver(&p, own);
	assert_string_equal(world_file(p.w, path),
			    mem_printf(p.w, "%s%s", want, want));
	post_close(&p);
}

/* The only file in a directory. */
static char *only_file(struct world *w, const char *directory)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	char *found = NULL;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.') {
			assert_null(found);
			found =
			    mem_printf(w, "%s/%s", directory, entry->d_name);
		}
	closedir(dir);
	return found;
}

static void a_maildir_is_made_and_gets_a_file_in_new(void **state)
{
	struct post p = post_open(NULL);
	const char *file, *own = own_name();
	const char *settings[] = {
	    mem_printf(p.w, "mail_spool_directory=%s/m/", p.spool), NULL};
	struct post q = post_open(settings);

	post_deliver(&q, own);
	assert_string_equal(status_text(&q), "2.0.0 delivered to maildir");
	file = only_file(p.w, mem_printf(p.w, "%s/m/%s/new", p.spool, own));
	assert_non_null(file);
	assert_null(
	    only_file(p.w, mem_printf(p.w, "%s/m/%s/tmp", p.spool, own)));
	assert_null(strstr(world_file(p.w, file), "From me@"));
	assert_non_null(strstr(world_file(p.w, file), "\nFrom here\n"));
	assert_non_null(strstr(world_file(p.w, file),
			       "Return-Path: <me@remote.test>\nX-Orig"));
	post_close(&q);
	post_close(&p);
}

static void a_mailbox_that_is_not_safe_is_left_alone(void **state)
{
	static const char *const names[] = {"symbolic link", "hard link",
					    "directory", "locked", "full"};
	const char *own = own_name();

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		static const char *const small[] = {
		    "mailbox_size_limit=50", "message_size_limit=50", NULL};
		struct post p = post_open(i == 4 ? small : NULL);
		const char *path = mem_printf(p.w, "%s/%s", p.spool, own);
		const char *other = mem_printf(p.w, "%s/other", p.spool);

		print_message("  %s\n", names[i]);
		assert_true(close(open(other, O_CREAT | O_WRONLY, 0600)) == 0);
		if (i == 0)
			assert_int_equal(symlink(other, path), 0);
		else if (i == 1)
			assert_int_equal(link(other, path), 0);
		else if (i == 2)
			assert_int_equal(mkdir(path, 0700), 0);
		else if (i == 3)
			close(open(mem_printf(p.w, "%s.lock", path),
				   O_CREAT | O_WRONLY, 0600));
		post_deliver(&p, own);
		assert_int_not_equal(p.d->statuses[0].action, DELIVERY_SENT);
		assert_string_equal(world_file(p.w, other), "");
		if (i == 3)
			assert_memory_equal(status_text(&p), "4.2.0 ", 6);
		if (i == 4) {
			assert_memory_equal(status_text(&p), "5.2.2 ", 6);
			assert_string_equal(world_file(p.w, path), "");
		}
		post_close(&p);
	}
}

static void aliases_lead_where_they_say(void **state)
{
	static const struct {
		const char *why, *to, *want;
	} cases[] = {
	    {"to a user", "single", "2.0.0 delivered to mailbox"},
	    {"to /dev/null", "null", "2.0.0 delivered to file: /dev/null"},
	    {"to a command", "cmd",
	     "2.0.0 delivered to command: cat >/dev/null"},
	    {"to a command that says no", "cmdno",
	     "5.3.0 Command died with status 7: \"exit 7\""},
	    {"to a command with sysexits", "cmdtemp",
	     "4.3.0 temporary failure. Command output: busy "},
	    {"to a command with a status code", "cmddsn", "4.2.2 mailbox full"},
	    {"to nobody", "none", "5.1.1 unknown user: \"no.such\""},
	    {"in a circle", "loopa", "5.4.6 alias database loop for loopa"},
	    {"with an extension of its own", "ext",
	     "2.0.0 delivered to mailbox"},
	    {"the extension of the address is dropped", "single+x",
	     "2.0.0 delivered to mailbox"},
	    {"the worst of two counts", "worst",
	     "5.1.1 unknown user: \"no.such\""},
	    {"required aliases", "mailer-daemon", "2.0.0 discarded"},
	    {"upper case", "SINGLE", "2.0.0 delivered to mailbox"},
	};
	const char *own = own_name();
	struct world *tmp = world_new();
	const char *settings[] = {
	    mem_printf(tmp,
		       "alias_maps=inline:{ {single = %s}, {null = "
		       "/dev/null}, {cmd = \"|cat >/dev/null\"}, {cmdno = "
		       "\"|exit 7\"}, {cmdtemp = \"|echo busy; exit 75\"}, "
		       "{cmddsn = \"|echo 4.2.2 mailbox full; exit 1\"}, "
		       "{none = no.such}, {loopa = loopb}, {loopb = loopa}, "
		       "{ext = %s+y}, {worst = %s, no.such} }",
		       own, own, own),
	    mem_printf(tmp, "default_privs=%s",
		       geteuid() == 0 ? "nobody" : own),
	    NULL};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct post p = post_open(settings);

		print_message("  %s\n", cases[i].why);
		post_deliver(&p, cases[i].to);
		assert_string_equal(status_text(&p), cases[i].want);
		post_close(&p);
	}
	world_free(tmp);
}

static void a_strangers_local_part_is_no_command_for_luser_relay(void **state)
{
	static const struct {
		const char *relay, *to;
	} cases[] = {
	    {"luser_relay=$user", "|exit 7"},
	    {"luser_relay=$local", "/dev/null"},
	    {"luser_relay=$local@example.test", "|exit 7;#"},
	    {"luser_relay=$local", "x@remote.test"},
	    {"luser_relay=$local", "remote.test!x"},
	    {"luser_relay=$local", "x@remote.test,y"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *settings[] = {cases[i].relay, NULL};
		struct post p = post_open(settings);

		print_message("  %s, %s\n", cases[i].relay, cases[i].to);
		post_deliver(&p, cases[i].to);
		assert_memory_equal(status_text(&p), "5.1.1 unknown user", 18);
		post_close(&p);
	}
}

static void a_command_that_never_stops_talking_is_stopped(void **state)
{
	static const char *const settings[] = {
	    "alias_maps=inline:{ {talk = \"|while :; do echo x; done\"} }",
	    "command_time_limit=1s", NULL};
	struct post p = post_open(settings);

	p.local->default_user->uid = geteuid() == 0 ? 65534 : geteuid();
	post_deliver(&p, "talk");
	assert_memory_equal(status_text(&p),
			    "5.3.0 Command time limit exceeded", 33);
	post_close(&p);
}

static void what_mail_says_is_clean_in_the_environment(void **state)
{
	const char *settings[] = {
	    "alias_maps=inline:{ {env = \"|echo 5.7.9 "
	    "$$EXTENSION-$$LOCAL; exit 1\"} }",
	    NULL};
	struct post p = post_open(settings);

	post_deliver(&p, "env+a`b$c");
	assert_string_equal(status_text(&p), "5.7.9 a_b_c-env+a_b_c");
	post_deliver(&p, "env+../x");
	assert_string_equal(status_text(&p), "5.7.9 -env+../x");
	post_close(&p);
}

static void nothing_runs_as_root(void **state)
{
	struct privilege_user root = {.name = "root", .home = "/", .shell = ""};
	struct post p = post_open(NULL);
	struct target t = {.address = "root@example.test",
			   .sender = "me@remote.test",
			   .name = "root",
			   .user = "root",
			   .extension = "",
			   .delimiter = "",
			   .domain = "example.test"};
	struct job job = {.local = p.local};

	if (geteuid() != 0)
		skip();
	post_deliver(&p, "nobody.here");
	job.d = p.d;
	job.mem = p.d;
	job.to = &p.d->request->recipients[0];
	store_command(&job, &t, "echo 5.7.9 `id -u`; exit 1", &root);
	assert_memory_equal(job.worst.text, "65534", 5);
	post_close(&p);
}

static void what_leaves_becomes_a_new_message(void **state)
{
	static const char *const settings[] = {
	    "alias_maps=inline:{ {out = x@remote.test, y@remote.test} }", NULL};
	struct post p = post_open(settings);
	char *log;

	post_deliver(&p, "out");
	log = world_log(p.w);
	assert_memory_equal(status_text(&p), "2.0.0 forwarded as ", 19);
	assert_string_equal(p.d->statuses[0].dsn_action, "expanded");
	assert_non_null(strstr(log, "to=<out@example.test>, relay=local, "));
	assert_non_null(strstr(log, "status=sent (forwarded as "));
	post_close(&p);
}

static void a_message_that_was_here_before_bounces(void **state)
{
	static const char *const to[] = {"jo@example.test", NULL};
	const struct world_message message = {
	    .sender = "me@remote.test",
	    .recipients = to,
	    .text = "Delivered-To: Jo@Example.test\r\n\r\nx\r\n",
	    .transport = "local",
	    .nexthop = "example.test"};
	struct post p = post_open(NULL);

	p.d = world_delivery(p.w, &message);
	local_deliver(p.local, p.d);
	assert_string_equal(status_text(&p),
			    "5.4.6 mail forwarding loop for jo@example.test");
	post_close(&p);
}

static void destinations_are_told_apart(void **state)
{
	static const char *const text =
	    "# a comment, with a comma\n"
	    "jo, \\ann,\t\"|cmd -a \\\"b, c\\\"\" ,/file, |plain cmd,\n"
	    ":include:/a/list, Bo <bo@x.test>, \"/file two\"\n"
	    "(nothing), ,\n\"q u\"@x.test";
	static const struct token want[] = {
	    {TOKEN_ADDRESS, "jo"},
	    {TOKEN_ADDRESS, "\\ann"},
	    {TOKEN_COMMAND, "cmd -a \"b, c\""},
	    {TOKEN_FILE, "/file"},
	    {TOKEN_COMMAND, "plain cmd"},
	    {TOKEN_INCLUDE, "/a/list"},
	    {TOKEN_ADDRESS, "bo@x.test"},
	    {TOKEN_FILE, "/file two"},
	    {TOKEN_ADDRESS, "q u@x.test"},
	};
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct span rest = span_from(text);
	struct token token;

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		print_message("  %s\n", want[i].text);
		assert_true(token_next(tmp, &rest, &token));
		assert_string_equal(token.text, want[i].text);
		assert_int_equal(token.kind, want[i].kind);
	}
	assert_false(token_next(tmp, &rest, &token));
}

static void macros_expand_as_in_forward_path(void **state)
{
	static const struct macro_value values[] = {
	    {"home", "/home/jo"},
	    {"extension", ""},
	    {"user", "jo"},
	    {"bad", "a;b"},
	};
	static const struct {
		const char *text, *want; /* NULL: refused */
	} cases[] = {
	    {"$home/.forward", "/home/jo/.forward"},
	    {"${home}/x$(user)y", "/home/jo/xjoy"},
	    {"a${extension?+}b", "ab"},
	    {"a${user?+$user}b", "a+job"},
	    {"${extension:none}", "none"},
	    {"${user?{yes}:{no}}${extension?{yes}:{no}}", "yesno"},
	    {"$$x", "$x"},
	    {"$bad", "a_b"},
	    {"$unknown", NULL},
	    {"${home", NULL},
	};
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *got = NULL;
		struct fault fault;
		enum rc rc =
		    macro_expand(tmp, cases[i].text, values, ARRAY_LEN(values),
				 "abcdefghijklmnopqrstuvwxyz/.", &got, &fault);

		print_message("  %s\n", cases[i].text);
		assert_int_equal(rc == RC_OK, cases[i].want != NULL);
		if (cases[i].want != NULL)
			assert_string_equal(got, cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_mbox_gets_what_the_reference_writes),
	    cmocka_unit_test(a_maildir_is_made_and_gets_a_file_in_new),
	    cmocka_unit_test(a_mailbox_that_is_not_safe_is_left_alone),
	    cmocka_unit_test(aliases_lead_where_they_say),
	    cmocka_unit_test(
		a_strangers_local_part_is_no_command_for_luser_relay),
	    cmocka_unit_test(a_command_that_never_stops_talking_is_stopped),
	    cmocka_unit_test(what_mail_says_is_clean_in_the_environment),
	    cmocka_unit_test(nothing_runs_as_root),
	    cmocka_unit_test(what_leaves_becomes_a_new_message),
	    cmocka_unit_test(a_message_that_was_here_before_bounces),
	    cmocka_unit_test(destinations_are_told_apart),
	    cmocka_unit_test(macros_expand_as_in_forward_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
