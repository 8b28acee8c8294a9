/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/command.h"
#include "sys/log.h"

static enum verb_result verify(struct smtpd_session *s, TALLOC_CTX *tmp,
			       struct span args)
{
	int flags = s->server->conf->v.strict_rfc821_envelopes ?
			    ADDRESS_STRICT :
			    0;
	struct fault fault = { 0 };
	struct span address;

	if (address_parse_path(tmp, args, flags, &address, &fault) != RC_OK ||
	    address.len == 0) {
		session_log_bad_address(s, "VRFY", args);
		session_reply(s, "501 5.1.3 Bad recipient address syntax");
		return VERB_FAILED;
	}
	if (!session_allowed(s, AT_RCPT, "VRFY", mem_span_dup(tmp, address),
			     NULL))
		return VERB_FAILED;
	session_reply(s, "252 2.0.0 %.*s", SPAN_FMT(args));
	return VERB_DONE;
}

/* One blank-separated word that is not inside quotes. */
static bool is_one_word(struct span text)
{
	bool quoted = false;

	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '"')
			quoted = !quoted;
		else if (text.ptr[i] == ' ' && !quoted)
			return false;
	}
	return true;
}

enum verb_result verb_vrfy(struct smtpd_session *s, struct span args)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	if (s->server->conf->v.disable_vrfy_command) {
		session_reply(s, "502 5.5.1 VRFY command is disabled");
		return VERB_FAILED;
	}
	if (args.len == 0) {
		session_reply(s, "501 5.5.4 Syntax: VRFY address%s",
			      s->server->conf->v.smtputf8_enable ?
				      " [SMTPUTF8]" :
				      "");
		return VERB_FAILED;
	}
	if (span_ends_nocase(args, " SMTPUTF8"))
		args = span_trim(span_take(args, args.len - 9));
	if (!is_one_word(args)) {
		session_log_bad_address(s, "VRFY", args);
		session_reply(s, "501 5.1.3 Bad recipient address syntax");
		return VERB_FAILED;
	}
	return verify(s, tmp, args);
}
