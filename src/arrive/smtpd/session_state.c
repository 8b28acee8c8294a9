/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a session and its transaction, and who may go on. */
#include <unistd.h>

#include "arrive/smtpd/session.h"
#include "arrive/smtpd/debug_peer.h"
#include "arrive/smtpd/rehearsal.h"
#include "sys/log.h"

void session_reset(struct smtpd_session *s)
{
	const struct smtpd_transaction *t = s->transaction;

	if (t != NULL && t->queue_id != NULL && !t->committed)
		log_info_as("cleanup", "%s: removed (canceled)", t->queue_id);
	talloc_free(s->transaction);
	s->transaction = NULL;
	session_forward_forget(s);
	memset(&s->bdat, 0, sizeof(s->bdat));
	if (s->server->conf->v.smtpd_delay_reject)
		memset(&s->rules, 0, sizeof(s->rules));
	else
		restriction_state_reset(&s->rules);
	session_instance_new(s);
}

/* Names all questions to policy services about one message. */
void session_instance_new(struct smtpd_session *s)
{
	snprintf(s->instance, sizeof(s->instance), "%x.%llx.%x.%x.0",
		 (unsigned int)getpid(), (unsigned long long)s->accepted_ms,
		 s->ws.handle.slot, s->instance_count++);
}

void session_forward_forget(struct smtpd_session *s)
{
	TALLOC_FREE(s->forward);
}

void session_set_text(struct smtpd_session *s, char **text, const char *value)
{
	char *old = *text;

	*text = value == NULL ? NULL : mem_strdup(s, value);
	talloc_free(old);
}

enum rc session_in_list(const struct smtpd_session *s,
			const struct match_list *list, const char *parameter)
{
	struct fault fault = { 0 };
	enum rc rc = match_list_client(list, span_from(s->client_name),
				       span_from(s->client_address), &fault);

	if (rc != RC_OK && rc != RC_NONE)
		log_warning("%s: %s", parameter, fault.text);
	return rc;
}

enum rc session_may_forward(struct smtpd_session *s)
{
	if (!s->forward_known)
		s->may_forward =
			session_in_list(s, s->server->xforward_hosts,
					"smtpd_authorized_xforward_hosts");
	s->forward_known = true;
	return s->may_forward;
}

void session_end(struct smtpd_session *s)
{
	s->phase = PHASE_END;
}

const struct tls_facts *session_tls_facts(const struct smtpd_session *s)
{
	if (s->tls != NULL)
		return tls_facts(s->tls);
	return s->server->rehearsal == NULL ? NULL : s->server->rehearsal->tls;
}

static const char *text_or_null(const char *text)
{
	return text == NULL || text[0] == '\0' ? NULL : text;
}

static void fill_security(struct restriction_request *request,
			  const struct tls_facts *facts)
{
	request->tls = facts != NULL;
	if (facts == NULL)
		return;
	request->tls_protocol = facts->protocol;
	request->tls_cipher = facts->cipher;
	request->tls_key_bits = facts->cipher_bits;
	request->cert_trusted = facts->trust >= TLS_TRUSTED;
	request->cert_subject = facts->peer_name;
	request->cert_issuer = facts->issuer_name;
	request->cert_fingerprint = text_or_null(facts->fingerprint);
	request->pubkey_fingerprint = text_or_null(facts->key_fingerprint);
}

static void fill_message(struct restriction_request *request,
			 const struct smtpd_session *s,
			 enum restriction_stage stage)
{
	const struct smtpd_transaction *t = s->transaction;

	request->instance = s->instance;
	if (t == NULL)
		return;
	request->sender = t->sender;
	request->sasl_sender = t->sasl_sender;
	request->queue_id = t->queue_id;
	request->recipient_count = t->recipients;
	request->size_bytes = stage == AT_END_OF_DATA ? t->content_bytes
			      : t->mail.has_size      ? t->mail.size_bytes
						      : 0;
	/* one recipient is what the message is about; several are none */
	if ((stage == AT_DATA || stage == AT_END_OF_DATA) && t->recipients == 1)
		request->recipient = t->first_recipient;
}

static void log_notes(struct smtpd_session *s, const char *stage_name,
		      const struct restriction_verdict *verdict)
{
	for (const struct restriction_note *note = verdict->notes; note != NULL;
	     note = note->next) {
		if (span_is(span_from(note->what), "warning"))
			log_warning("%s", note->text);
		else
			session_log(s, note->what, stage_name, note->text);
	}
}

static TALLOC_CTX *rules_parent(struct smtpd_session *s)
{
	return s->transaction != NULL ? (TALLOC_CTX *)s->transaction
				      : (TALLOC_CTX *)s;
}

static void keep_text(struct smtpd_session *s, TALLOC_CTX *passing,
		      const char **text)
{
	if (*text != NULL && talloc_parent(*text) == passing)
		*text = mem_strdup(rules_parent(s), *text);
}

static void keep_list(struct smtpd_session *s, TALLOC_CTX *passing,
		      struct restriction_text **list)
{
	for (; *list != NULL && talloc_parent(*list) == passing;
	     list = &(*list)->next)
		talloc_steal(rules_parent(s), *list);
}

/* The little of an answer that stays for the next question. */
static void keep_rules(struct smtpd_session *s, TALLOC_CTX *passing)
{
	for (size_t i = 0; i < ARRAY_LEN(s->rules.defer_if_permit); i++)
		keep_text(s, passing, &s->rules.defer_if_permit[i]);
	keep_text(s, passing, &s->rules.filter);
	keep_text(s, passing, &s->rules.redirect);
	keep_list(s, passing, &s->rules.prepend);
	keep_list(s, passing, &s->rules.bcc);
}

/* In some other thread: an answer has come. */
static void wake(void *arg)
{
	struct smtpd_session *s = arg;

	workers_wake(s->server->workers, s->ws.handle);
}

static enum rc ask(struct smtpd_session *s, TALLOC_CTX *passing,
		   const struct restriction_request *request,
		   enum restriction_stage stage,
		   struct restriction_verdict *verdict)
{
	enum rc rc = restrictions_ask(s->server->restrictions, passing, stage,
				      request, &s->rules, verdict);

	if (rc == RC_NONE)
		s->waits_until_ms = MAX_OF(verdict->again_ms, (uint64_t)1);
	else if (s->transaction == NULL &&
		 s->server->conf->v.smtpd_delay_reject)
		memset(&s->rules, 0, sizeof(s->rules));
	else
		keep_rules(s, passing);
	return rc;
}

bool session_allowed(struct smtpd_session *s, enum restriction_stage stage,
		     const char *stage_name, const char *recipient,
		     const char *etrn_domain)
{
	struct restriction_request request = {
		.client_name = s->client_name,
		.client_address = s->client_address,
		.client_port = s->client_port,
		.reverse_name = s->reverse_name,
		.client_name_rc = s->client_name_rc,
		.reverse_name_rc = s->reverse_name_rc,
		.server_address = s->server_address,
		.server_port = s->server_port,
		.state = stage_name,
		.protocol = s->esmtp ? "ESMTP" : "SMTP",
		.sasl_method = s->sasl_method,
		.unauth_pipelining = s->out_of_step,
		.sasl_username = s->sasl_username,
		.helo = s->helo,
		.recipient = recipient,
		.etrn_domain = etrn_domain,
		.dns = s->server->dns,
	};
	SCRATCH TALLOC_CTX *passing = talloc_new(NULL);
	struct restriction_verdict verdict;
	struct debug_peer peer;
	enum rc rc;

	fill_message(&request, s, stage);
	fill_security(&request, session_tls_facts(s));
	if (s->server->workers != NULL) {
		s->waiter.ready = wake;
		s->waiter.arg = s;
		request.waiter = &s->waiter;
	}
	s->asked = recipient;
	if (s->debugged)
		debug_peer_begin(&peer, passing, s);
	rc = ask(s, passing, &request, stage, &verdict);
	if (s->debugged)
		debug_peer_end(&peer, rc != RC_NONE);
	log_notes(s, stage_name, &verdict);
	if (rc != RC_OK && rc != RC_NONE)
		session_log(s, verdict.hang_up ? "hangup" : "reject",
			    stage_name, verdict.text);
	s->asked = NULL;
	if (rc == RC_OK || rc == RC_NONE)
		return rc == RC_OK;
	if (!verdict.hang_up)
		session_reply(s, "%s", verdict.text);
	if (verdict.close || verdict.hang_up)
		session_end(s);
	return false;
}
