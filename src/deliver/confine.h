/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confine - an agent that only talks to the network and to qmgr gives up the
 * file system: it can read what tables, certificates and the resolver need, and
 * write, make or run nothing.
 *
 * Errors   RC_CONF as service_confine; a kernel that cannot do it is a line in
 *          the log
 * Threads  before other threads exist; after tables and keys are open
 */
#pragma once

#include "conf/service.h"

/* service_confine and more. `texts`: parameter values that name tables or
 * files; the directories of their absolute paths stay readable. NULL ends. */
MUST_CHECK enum rc confine_reader(struct service *service,
				  const char *const *texts,
				  struct fault *fault);
