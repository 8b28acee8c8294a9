/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a session and its transaction, and who may go on. */
#include "arrive/smtpd/session.h"
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

static void fill_certificate(struct restriction_request *request,
			     const struct tls_facts *facts)
{
	request->tls = facts != NULL;
	if (facts == NULL)
		return;
	request->cert_trusted = facts->trust >= TLS_TRUSTED;
	if (facts->fingerprint != NULL && facts->fingerprint[0] != '\0')
		request->cert_fingerprint = facts->fingerprint;
	if (facts->key_fingerprint != NULL && facts->key_fingerprint[0] != '\0')
		request->pubkey_fingerprint = facts->key_fingerprint;
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

static void keep_text(struct smtpd_session *s, TALLOC_CTX *passing,
		      const char **text)
{
	if (*text != NULL && talloc_parent(*text) == passing)
		*text = mem_strdup(s->transaction != NULL ?
					   (TALLOC_CTX *)s->transaction :
					   (TALLOC_CTX *)s,
				   *text);
}

/* The little of an answer that stays for the next question. */
static void keep_rules(struct smtpd_session *s, TALLOC_CTX *passing)
{
	for (size_t i = 0; i < ARRAY_LEN(s->rules.defer_if_permit); i++)
		keep_text(s, passing, &s->rules.defer_if_permit[i]);
	keep_text(s, passing, &s->rules.filter);
	keep_text(s, passing, &s->rules.redirect);
}

/* In some other thread: an answer has come. */
static void wake(void *arg)
{
	struct smtpd_session *s = arg;

	workers_wake(s->server->workers, s->ws.handle);
}

bool session_allowed(struct smtpd_session *s, enum restriction_stage stage,
		     const char *stage_name, const char *recipient,
		     const char *etrn_domain)
{
	struct smtpd_transaction *t = s->transaction;
	struct restriction_request request = {
		.client_name = s->client_name,
		.client_address = s->client_address,
		.reverse_name = s->reverse_name,
		.client_name_rc = s->client_name_rc,
		.reverse_name_rc = s->reverse_name_rc,
		.server_address = s->server_address,
		.sasl_username = s->sasl_username,
		.helo = s->helo,
		.sender = t == NULL ? NULL : t->sender,
		.recipient = recipient,
		.etrn_domain = etrn_domain,
		.recipient_count = t == NULL ? 0 : t->recipients,
	};
	SCRATCH TALLOC_CTX *passing = talloc_new(NULL);
	struct restriction_verdict verdict;
	enum rc rc;

	fill_certificate(&request, session_tls_facts(s));
	if (s->server->workers != NULL) {
		s->waiter.ready = wake;
		s->waiter.arg = s;
		request.waiter = &s->waiter;
	}
	s->asked = recipient;
	rc = restrictions_ask(s->server->restrictions, passing, stage, &request,
			      &s->rules, &verdict);
	if (rc == RC_NONE) {
		s->asked = NULL;
		s->waits_until_ms = MAX_OF(verdict.again_ms, (uint64_t)1);
		return false;
	}
	log_notes(s, stage_name, &verdict);
	if (t == NULL && s->server->conf->v.smtpd_delay_reject)
		memset(&s->rules, 0, sizeof(s->rules));
	else
		keep_rules(s, passing);
	if (rc != RC_OK)
		session_log(s, "reject", stage_name, verdict.text);
	s->asked = NULL;
	if (rc == RC_OK)
		return true;
	session_reply(s, "%s", verdict.text);
	if (verdict.close)
		session_end(s);
	return false;
}
