/* SPDX-License-Identifier: Apache-2.0 */
/*
 * maildrop_files - mail that pickup has not taken yet, for root's commands.
 *
 * Holds    a file that is still being written, or is none of ours, is left
 *          alone
 * Errors   RC_TEMP: the directory cannot be read
 */
#pragma once

#include <sys/stat.h>

#include "conf/conf.h"
#include "rule/maildrop.h"

typedef void maildrop_file_fn(void *arg, const char *name,
			      const struct stat *st,
			      const struct maildrop_head *head);
MUST_CHECK enum rc maildrop_files_each(const struct conf *conf,
				       maildrop_file_fn *each, void *arg,
				       struct fault *fault);
/* One, or "ALL"; returns how many. */
uint32_t maildrop_files_delete(const struct conf *conf, const char *name);
