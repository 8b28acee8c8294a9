/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "mail/alias_build.h"

struct world {
	char dir[64];
	struct conf *conf;
	struct buf warnings;
};

static void world_write(struct world *w, const char *name, const char *text)
{
	int fd = open(mem_printf(w, "%s/%s", w->dir, name),
		      O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int world_open(void **state)
{
	struct world *w = mem_new(NULL, struct world);
	struct conf_source source = { .process_name = "test",
				      .service_name = "test" };
	struct fault fault;

	snprintf(w->dir, sizeof(w->dir), "/tmp/alias-test-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	world_write(w, "main.cf",
		    mem_printf(w,
			       "compatibility_level = 3.6\n"
			       "myhostname = mail.example.test\n"
			       "alias_database = hash:%s/one btree:%s/two\n",
			       w->dir, w->dir));
	source.config_directory = w->dir;
	if (conf_load(&source, &w->conf, &fault) != RC_OK)
		fail_msg("%s", fault.text);
	buf_init(&w->warnings, w, 10000);
	*state = w;
	return 0;
}

static int world_close(void **state)
{
	struct world *w = *state;

	assert_int_equal(system(mem_printf(w, "rm -rf %s", w->dir)), 0);
	conf_unref(w->conf);
	talloc_free(w);
	return 0;
}

static void warn(void *arg, const char *text)
{
	struct world *w = arg;

	buf_addf(&w->warnings, "%s\n", strstr(text, "line"));
}

static struct map *open_map(struct world *w, const char *text)
{
	struct fault fault;
	struct map *map;

	if (map_open(w, w->conf, span_from(text), MAP_FOLD, &map, &fault) !=
	    RC_OK)
		fail_msg("%s", fault.text);
	return map;
}

static void assert_alias(struct map *map, const char *name, const char *want)
{
	struct fault fault;
	struct span value;
	enum rc rc = map_lookup(map, map, span_from(name), &value, &fault);

	assert_int_equal(rc, want == NULL ? RC_NONE : RC_OK);
	if (want != NULL)
		assert_string_equal(value.ptr, want);
}

/* As postalias of the reference makes it. */
static void names_and_values_are_read(void **state)
{
	static const char source[] = "# comment\n"
				     "postmaster: root\n"
				     "Root: jo, ann\n"
				     "  , bo\n"
				     "\"quoted name\": x\n"
				     "\"q\\\"n\": y\n"
				     "list: :include:/etc/list\n"
				     "prog: \"|/bin/cmd a, b\"\n"
				     "file: /var/mail/x\n"
				     "x:y\n"
				     "owner-x : z\n"
				     "k3:\"a b\"@c , d\n"
				     "k4: a # b\n";
	static const struct {
		const char *name, *want;
	} cases[] = {
		{ "postmaster", "root" },
		{ "ROOT", "jo, ann, bo" },
		{ "quoted name", "x" },
		{ "q\"n", "y" },
		{ "list", ":include:/etc/list" },
		{ "prog", "\"|/bin/cmd a, b\"" },
		{ "file", "/var/mail/x" },
		{ "x", "y" },
		{ "owner-x", "z" },
		{ "k3", "\"a b\"@c, d" },
		{ "k4", "a # b" },
		{ "@", "@" },
		{ "nobody", NULL },
	};
	struct world *w = *state;
	char *name = mem_printf(w, "hash:%s/aliases", w->dir);
	struct map_build_options options = { .warn = warn, .warn_arg = w };
	struct fault fault;
	struct map *map;

	world_write(w, "aliases", source);
	assert_int_equal(
		alias_build(w->conf, span_from(name), &options, &fault), RC_OK);
	assert_int_equal(w->warnings.len, 0);
	map = open_map(w, name);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_alias(map, cases[i].name, cases[i].want);
	assert_int_equal(map_open(w, w->conf, span_from(name), 0, &map, &fault),
			 RC_OK);
	assert_alias(map, "YP_MASTER_NAME", "mail.example.test");
}

static void bad_lines_are_named_and_skipped(void **state)
{
	struct world *w = *state;
	char *name = mem_printf(w, "hash:%s/bad", w->dir);
	struct map_build_options options = { .flags = MAP_BUILD_CHECK_UTF8,
					     .warn = warn,
					     .warn_arg = w };
	struct fault fault;

	world_write(w, "bad",
		    "no colon here\n: empty\nnoval:\ndup: a\nDUP: b\na@b: c\n"
		    "a, b: c\n\"open: x\n\xff: x\ngood: x\n");
	buf_clear(&w->warnings);
	assert_int_equal(
		alias_build(w->conf, span_from(name), &options, &fault), RC_OK);
	assert_string_equal(buf_text(&w->warnings),
			    "line 1: need name:value pair\n"
			    "line 2: need name:value pair\n"
			    "line 3: need name:value pair\n"
			    "line 6: name must be local\n"
			    "line 7: need name:value pair\n"
			    "line 8: need name:value pair\n"
			    "line 9: non-UTF-8 input\n"
			    "line 5: duplicate entry: \"dup\" (line 4 "
			    "counts)\n");
	assert_alias(open_map(w, name), "dup", "a");
	assert_alias(open_map(w, name), "good", "x");
}

static void newaliases_makes_all_and_says_which_failed(void **state)
{
	struct world *w = *state;
	struct fault fault;

	world_write(w, "two", "b: c\n");
	assert_int_equal(alias_build_all(w->conf, warn, w, &fault), RC_CONF);
	assert_string_equal(fault.text,
			    mem_printf(w,
				       "open %s/one: No such file or directory",
				       w->dir));
	assert_alias(open_map(w, mem_printf(w, "btree:%s/two", w->dir)), "b",
		     "c");
	world_write(w, "one", "a: b\n");
	assert_int_equal(alias_build_all(w->conf, warn, w, &fault), RC_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_values_are_read),
		cmocka_unit_test(bad_lines_are_named_and_skipped),
		cmocka_unit_test(newaliases_makes_all_and_says_which_failed),
	};

	return cmocka_run_group_tests(tests, world_open, world_close);
}
