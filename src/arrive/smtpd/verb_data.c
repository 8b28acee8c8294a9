/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/command.h"
#include "arrive/smtpd/proxy.h"

enum verb_result verb_data(struct smtpd_session *s, struct span args)
{
	struct smtpd_transaction *t = s->transaction;
	int flags = CONTENT_DOTS;

	if (s->bdat.seen) {
		session_reply(s, "503 5.5.1 Error: DATA after BDAT");
		return VERB_FAILED;
	}
	if (t->recipients == 0) {
		session_reply(s, "554 5.5.1 Error: no valid recipients");
		return VERB_FAILED;
	}
	if (args.len > 0) {
		session_reply(s, "501 5.5.4 Syntax: DATA");
		return VERB_FAILED;
	}
	if (!session_allowed(s, AT_DATA, "DATA", NULL, NULL))
		return VERB_FAILED;
	if (t->proxy != NULL && !proxy_data(s))
		return VERB_FAILED;
	if (s->server->bare_lf == BARE_LF_ACCEPT || !s->strict_lf)
		flags |= CONTENT_LF_ENDS;
	content_reader_init(&t->reader, flags, session_line_max(s));
	s->phase = PHASE_DATA;
	session_reply(s, "354 End data with <CR><LF>.<CR><LF>");
	return VERB_DONE;
}

bool session_take_data(struct smtpd_session *s)
{
	struct smtpd_transaction *t = s->transaction;
	enum verb_result result;

	if (!t->reader.ended) /* else it waited to be allowed */
		s->input = span_skip(
			s->input, content_reader_run(&t->reader, s->input,
						     transaction_content, s));
	if (!t->reader.ended)
		return false;
	s->phase = PHASE_COMMAND;
	s->where = "END-OF-MESSAGE";
	result = transaction_finish(s);
	if (s->waits_until_ms != 0)
		s->phase = PHASE_DATA;
	else
		session_verb_done(s, result == VERB_DONE);
	return true;
}
