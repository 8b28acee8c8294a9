/* SPDX-License-Identifier: Apache-2.0 */
/*
 * privilege - who this process is, and how it becomes somebody lesser for good.
 *
 * Errors   RC_NONE no such user or group; RC_TEMP the user database cannot be
 *          asked now; RC_CONF the kernel refuses
 * Threads  the privilege_become family before other threads exist; look-ups any
 */
#pragma once

#include <sys/types.h>

#include "base/fault.h"
#include "base/mem.h"

struct privilege_user {
	const char *name, *home, *shell;
	uid_t uid;
	gid_t gid;
};

MUST_CHECK enum rc privilege_user_find(TALLOC_CTX *mem, const char *name,
				       struct privilege_user **ret_user,
				       struct fault *fault);
MUST_CHECK enum rc privilege_user_find_uid(TALLOC_CTX *mem, uid_t uid,
					   struct privilege_user **ret_user,
					   struct fault *fault);
MUST_CHECK enum rc privilege_group_find(const char *name, gid_t *ret_gid,
					struct fault *fault);

/* Real, effective and saved ids, and the groups: those of the user database
 * with `all_groups`, otherwise only gid. Checks that there is no way back.
 * Does nothing when the process is that user already and is not root. */
MUST_CHECK enum rc privilege_become(const struct privilege_user *user,
				    bool all_groups, struct fault *fault);
MUST_CHECK enum rc privilege_chroot(const char *directory, struct fault *fault);
MUST_CHECK enum rc privilege_no_new_privs(struct fault *fault);
/* Soft limit of open files up to the hard one; returns it. */
size_t privilege_raise_files(void);
