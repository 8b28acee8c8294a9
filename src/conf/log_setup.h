/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_setup - open the log as main.cf says: maillog_file (the descriptor that
 * the master or command opened), else syslog with syslog_facility; the tag is
 * syslog_name.
 */
#pragma once

#include "conf/conf.h"

void log_setup(const struct conf *conf, const char *program, int log_fd);
/* The same under another name than syslog_name. */
void log_setup_as(const struct conf *conf, const char *name,
		  const char *program, int log_fd);
/* Open maillog_file for appending, close-on-exec; RC_NONE: none is set. The
 * file must lie below one of maillog_file_prefixes. */
MUST_CHECK enum rc log_file_open(const struct conf *conf, int *ret_fd,
				 struct fault *fault);
