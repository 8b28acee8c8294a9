/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/command.h"

enum verb_result verb_quit(struct smtpd_session *s, struct span args)
{
	session_reply(s, "221 2.0.0 Bye");
	session_end(s);
	return VERB_DONE;
}
