/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <unistd.h>

#include "arrive/smtpd/command.h"
#include "queue/wire.h"
#include "sys/log.h"
#include "sys/socket_unix.h"

/* Ask qmgr to try what waits for this domain. */
static enum rc flush_site(TALLOC_CTX *mem, const char *domain,
			  struct fault *fault)
{
	struct packet_out packet;
	enum rc rc;
	int sock;

	rc = socket_unix_connect(AT_FDCWD, "public/qmgr", SOCK_SEQPACKET, 0,
				 &sock, fault);
	if (rc != RC_OK)
		return rc;
	packet_begin(&packet, mem, WIRE_FLUSH);
	packet_put_text(&packet, mem_printf(mem, "site:%s", domain));
	rc = packet_send(sock, &packet, fault);
	close(sock);
	return rc;
}

static enum verb_result flush_domain(struct smtpd_session *s, TALLOC_CTX *tmp,
				     struct span domain)
{
	char *name = mem_span_dup(tmp, domain);
	struct fault fault = { 0 };

	if (!session_allowed(s, AT_ETRN, "ETRN", NULL, name))
		return VERB_FAILED;
	switch (match_list_domain(s->server->flush_domains, domain, &fault)) {
	case RC_OK:
		break;
	case RC_NONE:
		log_warning("reject: ETRN %s... from %s", name, s->client_text);
		session_reply(s, "459 <%s>: service unavailable", name);
		return VERB_FAILED;
	default:
		log_warning("fast_flush_domains: %s", fault.text);
		session_reply(s, "458 Unable to queue messages");
		return VERB_FAILED;
	}
	if (s->server->rehearsal == NULL &&
	    flush_site(tmp, name, &fault) != RC_OK) {
		log_warning("ETRN %s: %s", name, fault.text);
		session_reply(s, "458 Unable to queue messages");
		return VERB_FAILED;
	}
	session_reply(s, "250 Queuing started");
	return VERB_DONE;
}

/* A name, or an address in brackets. */
static bool is_domain(struct span domain)
{
	struct net_address address;

	if (span_starts(domain, "["))
		return net_address_parse_literal(domain, &address);
	return domain_is_valid(domain, true);
}

enum verb_result verb_etrn(struct smtpd_session *s, struct span args)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct span domain, more;

	if (s->server->conf->v.smtpd_helo_required && s->helo == NULL) {
		session_reply(s, "503 Error: send HELO/EHLO first");
		return VERB_FAILED;
	}
	if (s->transaction != NULL) {
		session_reply(s, "503 Error: MAIL transaction in progress");
		return VERB_FAILED;
	}
	if (!span_token(&args, " \t", &domain) ||
	    span_token(&args, " \t", &more)) {
		session_reply(s, "500 Syntax: ETRN domain");
		return VERB_FAILED;
	}
	if (span_starts(domain, "@") || span_starts(domain, "#"))
		domain = span_skip(domain, 1);
	if (!is_domain(domain)) {
		session_reply(s, "501 Error: invalid parameter syntax");
		return VERB_FAILED;
	}
	return flush_domain(s, tmp, domain);
}
