/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/attribute.h"
#include "arrive/smtpd/command.h"
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
static int offered(struct smtpd_session *s)
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
	long size = s->server->conf->v.message_size_limit;
	const char *line = s->server->conf->v.myhostname;
	char size_text[40];
	int offer;

	if (!greet(s, "EHLO", args, true))
		return VERB_FAILED;
	offer = offered(s);
	log_discarded(s);
	snprintf(size_text, sizeof(size_text), "SIZE %ld", size);
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		if (!(offer & order[i].keyword))
			continue;
		session_reply(s, "250-%s", line);
		line = order[i].keyword == EHLO_SIZE && size > 0 ?
			       size_text :
			       order[i].text;
	}
	session_reply(s, "250 %s", line);
	return VERB_DONE;
}
