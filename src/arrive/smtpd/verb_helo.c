/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/attribute.h"
#include "arrive/smtpd/command.h"
#include "arrive/smtpd/sasl.h"
#include "sys/log.h"

static bool greet(struct smtpd_session *s, const char *verb, struct span args,
		  bool esmtp)
{

	if (args.len == 0) {
		session_reply(s, "501 Syntax: %s hostname", verb);
		return false;
	}
	session_reset(s);
	talloc_free(s->helo);
	s->helo = mem_span_dup(s, args);
	attribute_clean_word(s->helo);
	s->esmtp |= esmtp; /* a HELO after EHLO takes nothing back */
	if (session_allowed(s, AT_HELO, verb, NULL, NULL))
		return true;
	talloc_free(s->helo);
	s->helo = NULL;
	return false;
}

enum verb_result verb_helo(struct smtpd_session *s, struct span args)
{
	if (!greet(s, "HELO", args, false))
		return VERB_FAILED;
	session_reply(s, "250 %s", s->server->conf->v.myhostname);
	return VERB_DONE;
}

/* Which keywords this client gets. */
static int offered(struct smtpd_session *s, bool auth)
{
	const struct smtpd_server *server = s->server;
	int offer = EHLO_PIPELINING | EHLO_SIZE | EHLO_ETRN |
		    EHLO_ENHANCEDSTATUSCODES | EHLO_8BITMIME | EHLO_DSN |
		    EHLO_CHUNKING;

	if (!server->conf->v.disable_vrfy_command)
		offer |= EHLO_VRFY;
	if (server->conf->v.smtputf8_enable)
		offer |= EHLO_SMTPUTF8;
	if (server->tls != NULL && s->tls == NULL)
		offer |= EHLO_STARTTLS;
	if (session_in_list(s, server->xclient_hosts,
			    "smtpd_authorized_xclient_hosts") == RC_OK)
		offer |= EHLO_XCLIENT;
	if (session_may_forward(s) == RC_OK)
		offer |= EHLO_XFORWARD;
	if (auth && !(s->discard & EHLO_AUTH))
		offer |= server->conf->v.broken_sasl_auth_clients ?
				 EHLO_AUTH | EHLO_AUTH_OLD :
				 EHLO_AUTH;
	return offer & ~s->discard;
}

static void log_discarded(struct smtpd_session *s)
{
	struct buf line;

	if (s->discard == 0 || (s->discard & EHLO_SILENT))
		return;
	buf_init(&line, s, 1024);
	ehlo_keywords_add(s->discard, &line);
	for (size_t i = 0; i < line.len; i++)
		line.data[i] = ascii_upper(line.data[i]);
	log_info("discarding EHLO keywords:%s", buf_text(&line));
	buf_done(&line);
}

/* What a keyword is said with. */
static const char *keyword_text(struct smtpd_session *s, TALLOC_CTX *tmp,
				enum ehlo_keyword keyword, const char *text,
				const char *mechanisms)
{
	long size = s->server->conf->v.message_size_limit;

	switch (keyword) {
	case EHLO_SIZE:
		return size > 0 ? mem_printf(tmp, "SIZE %ld", size) : text;
	case EHLO_AUTH:
		return mem_printf(tmp, "AUTH%s", mechanisms);
	case EHLO_AUTH_OLD:
		return mem_printf(tmp, "AUTH=%s", mechanisms + 1);
	default:
		return text;
	}
}

/* The mechanisms that the client may use, or "". */
static const char *offered_mechanisms(struct smtpd_session *s, TALLOC_CTX *tmp)
{
	struct buf text;

	if (!session_may_login(s) ||
	    session_in_list(s, s->server->sasl_exceptions,
			    "smtpd_sasl_exceptions_networks") != RC_NONE)
		return "";
	buf_init(&text, tmp, 2048);
	sasl_mechanisms_add(s->server->sasl, s->tls != NULL, &text);
	return buf_text(&text);
}

enum verb_result verb_ehlo(struct smtpd_session *s, struct span args)
{
	static const struct {
		enum ehlo_keyword keyword;
		const char *text;
	} order[] = {
		{ EHLO_PIPELINING, "PIPELINING" },
		{ EHLO_SIZE, "SIZE" },
		{ EHLO_VRFY, "VRFY" },
		{ EHLO_ETRN, "ETRN" },
		{ EHLO_STARTTLS, "STARTTLS" },
		{ EHLO_AUTH, NULL },
		{ EHLO_AUTH_OLD, NULL },
		{ EHLO_XCLIENT, "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME "
				"PORT LOGIN DESTADDR DESTPORT" },
		{ EHLO_XFORWARD,
		  "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT" },
		{ EHLO_ENHANCEDSTATUSCODES, "ENHANCEDSTATUSCODES" },
		{ EHLO_8BITMIME, "8BITMIME" },
		{ EHLO_DSN, "DSN" },
		{ EHLO_SMTPUTF8, "SMTPUTF8" },
		{ EHLO_CHUNKING, "CHUNKING" },
	};
	const char *line = s->server->conf->v.myhostname, *mechanisms;
	SCRATCH TALLOC_CTX *tmp = NULL;
	int offer;

	if (!greet(s, "EHLO", args, true))
		return VERB_FAILED;
	tmp = talloc_new(NULL);
	mechanisms = offered_mechanisms(s, tmp);
	offer = offered(s, mechanisms[0] != '\0');
	log_discarded(s);
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		if (!(offer & order[i].keyword))
			continue;
		session_reply(s, "250-%s", line);
		line = keyword_text(s, tmp, order[i].keyword, order[i].text,
				    mechanisms);
	}
	session_reply(s, "250 %s", line);
	return VERB_DONE;
}
