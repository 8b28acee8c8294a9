/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "command/postern_priv.h"
#include "conf/log_setup.h"
#include "sys/log.h"

enum needs { NEEDS_NOTHING, NEEDS_CONF };

struct subcommand {
	const char *name, *arguments, *help;
	enum needs needs;
	int (*run)(struct postern *postern);
};

static const struct subcommand subcommands[] = {
#define SUBCOMMAND(text, function, needs, arguments, help) \
	{ text, arguments, help, NEEDS_##needs, postern_##function },
#include "command/subcommands.def"
#undef SUBCOMMAND
};

void postern_usage(FILE *to, const char *program)
{
	fprintf(to,
		"usage: %s [-c DIR] [-v] COMMAND\n"
		"  -c DIR  configuration directory (default " PATH_CONFIG ")\n"
		"commands:\n",
		program);
	for (size_t i = 0; i < ARRAY_LEN(subcommands); i++) {
		const struct subcommand *s = &subcommands[i];
		char left[64];

		snprintf(left, sizeof(left), "%s%s%s", s->name,
			 s->arguments[0] == '\0' ? "" : " ", s->arguments);
		fprintf(to, "  %-16s %s\n", left, s->help);
	}
}

bool postern_usage_of(const char *name, FILE *to)
{
	for (size_t i = 0; i < ARRAY_LEN(subcommands); i++) {
		const struct subcommand *s = &subcommands[i];

		if (strcmp(s->name, name) != 0)
			continue;
		fprintf(to, "postern %s%s%s - %s\n", s->name,
			s->arguments[0] == '\0' ? "" : " ", s->arguments,
			s->help);
		return true;
	}
	return false;
}

/* To the person, and to the log. Once, when there is no log but standard
 * error. */
static void say_both(const struct postern *postern, const char *text)
{
	if (postern->conf == NULL) {
		fprintf(stderr, "%s: %s\n", postern->program, text);
		return;
	}
	fprintf(stderr, "%s/postfix-script: %s\n", postern->conf->v.syslog_name,
		text);
	if (log_is_kept())
		log_info("%s", text);
}

void postern_announce(const struct postern *postern, const char *format, ...)
{
	char text[FAULT_TEXT_MAX_BYTES * 2];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	say_both(postern, text);
}

void postern_die(const struct postern *postern, const char *format, ...)
{
	char text[FAULT_TEXT_MAX_BYTES * 2];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	postern_announce(postern, "fatal: %s", text);
	exit(1);
}

void postern_say(void *postern, const char *text)
{
	postern_announce(postern, "%s", text);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

static const char *options_parse(int argc, char **argv, const char *program,
				 int *ret_verbose)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 }
	};
	const char *config_directory = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "+c:DvhV", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			config_directory = optarg;
			break;
		case 'v':
			++*ret_verbose;
			break;
		case 'D':
			break;
		case 'h':
			postern_usage(stdout, program);
			exit(0);
		case 'V':
			puts("postern " POSTERN_VERSION);
			exit(0);
		default:
			postern_usage(stderr, program);
			exit(1);
		}
	}
	return config_directory;
}

static void conf_get_ready(struct postern *postern, int verbose)
{
	const struct conf_source source = {
		.config_directory = postern->config_directory,
		.process_name = "postfix-script",
		.service_name = "postfix-script",
	};
	struct fault fault;
	int log_fd = -1;

	if (conf_load(&source, &postern->conf, &fault) != RC_OK)
		log_fatal("%s", fault.text);
	if (geteuid() == 0 &&
	    log_file_open(postern->conf, &log_fd, &fault) == RC_CONF)
		log_fatal("%s", fault.text);
	log_setup(postern->conf, "postfix-script", log_fd);
	log_set_verbose(verbose);
}

/* What was not written must not look complete; a reader that has seen enough
 * is no error. */
static int output_end(const struct postern *postern, int status)
{
	const bool is_lost = fflush(stdout) != 0 || ferror(stdout);

	if (!is_lost || errno == EPIPE)
		return status;
	fprintf(stderr, "%s %s: standard output: %s\n", postern->program,
		postern->name, strerror(errno));
	return status != 0 ? status : 1;
}

int main(int argc, char **argv)
{
	struct postern postern = { .program = base_name(argv[0]) };
	int verbose = 0;

	umask(022);
	log_open("postfix", postern.program, LOG_TO_STDERR, -1, LOG_MAIL);
	postern.config_directory =
		options_parse(argc, argv, postern.program, &verbose);
	if (optind >= argc) {
		postern_usage(stderr, postern.program);
		return 1;
	}
	postern.argc = argc - optind;
	postern.argv = argv + optind;
	postern.name = argv[optind];
	optind = 0; /* a subcommand may call getopt again */
	for (size_t i = 0; i < ARRAY_LEN(subcommands); i++) {
		const struct subcommand *s = &subcommands[i];

		if (!span_is(span_from(postern.name), s->name))
			continue;
		if (s->needs == NEEDS_CONF)
			conf_get_ready(&postern, verbose);
		return output_end(&postern, s->run(&postern));
	}
	fprintf(stderr, "%s: unknown command \"%s\"\n", postern.program,
		postern.name);
	postern_usage(stderr, postern.program);
	return 1;
}
