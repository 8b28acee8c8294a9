/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

#include "conf/log_setup.h"
#include "sys/log.h"

enum { LINE_MAX_BYTES = 2000 };

static void usage(FILE *to)
{
	fputs("usage: postlog [-c DIR] [-i] [-p PRIORITY] [-t TAG] [TEXT...]\n"
	      "  Write TEXT, or each line of standard input, to the mail log.\n"
	      "  -c DIR  configuration directory\n"
	      "  -p      info (default), warn, error, fatal or panic\n"
	      "  -t TAG  name before the text instead of postfix/postlog\n"
	      "  -i      accepted: the process id is always there\n",
	      to);
}

static void log_text(const char *priority, const char *text)
{
	if (span_is(span_from(priority), "info"))
		log_info("%s", text);
	else if (span_is(span_from(priority), "warn"))
		log_warning("%s", text);
	else if (span_is(span_from(priority), "error"))
		log_error("%s", text);
	else
		log_info("%s: %s", priority, text);
	fprintf(stderr, "postlog: %s%s%s\n",
		span_is(span_from(priority), "info") ? "" : priority,
		span_is(span_from(priority), "info") ? "" : ": ", text);
}

static bool priority_known(const char *text)
{
	static const char *const known[] = { "info", "warn", "error", "fatal",
					     "panic" };

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (span_is(span_from(text), known[i]))
			return true;
	return false;
}

static void log_input(const char *priority)
{
	char line[LINE_MAX_BYTES];

	while (fgets(line, sizeof(line), stdin) != NULL) {
		struct span text = span_trim(span_from(line));

		line[text.ptr - line + (ssize_t)text.len] = '\0';
		log_text(priority, text.ptr);
	}
}

static void log_arguments(const char *priority, int argc, char **argv)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *text = mem_strdup(tmp, argv[0]);

	for (int i = 1; i < argc; i++)
		text = mem_printf(tmp, "%s %s", text, argv[i]);
	log_text(priority, text);
}

int main(int argc, char **argv)
{
	static const struct option longs[] = { { "help", no_argument, NULL, 'h' },
					       { NULL, 0, NULL, 0 } };
	struct conf_source source = { .process_name = "postlog",
				      .service_name = "postlog" };
	const char *priority = "info", *tag = NULL;
	struct fault fault;
	struct conf *conf;
	int c, log_fd = -1;

	log_open("postfix", "postlog", LOG_TO_STDERR, -1, LOG_MAIL);
	while ((c = getopt_long(argc, argv, "c:ip:t:vh", longs, NULL)) != -1) {
		if (c == 'c')
			source.config_directory = optarg;
		else if (c == 'p')
			priority = optarg;
		else if (c == 't')
			tag = optarg;
		else if (c == 'h' || c == '?') {
			usage(c == 'h' ? stdout : stderr);
			return c == 'h' ? 0 : 1;
		}
	}
	if (!priority_known(priority))
		log_fatal("priority \"%s\": use info, warn, error, fatal or "
			  "panic",
			  priority);
	if (conf_load(&source, &conf, &fault) != RC_OK ||
	    log_file_open(conf, &log_fd, &fault) == RC_CONF)
		log_fatal("%s", fault.text);
	if (tag == NULL)
		log_setup(conf, "postlog", log_fd);
	else
		log_setup_as(conf, tag, "", log_fd);
	if (optind < argc)
		log_arguments(priority, argc - optind, argv + optind);
	else
		log_input(priority);
	conf_unref(conf);
	return 0;
}
