/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "command/postern_priv.h"
#include "sys/log.h"

static void compress(const struct postern *postern, const char *path)
{
	const char *program = postern->conf->v.maillog_file_compressor;
	pid_t pid = fork();

	if (pid == 0) {
		execlp(program, program, path, (char *)NULL);
		log_fatal("exec %s: %m", program);
	}
	if (pid < 0)
		log_warning("compress %s: %m", path);
}

int postern_logrotate(struct postern *postern)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *path = postern->conf->v.maillog_file;
	const char *pattern = postern->conf->v.maillog_file_rotate_suffix;
	time_t now = time(NULL);
	char suffix[64], *target;
	struct tm local;

	postern_require_root(postern);
	if (path[0] == '\0' || span_starts(span_from(path), "/dev/")) {
		postern_announce(postern,
				 "fatal: maillog_file = \"%s\" is no file to "
				 "rotate",
				 path);
		return 1;
	}
	localtime_r(&now, &local);
	if (strftime(suffix, sizeof(suffix), pattern, &local) == 0)
		postern_die(postern,
			    "maillog_file_rotate_suffix = %s: too long",
			    pattern);
	target = mem_printf(tmp, "%s.%s", path, suffix);
	if (rename(path, target) != 0)
		postern_die(postern, "rename %s to %s: %m", path, target);
	postern_signal_master(postern, postern_require_running(postern),
			      SIGUSR2);
	sleep(1); /* lines of writers that had the old file open */
	compress(postern, target);
	return 0;
}
