/* SPDX-License-Identifier: Apache-2.0 */
/* XCLIENT and XFORWARD: no client is authorized here yet. */
#include "arrive/smtpd/command.h"

static enum verb_result refuse(struct smtpd_session *s, const char *verb,
			       struct span args)
{
	if (args.len == 0)
		session_reply(s, "501 5.5.4 Syntax: %s attribute=value...",
			      verb);
	else
		session_reply(s,
			      "550 5.7.0 Error: insufficient authorization");
	return VERB_FAILED;
}

enum verb_result verb_xclient(struct smtpd_session *s, struct span args)
{
	return refuse(s, "XCLIENT", args);
}

enum verb_result verb_xforward(struct smtpd_session *s, struct span args)
{
	return refuse(s, "XFORWARD", args);
}
