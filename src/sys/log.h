/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log - one line for the operator, in the reference's form:
 *       "postfix/smtpd[123]: warning: text".
 *
 * The one piece of process-wide state of the house (see sys/locks.def): a
 * process has one log. Sinks: syslog (the socket is opened at once, so that it
 * works in a chroot), a file descriptor that the master opened
 * (maillog_file: "Nov 21 20:05:05 host tag[pid]: text"), or standard error.
 *
 * Limits   a line is cut at 2,048 bytes; bytes that are not printable become
 * '?' Threads  any; one write or send per line
 */
#pragma once

#include "base/compiler.h"

enum log_sink { LOG_TO_STDERR, LOG_TO_SYSLOG, LOG_TO_FD };

/* `syslog_name` "postfix" or "postfix/submission", `program` "smtpd" (or "": the
 * name is the whole tag). The fd is
 * used with LOG_TO_FD only and stays the caller's. facility as in syslog(3). */
void log_open(const char *syslog_name, const char *program, enum log_sink sink,
	      int fd, int facility);
/* Does a line go further than standard error: to a file, or to a syslogd that
 * listens? */
bool log_is_kept(void);
void log_set_verbose(int level);
int log_verbose(void);

void log_info(const char *format, ...) PRINTF(1, 2);
void log_warning(const char *format, ...) PRINTF(1, 2); /* "warning: " */
void log_error(const char *format, ...) PRINTF(1, 2);	/* "error: " */
/* As another program of the same instance: the queue id lines that log readers
 * look for under "postfix/cleanup". */
void log_info_as(const char *program, const char *format, ...) PRINTF(2, 3);
void log_warning_as(const char *program, const char *format, ...) PRINTF(2, 3);
void log_debug(const char *format, ...) PRINTF(1, 2); /* with -v only */
/* "fatal: ", then exit(1). Stages and commands only. */
NORETURN void log_fatal(const char *format, ...) PRINTF(1, 2);
