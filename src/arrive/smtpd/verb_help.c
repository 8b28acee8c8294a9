/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/command.h"

enum verb_result verb_help(struct smtpd_session *s, struct span args)
{
	const struct smtpd_server *server = s->server;
	struct buf line;

	buf_init(&line, s, 1024);
	for (size_t i = 0; i < smtp_verb_count(); i++) {
		struct span name = span_from(smtp_verb_name(i));

		if ((span_is(name, "STARTTLS") &&
		     (server->tls == NULL || s->tls != NULL)) ||
		    (span_is(name, "VRFY") &&
		     server->conf->v.disable_vrfy_command) ||
		    (span_is(name, "AUTH") && !session_may_login(s)) || span_starts(name, "X"))
			continue;
		buf_add_char(&line, ' ');
		buf_add(&line, name);
	}
	session_reply(s, "214 2.0.0 Commands:%s", buf_text(&line));
	buf_done(&line);
	return VERB_DONE;
}
