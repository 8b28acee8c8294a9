/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener - the listening sockets of one service line: TCP for inet lines, a
 * socket file in private/ or public/ for the others.
 *
 * Unix services are SOCK_SEQPACKET (queue/wire.h), but for `spawn`, whose
 * clients (policy services) are byte streams, and unix-dgram lines.
 * Errors   RC_CONF with the line of master.cf: bad name, port in use, rights
 */
#pragma once

#include "master/slot.h"

/* Fill slot->listen_fds. The queue directory is the working directory. */
MUST_CHECK enum rc listener_open(const struct conf *conf,
				 const char *master_cf, struct slot *slot,
				 struct fault *fault);
/* The sockets of a line that stays, for its new slot. */
MUST_CHECK enum rc listener_share(struct slot *slot, const struct slot *old,
				  struct fault *fault);
/* What the sockets depend on; when it is the same, they are kept at reload. */
char *listener_text(TALLOC_CTX *mem, const struct conf *conf,
		    const struct master_entry *entry);
