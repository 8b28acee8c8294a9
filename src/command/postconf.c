/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "command/postconf_priv.h"

enum { OVERRIDE_MAX = 1000 };

struct options {
	struct postconf pc;
	const char *config_directory;
	const char *overrides[OVERRIDE_MAX];
	size_t override_count;
	char mode; /* M, F, P, or 0 for main.cf */
	char list; /* m, l, a, A, or 0 */
	bool edit, explain;
	enum postconf_edit what;
};

static const char usage_text[] =
    "usage: postconf [-c DIR] [-dfhHnx] [-C CLASS] [-o NAME=VALUE] [NAME...]\n"
    "       postconf [-c DIR] [-e] NAME=VALUE...\n"
    "       postconf [-c DIR] -X|-# NAME...\n"
    "       postconf [-c DIR] -M|-F|-P [-efhHxX#] [SERVICE[/TYPE[/NAME]]...]\n"
    "       postconf --explain [NAME...]\n"
    "       postconf -m | -l | -a | -A\n"
    "  Show or change the configuration.\n"
    "  -c DIR  configuration directory\n"
    "  -d      defaults instead of what is set\n"
    "  -n      only what is set in main.cf\n"
    "  -x      values with their $names replaced\n"
    "  -h, -H  without the names; without the values\n"
    "  -f      long lines folded\n"
    "  -C      only a class: builtin, service, user or all\n"
    "  -o      as if main.cf said so\n"
    "  -e      set; -X remove; -# comment out\n"
    "  -M      lines of master.cf; -F their fields; -P their -o options\n"
    "  --explain  what parameters mean\n"
    "  -m      types of lookup tables; -l of locks; -a, -A of SASL (server,\n"
    "          client)\n";

static NORETURN void fail(const char *text)
{
	fprintf(stderr, "postconf: fatal: %s\n", text);
	exit(1);
}

static NORETURN void refuse(int option, const char *why)
{
	fprintf(stderr, "postconf: fatal: -%c: %s\n", option, why);
	exit(1);
}

static unsigned parse_class(const char *text)
{
	static const struct {
		const char *name;
		unsigned classes;
	} known[] = {{"builtin", CLASS_BUILTIN},
		     {"service", CLASS_SERVICE},
		     {"user", CLASS_USER},
		     {"all", CLASS_ALL}};
	struct span rest = span_from(text), word;
	unsigned classes = 0;

	while (span_token(&rest, ", ", &word)) {
		unsigned found = 0;

		for (size_t i = 0; i < ARRAY_LEN(known); i++) {
			if (span_is_nocase(word, known[i].name))
				found = known[i].classes;
		}
		if (found == 0)
			fail("-C takes builtin, service, user or all");
		classes |= found;
	}
	return classes;
}

static bool take_output_option(struct options *options, int option)
{
	switch (option) {
	case 'd':
		options->pc.defaults = true;
		return true;
	case 'f':
		options->pc.fold = true;
		return true;
	case 'h':
		options->pc.hide_names = true;
		return true;
	case 'H':
		options->pc.hide_values = true;
		return true;
	case 'n':
		options->pc.set_only = true;
		return true;
	case 'x':
		options->pc.expand = true;
		return true;
	case 'p':
	case 'v':
	case 'q':
		return true; /* main.cf; more words; fewer words */
	default:
		return false;
	}
}

static void take_option(struct options *options, int option, const char *value)
{
	switch (option) {
	case 'c':
		options->config_directory = value;
		break;
	case 'C':
		options->pc.classes = parse_class(value);
		break;
	case 'o':
		if (options->override_count == OVERRIDE_MAX)
			fail("too many -o options");
		options->overrides[options->override_count++] = value;
		break;
	case 'M':
	case 'F':
	case 'P':
		options->mode = (char)option;
		break;
	case 'm':
	case 'l':
	case 'a':
	case 'A':
		options->list = (char)option;
		break;
	case 'e':
	case 'X':
	case '#':
		options->edit = true;
		options->what = option == 'e'	? EDIT_SET
				: option == 'X' ? EDIT_DELETE
						: EDIT_COMMENT;
		break;
	case 'b':
	case 't':
		refuse(option, "texts of bounce messages are not shown yet");
	case 'T':
		refuse(option, "not available here; see openssl version");
	case 'j':
		refuse(option, "JSON output is not available yet");
	default:
		fputs(usage_text, stderr);
		exit(1);
	}
}

static void parse_options(struct options *options, int argc, char **argv)
{
	static const struct option longs[] = {{"help", no_argument, NULL, 1},
					      {"explain", no_argument, NULL, 2},
					      {NULL, 0, NULL, 0}};
	int option;

	while ((option =
		    getopt_long(argc, argv, "+aAbc:C:deEfFhHjlmMno:pPqtT:vxX#",
				longs, NULL)) != -1) {
		if (option == 1) {
			fputs(usage_text, stdout);
			exit(0);
		}
		if (option == 2)
			options->explain = true;
		else if (!take_output_option(options, option))
			take_option(options, option, optarg);
	}
	options->pc.names = argv + optind;
	options->pc.name_count = (size_t)(argc - optind);
	/* "postconf name=value" means -e. */
	for (size_t i = 0; i < options->pc.name_count; i++) {
		if (!options->edit && options->list == 0 &&
		    strchr(options->pc.names[i], '=') != NULL) {
			options->edit = true;
			options->what = EDIT_SET;
		}
	}
	if (options->edit && options->pc.name_count == 0)
		fail("-e, -X or -# takes at least one argument");
}

static void print_list(char list)
{
	static const char *const tables[] = {
	    "btree",   "cdb",	   "cidr",   "environ",	 "fail",     "hash",
	    "inline",  "internal", "lmdb",   "pcre",	 "pipemap",  "proxy",
	    "randmap", "regexp",   "static", "texthash", "unionmap", "unix",
	};

	switch (list) {
	case 'm':
		for (size_t i = 0; i < ARRAY_LEN(tables); i++)
			puts(tables[i]);
		break;
	case 'l':
		puts("fcntl\nflock\ndotlock");
		break;
	case 'a':
		puts("cyrus\ndovecot");
		break;
	default:
		puts("cyrus");
		break;
	}
}

static void load(struct options *options)
{
	struct conf_source source = {
	    .config_directory = options->config_directory,
	    .overrides = options->overrides,
	    .override_count = options->override_count,
	    .process_name = "postconf",
	    .service_name = "",
	    .defaults_only = options->pc.defaults && options->mode == 0,
	    .tolerant = true,
	};
	struct fault fault;

	if (conf_load(&source, &options->pc.conf, &fault) != RC_OK ||
	    (!options->pc.defaults && options->mode != 0 &&
	     master_cf_load_all(options->pc.mem, options->pc.conf,
				&options->pc.table, &fault) != RC_OK))
		fail(fault.text);
	/* For main.cf a missing master.cf only means fewer names. */
	if (options->pc.table == NULL &&
	    master_cf_load_all(options->pc.mem, options->pc.conf,
			       &options->pc.table, &fault) != RC_OK)
		options->pc.table = NULL;
}

static void warn(const struct postconf *pc)
{
	const char *const *list;
	size_t count;

	conf_warnings(pc->mem, pc->conf, pc->table, &list, &count);
	for (size_t i = 0; i < count; i++)
		fprintf(stderr, "postconf: warning: %s\n", list[i]);
}

static const char *folder(const struct options *options)
{
	const char *dir = options->config_directory;

	if (dir == NULL)
		dir = getenv("MAIL_CONFIG");
	return dir == NULL || *dir == '\0' ? PATH_CONFIG : dir;
}

static enum rc run(struct options *options, struct fault *fault)
{
	struct postconf *pc = &options->pc;
	enum rc rc;

	/* Must work on a main.cf that cannot be read. */
	if (options->edit && options->mode == 0)
		return postconf_edit_main(folder(options), options->what,
					  pc->names, pc->name_count, fault);
	pc->defaults = pc->defaults || options->explain;
	load(options);
	if (options->explain)
		return postconf_explain(pc, fault);
	if (options->edit)
		return postconf_edit_master(pc, options->mode, options->what,
					    fault);
	if (options->mode != 0)
		rc = postconf_print_master(pc, options->mode, fault);
	else
		rc = postconf_print(pc, fault);
	if (fflush(stdout) != 0 || ferror(stdout))
		return fault_set(fault, RC_CONF, "4.3.0",
				 "standard output: %m");
	if (rc == RC_OK && !pc->defaults)
		warn(pc);
	return rc;
}

int main(int argc, char **argv)
{
	struct options *options = mem_new(NULL, struct options);
	struct fault fault;
	enum rc rc;

	options->pc.mem = options;
	options->pc.classes = CLASS_ALL;
	parse_options(options, argc, argv);
	if (options->list != 0) {
		print_list(options->list);
		return 0;
	}
	rc = run(options, &fault);
	conf_unref(options->pc.conf);
	if (rc != RC_OK)
		fprintf(stderr, "postconf: fatal: %s\n", fault.text);
	talloc_free(options);
	return rc == RC_OK ? 0 : 1;
}
