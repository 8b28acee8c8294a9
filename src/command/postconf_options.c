/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "command/postconf_priv.h"

enum { OVERRIDE_ALLOC = 32 };

static const char usage_text[] =
	"usage: postconf [-c DIR] [-dfhHjnoqvx] [-C CLASS] [-o NAME=VALUE] "
	"[NAME...]\n"
	"       postconf [-c DIR] [-e] NAME=VALUE...\n"
	"       postconf [-c DIR] -X|-# NAME...\n"
	"       postconf [-c DIR] -M|-F|-P [-efhHjoqvxX#] "
	"[SERVICE[/TYPE[/NAME]][=VALUE]...]\n"
	"       postconf [-c DIR] -b|-t [TEMPLATE_FILE]\n"
	"       postconf --explain [NAME...]\n"
	"       postconf -m | -l | -a | -A | -T MODE\n"
	"  Show or change the configuration.\n"
	"  -c DIR  configuration directory\n"
	"  -d      defaults instead of what is set\n"
	"  -n      only what is set in main.cf\n"
	"  -x      values with their $names replaced\n"
	"  -h, -H  without the names; without the values\n"
	"  -f      long lines folded\n"
	"  -j      JSON, one object a line\n"
	"  -C      only a class: builtin, service, user or all\n"
	"  -o      as if main.cf said so\n"
	"  -p      main.cf (what is done without -M, -F and -P)\n"
	"  -q      without warnings; -v with the files that are read\n"
	"  -e      set; -X remove; -# comment out\n"
	"  -M      lines of master.cf; -F their fields; -P their -o options\n"
	"  -b, -t  texts of bounce messages; with and without values in them\n"
	"  -m      types of lookup tables; -l of locks; -a, -A of SASL "
	"(server,\n"
	"          client)\n"
	"  -T      compile-version, run-version or public-key-algorithms of "
	"TLS\n"
	"  --explain  what parameters mean\n";

/* What cannot be together. Each letter of `not` with this one: "specify one
 * of", or where `with` is set "with option ..., do not specify". */
static const struct {
	char letter;
	bool with;
	const char * not ;
} conflicts[] = {
	{ 'a', false, "AbFlmMpPtT" }, { 'a', true, "defhHjnoxX#" },
	{ 'A', false, "bFlmMpPtT" },  { 'A', true, "defhHjnoxX#" },
	{ 'b', false, "FlmMpPtT" },   { 'b', true, "defhHjnoxX#" },
	{ 'F', false, "lmMpPtT" },    { 'F', true, "dnX#" },
	{ 'l', false, "mMpPtT" },     { 'l', true, "defhHjnoxX#" },
	{ 'm', false, "MpPtT" },      { 'm', true, "defhHjnoxX#" },
	{ 'M', false, "pPtT" },	      { 'M', true, "dhHn" },
	{ 'p', false, "PtT" },	      { 'P', false, "tT" },
	{ 'P', true, "dn#" },	      { 't', false, "T" },
	{ 't', true, "defhHjnoxX#" }, { 'T', true, "defhHjnoxX#" },
	{ 'd', false, "enoX#" },      { 'e', false, "fhHjnoxX#" },
	{ 'X', false, "fhHjnox#" },   { '#', false, "fhHjnox" },
	{ 'h', false, "H" },
};

NORETURN void postconf_fail(const char *text)
{
	fprintf(stderr, "postconf: fatal: %s\n", text);
	exit(1);
}

static void check_conflicts(const bool *given)
{
	for (size_t i = 0; i < ARRAY_LEN(conflicts); i++) {
		char letter = conflicts[i].letter;

		for (const char *p = conflicts[i].not ; *p != '\0'; p++) {
			if (!given[(unsigned char)letter] ||
			    !given[(unsigned char)*p])
				continue;
			fprintf(stderr,
				conflicts[i].with
					? "postconf: fatal: with option -%c, "
					  "do "
					  "not specify -%c\n"
					: "postconf: fatal: specify one of -%c "
					  "-%c\n",
				letter, *p);
			exit(1);
		}
	}
}

static unsigned parse_class(const char *text)
{
	static const struct {
		const char *name;
		unsigned classes;
	} known[] = { { "builtin", CLASS_BUILTIN },
		      { "service", CLASS_SERVICE },
		      { "user", CLASS_USER },
		      { "all", CLASS_ALL } };
	struct span rest = span_from(text), word;
	unsigned classes = 0;

	while (span_token(&rest, ", ", &word)) {
		unsigned found = 0;

		for (size_t i = 0; i < ARRAY_LEN(known); i++)
			if (span_is_nocase(word, known[i].name))
				found = known[i].classes;
		if (found == 0) {
			fprintf(stderr,
				"postconf: fatal: unknown -C option value "
				"\"%.*s\" in \"%s\"; there are builtin, "
				"service, user and all\n",
				SPAN_FMT(word), text);
			exit(1);
		}
		classes |= found;
	}
	return classes;
}

static void add_override(struct postconf_options *options, const char *text)
{
	size_t n = options->override_count;

	if (n % OVERRIDE_ALLOC == 0)
		options->overrides =
			mem_resize(options, options->overrides, const char *,
				   n + OVERRIDE_ALLOC);
	options->overrides[n] = text;
	options->override_count++;
}

static bool take_output_option(struct postconf *pc, int option)
{
	const struct {
		int letter;
		bool *flag;
	} flags[] = {
		{ 'd', &pc->defaults },	  { 'f', &pc->fold },
		{ 'h', &pc->hide_names }, { 'H', &pc->hide_values },
		{ 'j', &pc->json },	  { 'n', &pc->set_only },
		{ 'q', &pc->quiet },	  { 'v', &pc->verbose },
		{ 'x', &pc->expand },
	};

	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (flags[i].letter == option) {
			*flags[i].flag = true;
			return true;
		}
	return option == 'p';
}

static void take_option(struct postconf_options *options, int option,
			const char *value)
{
	switch (option) {
	case 'c':
		options->config_directory = value;
		break;
	case 'C':
		options->pc.classes = parse_class(value);
		break;
	case 'o':
		add_override(options, value);
		break;
	case 'M':
	case 'F':
	case 'P':
		options->mode = (char)option;
		break;
	case 'T':
		options->tls_mode = value;
		/* fall through */
	case 'a':
	case 'A':
	case 'b':
	case 'l':
	case 'm':
	case 't':
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
	default:
		fputs(usage_text, stderr);
		exit(1);
	}
}

/* "postconf name=value" means -e. */
static void check_arguments(struct postconf_options *options)
{
	struct postconf *pc = &options->pc;

	for (size_t i = 0; i < pc->name_count; i++) {
		if (options->edit || options->list != 0 ||
		    strchr(pc->names[i], '=') == NULL)
			continue;
		if (pc->defaults || pc->fold || pc->hide_names || pc->json ||
		    pc->hide_values || pc->set_only || pc->expand ||
		    options->override_count > 0)
			postconf_fail("NAME=VALUE sets a parameter: it does "
				      "not go with -d, -f, -h, -H, -j, -n, -o "
				      "and -x");
		options->edit = true;
		options->what = EDIT_SET;
	}
	if (!options->edit || pc->name_count > 0)
		return;
	if (options->what == EDIT_SET)
		postconf_fail("-e requires name=value argument");
	if (options->mode != 0)
		postconf_fail("missing service argument");
	postconf_fail("-X or -# requires at least one parameter name");
}

void postconf_options_parse(struct postconf_options *options, int argc,
			    char **argv)
{
	static const struct option longs[] = { { "help", no_argument, NULL, 1 },
					       { "explain", no_argument, NULL,
						 2 },
					       { NULL, 0, NULL, 0 } };
	bool given[256] = { false };
	int option;

	while ((option = getopt_long(argc, argv,
				     "+aAbc:C:deEfFhHjlmMno:pPqtT:vxX#", longs,
				     NULL)) != -1) {
		if (option == 1) {
			fputs(usage_text, stdout);
			exit(0);
		}
		if (option == 2)
			options->explain = true;
		else if (!take_output_option(&options->pc, option))
			take_option(options, option, optarg);
		given[option & 255] = true;
	}
	check_conflicts(given);
	options->pc.names = argv + optind;
	options->pc.name_count = (size_t)(argc - optind);
	check_arguments(options);
}
