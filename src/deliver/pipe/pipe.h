/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipe - delivery to a command of master.cf:
 *        flags=DRX user=vmail:vmail argv=/usr/bin/x -f ${sender} ${recipient}
 *
 * Holds    the command runs as the user of the line, never as root or
 *          mail_owner; an argument with a macro about one recipient stands
 *          there once for each; no shell looks at it
 * Errors   of pipe_open: RC_CONF, what is wrong with the line
 * Threads  immutable after open
 * See      pipe(8)
 */
#pragma once

#include "conf/service.h"
#include "deliver/delivery.h"
#include "sys/privilege.h"

enum { PIPE_ARGS_MAX = 1000 };

struct pipe_settings {
	const char *flags;
	const char *directory;	 /* NULL: queue_directory */
	const char *null_sender; /* what ${sender} is for bounces */
	uint64_t size_max_bytes; /* 0: no limit */
	bool crlf;
	struct privilege_user *user;
	const char *const *argv;
	size_t argc;
	int time_limit_s;
};

/* The words of the master.cf line. */
MUST_CHECK enum rc pipe_settings_parse(TALLOC_CTX *mem,
				       const struct service *service,
				       struct pipe_settings *ret_settings,
				       struct fault *fault);

struct pipe;

MUST_CHECK enum rc pipe_open(TALLOC_CTX *mem, struct service *service,
			     struct pipe **ret_pipe, struct fault *fault);
void pipe_deliver(void *pipe, struct delivery *delivery);
