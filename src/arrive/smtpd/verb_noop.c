/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/command.h"

enum verb_result verb_noop(struct smtpd_session *s, struct span args)
{
	session_reply(s, "250 2.0.0 Ok");
	return VERB_DONE;
}
