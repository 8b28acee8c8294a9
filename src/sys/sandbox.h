/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox - what a process that has started up no longer needs.
 *
 * Shape    sandbox_syscalls takes away calls that no mail program makes after
 *          its start (loading modules, mounts, tracing others, namespaces, raw
 *          I/O ports, clock setting, ...): they fail with EPERM.
 *          sandbox_paths leaves only the named trees of the file system; files
 *          already open stay usable. Both need no_new_privs and cannot be
 *          undone; children inherit them.
 * Errors   RC_NONE the kernel does not have it: the text is a line for the log,
 *          and nothing has changed; RC_CONF a path does not exist
 * Threads  before other threads exist
 */
#pragma once

#include "base/fault.h"
#include "base/mem.h"

enum sandbox_right {
	SANDBOX_READ = 1,   /* files and directories */
	SANDBOX_WRITE = 2,  /* files that exist */
	SANDBOX_CREATE = 4, /* and remove, rename, link */
	SANDBOX_EXECUTE = 8,
	SANDBOX_OPTIONAL = 16, /* the path may be missing */
};

struct sandbox_path {
	const char *path;
	unsigned rights;
};

MUST_CHECK enum rc sandbox_syscalls(struct fault *fault);
MUST_CHECK enum rc sandbox_paths(const struct sandbox_path *paths, size_t count,
				 struct fault *fault);
