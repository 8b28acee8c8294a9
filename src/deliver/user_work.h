/* SPDX-License-Identifier: Apache-2.0 */
/*
 * user_work - work done with a user's rights, in a child that becomes the user
 * for good and ends with it.
 *
 * Holds    no privilege comes back: the parent never changes who it is
 * Shape    the child runs `work` and ends; its outcome and fault are the
 *          caller's. It is a copy of the parent at the fork: it may allocate,
 *          read and write files; it must not log, use tables or the user
 *          database, or touch what other threads hold
 * Errors   those of `work`; RC_TEMP no child, or it died
 * Threads  any
 */
#pragma once

#include "base/fault.h"
#include "sys/privilege.h"

typedef enum rc user_work_fn(void *arg, struct fault *fault);

MUST_CHECK enum rc user_work(const struct privilege_user *user,
			     user_work_fn *work, void *arg,
			     struct fault *fault);
