/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn - start a service program with the descriptors, arguments and
 * environment that conf/service.h promises.
 *
 * Errors   RC_TEMP fork or socketpair failed; an exec that fails is the child's
 *          exit status 1 and a line in the log
 */
#pragma once

#include "master/slot.h"

struct spawn_context {
	const struct conf *conf;
	int log_fd; /* -1: none */
	int secret_fd; /* memory for TLS ticket keys; -1: none */
};

/* The process becomes slot->process; it is a child of mem. */
MUST_CHECK enum rc spawn_service(TALLOC_CTX *mem,
				 const struct spawn_context *context,
				 struct slot *slot, const char *path,
				 struct fault *fault);
