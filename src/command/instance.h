/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance - one mail system: its directories, its master process.
 *
 * Errors   RC_CONF what is wrong, where, and what to do
 */
#pragma once

#include <sys/types.h>

#include "conf/conf.h"

/* Told what was made or repaired, or what the operator should know. */
typedef void instance_say_fn(void *arg, const char *text);

/* Make missing directories, repair owners and rights (root only), and look for
 * what would keep the system from running. Mail of another mail server in the
 * same queue directory is reported, never touched. Returns the number of
 * problems left. */
int instance_check(const struct conf *conf, bool repair, instance_say_fn *say,
		   void *arg);

/* The process id of the running master; RC_NONE: none runs. */
MUST_CHECK enum rc instance_master_pid(const struct conf *conf, pid_t *ret_pid,
				       struct fault *fault);
