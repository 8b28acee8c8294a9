/* SPDX-License-Identifier: Apache-2.0 */
/* Beginning and end of sessions and transactions, and who may go on. */
#include "arrive/smtpd/client_name.h"
#include "arrive/smtpd/client_table.h"
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

/* ---- the beginning ---- */

/* Words of local_header_rewrite_clients that are no tables. */
static bool is_local_client(const struct smtpd_session *s)
{
	const struct smtpd_server *server = s->server;
	struct span name = span_from(s->client_name);
	struct span address = span_from(s->client_address);
	struct fault fault = { 0 };

	if (server->local_is_inet &&
	    (span_starts(address, "127.") || span_is(address, "::1") ||
	     span_is(address, s->server_address)))
		return true;
	return server->local_is_mynetworks &&
	       match_list_client(server->mynetworks, name, address, &fault) ==
		       RC_OK;
}

/* False: this client has too many connections already. */
static bool count_in(struct smtpd_session *s)
{
	int limit = s->server->conf->v.smtpd_client_connection_count_limit;
	struct fault fault = { 0 };
	int count;

	if (limit <= 0 || s->server->clients == NULL)
		return true;
	if (match_list_client(s->server->limit_exceptions,
			      span_from(s->client_name),
			      span_from(s->client_address), &fault) == RC_OK)
		return true;
	count = client_table_enter(s->server->clients, s->client_address);
	s->counted = true;
	if (count <= limit)
		return true;
	log_warning("Connection concurrency limit exceeded: %d from %s for "
		    "service %s",
		    count, s->client_text, s->server->service_name);
	session_reply(s, "421 4.7.0 %s Error: too many connections from %s",
		      s->server->conf->v.myhostname, s->client_address);
	session_end(s);
	return false;
}

static void settle_lf_rules(struct smtpd_session *s)
{
	struct fault fault = { 0 };

	s->strict_lf = s->server->bare_lf != BARE_LF_ACCEPT &&
		       match_list_client(s->server->bare_lf_exclusions,
					 span_from(s->client_name),
					 span_from(s->client_address),
					 &fault) != RC_OK;
}

void session_client_changed(struct smtpd_session *s)
{
	const struct conf_values *v = &s->server->conf->v;
	char *old = s->client_text;

	s->client_text = v->smtpd_client_port_logging
				 ? mem_printf(s, "%s[%s]:%s", s->client_name,
					      s->client_address, s->client_port)
				 : mem_printf(s, "%s[%s]", s->client_name,
					      s->client_address);
	talloc_free(old);
	s->is_local = is_local_client(s);
	settle_lf_rules(s);
}

static void learn_client(struct smtpd_session *s)
{
	char local_text[NET_ADDRESS_TEXT_MAX];
	struct net_address local;
	bool known = net_address_local(s->ws.fd, &local);

	client_name_find(s);
	s->server_address = mem_strdup(
		s, known ? net_address_text(&local, local_text) : "");
	if (s->server->rehearsal != NULL)
		rehearsal_learn(s);
	s->server_port =
		mem_printf(s, "%u", known ? net_address_port(&local) : 0);
	session_client_changed(s);
}

void session_greet_allowed(struct smtpd_session *s)
{
	bool allowed = session_allowed(s, AT_CONNECT, "CONNECT", NULL, NULL);

	s->phase = s->waits_until_ms != 0  ? PHASE_START :
		   s->phase == PHASE_START ? PHASE_COMMAND :
					     s->phase;
	if (s->waits_until_ms != 0)
		return;
	s->access_denied = !allowed;
	if (allowed)
		session_reply(s, "220 %s", s->server->conf->v.smtpd_banner);
}

void session_greet(struct smtpd_session *s)
{
	s->phase = PHASE_COMMAND;
	learn_client(s);
	log_info("connect from %s", s->client_text);
	if (!count_in(s))
		return;
	if (s->server->tls_wrapper && s->server->rehearsal == NULL) {
		session_tls_begin(s);
		return;
	}
	session_greet_allowed(s);
}
