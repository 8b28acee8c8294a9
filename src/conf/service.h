/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service - what a service program is told when the master starts it, and how
 * it gives up its privileges.
 *
 * The master starts   PROGRAM [-o of the master.cf line]
 *                     -n SERVICE -t TYPE -s COUNT -l MAXPROC [-u] [-c]
 *                     [arguments of the line]
 * with MAIL_CONFIG set to the configuration directory and these files open:
 *   3       control: SOCK_SEQPACKET to the master (see queue/wire.h, CONTROL_*)
 *   4       the log file of maillog_file, or /dev/null
 *   5 ...   COUNT listening sockets
 *   then, for type inet, memory for TLS ticket keys (net/tls.h)
 * A wrapper script that ends in `exec PROGRAM $@` keeps all of this.
 * A process drains and ends when the master says so or closes the control
 * socket: it closes its listening sockets, finishes what it began, exits 0.
 *
 * Order of a program's main: service_start, open tables and keys (still root),
 * service_confine, work.
 * Errors   of service_start: logged, exit 1 (the operator sees one line)
 */
#pragma once

#include "conf/conf.h"

enum {
	SERVICE_CONTROL_FD = 3,
	SERVICE_LOG_FD = 4,
	SERVICE_LISTEN_FD = 5,
	SERVICE_LISTEN_MAX = 256,
};

struct service {
	const char *name;    /* "smtp" */
	const char *type;    /* "inet" */
	const char *program; /* "smtpd" */
	struct conf *conf;   /* one reference is the service's */
	int control_fd;
	int listen_count; /* fds SERVICE_LISTEN_FD + i, non-blocking */
	int secret_fd;	  /* memory for TLS ticket keys; 0: none */
	int max_processes;
	bool unprivileged, chroot;
	/* Arguments that are not options of every service (flags=..., user=...). */
	const char *const *argv;
	size_t argc;
	struct conf_source source; /* what conf was loaded from */
};

/* Parse the command line, load the configuration, open the log. */
struct service *service_start(TALLOC_CTX *mem, int argc, char **argv);
/* For services that reload in place (CONTROL_RELOAD): read the configuration
 * again, with the same overrides, into service->conf. What still works with the
 * old one has a reference of its own. On failure nothing changes. */
MUST_CHECK enum rc service_reload(struct service *service,
				  struct fault *fault);
/* chroot to queue_directory when asked, become $mail_owner when asked (for
 * good: uid, gid and groups), set no_new_privs when no longer root, raise
 * RLIMIT_NOFILE to its hard limit, chdir to queue_directory. */
MUST_CHECK enum rc service_confine(struct service *service,
				   struct fault *fault);
