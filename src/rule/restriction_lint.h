/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restriction_lint - restriction lists that do not do what they seem to.
 *
 * Shape    one finding a line: "/etc/postfix/main.cf, line 12:
 *          smtpd_client_restrictions: permit_x is never reached: ..." with what
 *          is wrong, why, and what to do
 * Holds    a list that works as its author means it is not reported: what needs
 *          a look at tables that cannot be listed is left alone
 * Tables   those that are files are opened and read; no server is asked
 * Threads  no state
 */
#pragma once

#include "conf/conf.h"

typedef void restriction_lint_fn(void *arg, const char *text);

/* Returns the number of findings. */
int restriction_lint(struct conf *conf, restriction_lint_fn *say, void *arg);
