/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command - gives a message to a program on its standard input and reads the
 * outcome from its exit status.
 *
 * Holds    the program runs as `user`, in its own session, with the environment
 *          given and nothing else of ours; when the time is over it is killed
 *          with all that it started
 * Errors   by sysexits: 75 and 71 RC_TEMP, other failures RC_PERM; an output
 *          that begins with a status code ("4.2.2 mailbox full") decides
 *          instead. Texts as the reference has them
 * Limits   OUTPUT is kept up to 4 KB, the rest is read and dropped
 * Threads  any
 */
#pragma once

#include "deliver/mail_text.h"
#include "sys/privilege.h"

struct command {
	const char *const *argv; /* NULL-terminated, argv[0] is the program */
	const char *shown;	 /* for messages: the command as written */
	const char *const *env;	 /* NULL-terminated */
	const char *directory;	 /* NULL: ours */
	const struct privilege_user *user;
	int time_limit_s;
};

/* *ret_output (may be NULL): what it wrote, on one line. */
MUST_CHECK enum rc command_run(TALLOC_CTX *mem, const struct command *command,
			       const struct mail_text *text,
			       const char **ret_output, struct fault *fault);
/* argv for a command line: run directly when it is plain words that begin with
 * a path, else by `shell` ("/bin/sh -c" when empty). */
const char *const *command_argv(TALLOC_CTX *mem, const char *line,
				const char *shell);
