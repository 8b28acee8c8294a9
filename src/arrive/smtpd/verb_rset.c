/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/command.h"

enum verb_result verb_rset(struct smtpd_session *s, struct span args)
{
	if (args.len > 0) {
		session_reply(s, "501 5.5.4 Syntax: RSET");
		return VERB_FAILED;
	}
	session_reset(s);
	session_reply(s, "250 2.0.0 Ok");
	return VERB_DONE;
}
