/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sendmail_drop - one message on its way into a postdrop that was started for
 * it.
 *
 * Order    drop_pipe_open, drop_pipe_add..., drop_pipe_close. Freed before
 *          close: postdrop sees its input end early and leaves nothing behind.
 * Errors   a postdrop that ended early has said why on standard error; the rest
 *          is taken and thrown away, and its exit status comes from close
 */
#pragma once

#include "rule/maildrop.h"
#include "conf/conf.h"

struct drop_pipe;

MUST_CHECK enum rc drop_pipe_open(TALLOC_CTX *mem, const struct conf *conf,
				  const struct maildrop_head *head,
				  struct drop_pipe **ret_pipe,
				  struct fault *fault);
void drop_pipe_add(struct drop_pipe *pipe, struct span content);
/* Exit status: 0, the message is in the maildrop for good. */
int drop_pipe_close(struct drop_pipe *pipe);
