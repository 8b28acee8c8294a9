/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor - the loop of the master: starts services that are eager or asked
 * for, restarts what dies, wakes, reloads, drains and stops.
 *
 * Signals  TERM, INT  stop: services have STOP_WAIT_MS to finish
 *          USR1       drain: the same without a limit
 *          QUIT       abort: at once
 *          HUP        reload; a configuration with an error changes nothing
 *          USR2       open the log file anew
 */
#pragma once

#include "conf/conf.h"

struct supervisor;

/* Opens every listening socket; RC_CONF with a line for the operator. */
MUST_CHECK enum rc supervisor_open(TALLOC_CTX *mem, struct conf *conf,
				   int log_fd,
				   struct supervisor **ret_supervisor,
				   struct fault *fault);
/* Runs until it is told to stop and all services have ended. */
void supervisor_run(struct supervisor *supervisor);
