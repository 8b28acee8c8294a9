/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postern_priv - what the subcommands of postern share. A new one is a line in
 * subcommands.def and a file postern_NAME.c.
 *
 * Output   answers to standard output; what went wrong to standard error and,
 *          where the configuration is loaded, to the log
 * Exit     0 done; 1 not done, and a line has said why
 */
#pragma once

#include <stdio.h>
#include <sys/types.h>

#include "conf/conf.h"

struct postern {
	struct conf *conf;	      /* NULL for what needs NOTHING */
	const char *config_directory; /* -c, or NULL */
	const char *program;	      /* "postern" or "postfix" */
	const char *name;	      /* the subcommand */
	int argc; /* of the subcommand: argv[0] is its name, as in main() */
	char **argv;
};

/* Both to the person and to the log, as the reference's script does. */
void postern_announce(const struct postern *postern, const char *format, ...)
	PRINTF(2, 3);
NORETURN void postern_die(const struct postern *postern, const char *format,
			  ...) PRINTF(2, 3);
void postern_say(void *postern, const char *text); /* announce, as callback */
void postern_usage(FILE *to, const char *program); /* all subcommands */

/* One of them, in a line; false: there is none of that name. */
bool postern_usage_of(const char *name, FILE *to);

void postern_require_root(const struct postern *postern);
/* The pid of the master; ends the program when there is none. */
pid_t postern_require_running(const struct postern *postern);
void postern_signal_master(const struct postern *postern, pid_t pid,
			   int number);

#define SUBCOMMAND(text, function, needs, arguments, help) \
	int postern_##function(struct postern *postern);
#include "command/subcommands.def"
#undef SUBCOMMAND
