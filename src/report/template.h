/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template - the text that people read at the top of a notice: built in, or
 * from bounce_template_file.
 *
 * Shape    failure_template = <<EOF
 *          Charset: us-ascii
 *          From: Mail Delivery System <MAILER-DAEMON>
 *          Subject: ...
 *
 *          text with $myhostname and $maximal_queue_lifetime_days
 *          EOF
 * Errors   RC_CONF with file and line
 * Owner    texts are children of the set
 * Threads  immutable after loading
 * See      bounce(5)
 */
#pragma once

#include "conf/conf.h"
#include "queue/wire.h"

struct template
{
	const char *charset;
	const char *from; /* NULL: built in, completed with $myorigin */
	const char *subject, *postmaster_subject;
	const char *text; /* LF line ends; $names are not expanded yet */
};

struct template_set {
	struct template by_kind[NOTICE_KINDS];
};

/* What the file does not define stays as built in. `path` "" : all built in. */
MUST_CHECK enum rc template_load(TALLOC_CTX *mem, const char *path,
				 struct template_set **ret_set,
				 struct fault *fault);
/* The same from text; `path` is for messages. */
MUST_CHECK enum rc template_parse(TALLOC_CTX *mem, struct span text,
				  const char *path,
				  struct template_set **ret_set,
				  struct fault *fault);
/* The text with its $names filled in. What cannot be is left as it is. */
char *template_expand(TALLOC_CTX *mem, const struct conf *conf,
		      const struct template *template);
/* "failure_template" of NOTICE_FAILURE: the name in a file. */
const char *template_name(int kind);
