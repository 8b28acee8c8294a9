/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/command.h"

/* There is no SASL here yet: AUTH is refused as by a server without it. */
enum verb_result verb_auth(struct smtpd_session *s, struct span args)
{
	session_reply(s, "503 5.5.1 Error: authentication not enabled");
	return VERB_FAILED;
}
