/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "command/instance.h"
#include "command/postern_priv.h"
#include "command/qmgr_client.h"
#include "conf/master_cf.h"

enum { STOP_LIMIT_MS = 15000, STOP_STEP_US = 20000 };

static bool is_running(const struct postern *postern, pid_t *ret_pid)
{
	struct fault fault;
	enum rc rc = instance_master_pid(postern->conf, ret_pid, &fault);

	if (rc != RC_OK && rc != RC_NONE)
		postern_die(postern, "%s", fault.text);
	return rc == RC_OK;
}

pid_t postern_require_running(const struct postern *postern)
{
	pid_t pid;

	if (is_running(postern, &pid))
		return pid;
	postern_die(postern, "the Postfix mail system is not running");
}

void postern_require_root(const struct postern *postern)
{
	if (geteuid() == 0)
		return;
	fprintf(stderr, "%s: fatal: only root may do this\n", postern->program);
	exit(1);
}

void postern_signal_master(const struct postern *postern, pid_t pid, int number)
{
	if (kill(pid, number) != 0)
		postern_die(postern, "signal master, pid %d: %m", (int)pid);
}

static bool wait_for_end(const struct postern *postern, int limit_ms)
{
	uint64_t end = clock_mono_ms() + (uint64_t)limit_ms;
	pid_t pid;

	while (is_running(postern, &pid)) {
		if (limit_ms >= 0 && clock_mono_ms() > end)
			return false;
		usleep(STOP_STEP_US);
	}
	return true;
}

NORETURN static void exec_master(struct postern *postern, bool foreground)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *path =
		mem_printf(tmp, "%s/master", postern->conf->v.daemon_directory);
	const char *argv[] = { path, "-c", postern->conf->config_directory,
			       foreground ? "-s" : NULL, NULL };

	execv(path, (char *const *)argv);
	postern_die(postern, "exec %s: %m", path);
}

static void start(struct postern *postern, bool foreground)
{
	pid_t pid;

	postern_require_root(postern);
	if (is_running(postern, &pid)) {
		postern_die(postern,
			    "the Postfix mail system is already running");
	}
	if (instance_check(postern->conf, true, postern_say, postern) > 0) {
		postern_die(postern, "not started, see above");
	}
	postern_announce(postern, "starting the Postfix mail system");
	exec_master(postern, foreground);
}

int postern_start(struct postern *postern)
{
	start(postern, false);
	return 1;
}

int postern_start_fg(struct postern *postern)
{
	start(postern, true);
	return 1;
}

int postern_stop(struct postern *postern)
{
	pid_t pid;

	postern_require_root(postern);
	pid = postern_require_running(postern);
	postern_announce(postern, "stopping the Postfix mail system");
	postern_signal_master(postern, pid, SIGTERM);
	if (wait_for_end(postern, STOP_LIMIT_MS))
		return 0;
	postern_announce(
		postern,
		"warning: the master, pid %d, still runs; `%s abort` ends it",
		(int)pid, postern->program);
	return 1;
}

int postern_abort(struct postern *postern)
{
	pid_t pid;

	postern_require_root(postern);
	pid = postern_require_running(postern);
	postern_announce(postern, "aborting the Postfix mail system");
	postern_signal_master(postern, pid, SIGQUIT);
	if (wait_for_end(postern, STOP_LIMIT_MS))
		return 0;
	postern_signal_master(postern, pid, SIGKILL);
	return 0;
}

int postern_drain(struct postern *postern)
{
	postern_require_root(postern);
	postern_signal_master(postern, postern_require_running(postern),
			      SIGUSR1);
	return wait_for_end(postern, -1) ? 0 : 1;
}

int postern_reload(struct postern *postern)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct master_table *table;
	struct fault fault;
	pid_t pid;

	postern_require_root(postern);
	pid = postern_require_running(postern);
	if (master_cf_load(tmp, postern->conf, &table, &fault) != RC_OK) {
		postern_announce(postern, "fatal: %s; nothing was reloaded",
				 fault.text);
		return 1;
	}
	postern_announce(postern, "refreshing the Postfix mail system");
	postern_signal_master(postern, pid, SIGHUP);
	return 0;
}

int postern_status(struct postern *postern)
{
	pid_t pid;

	if (!is_running(postern, &pid)) {
		postern_announce(postern,
				 "the Postfix mail system is not running");
		return 1;
	}
	postern_announce(postern, "the Postfix mail system is running: PID: %d",
			 (int)pid);
	return 0;
}

int postern_flush(struct postern *postern)
{
	struct fault fault;

	pid_t pid;
	enum rc rc;

	if (!is_running(postern, &pid)) {
		postern_announce(postern, "fatal: Cannot flush mail queue - "
					  "mail system is down");
		return EX_UNAVAILABLE;
	}
	rc = qmgr_client_flush(postern->conf, "", &fault);
	if (rc == RC_OK)
		return 0;
	postern_announce(postern, "fatal: flush: %s", fault.text);
	return rc == RC_NONE ? EX_UNAVAILABLE : 1;
}
