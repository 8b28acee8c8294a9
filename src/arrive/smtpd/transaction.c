/* SPDX-License-Identifier: Apache-2.0 */
/* From the first accepted recipient to "queued as". */
#include "arrive/smtpd/command.h"
#include "arrive/smtpd/proxy.h"
#include "base/clock.h"
#include "mail/received.h"
#include "sys/log.h"

_Static_assert((int)SMTP_RET_FULL == (int)DSN_RET_FULL &&
		       (int)SMTP_RET_HDRS == (int)DSN_RET_HDRS &&
		       (int)SMTP_NOTIFY_NEVER == (int)DSN_NOTIFY_NEVER &&
		       (int)SMTP_NOTIFY_DELAY == (int)DSN_NOTIFY_DELAY,
	       "the same numbers in the grammar and in the queue");

static bool overrides(const struct conf *conf, const char *option)
{
	struct span rest = span_from(conf->v.receive_override_options), word;

	while (span_token(&rest, ", \t\r\n", &word))
		if (span_is(word, option))
			return true;
	return false;
}

static int origin_flags(const struct smtpd_session *s)
{
	const struct conf *conf = s->server->conf;
	int flags = CLEANUP_SMTPD;

	if (overrides(conf, "no_address_mappings"))
		flags &= ~CLEANUP_MAP;
	if (overrides(conf, "no_header_body_checks"))
		flags &= ~CLEANUP_FILTER;
	if (s->forward != NULL && s->forward->source != FORWARD_AS_CLIENT
		    ? s->forward->source == FORWARD_LOCAL
		    : s->is_local)
		flags |= CLEANUP_LOCAL;
	if (s->transaction->mail.smtputf8)
		flags |= CLEANUP_SMTPUTF8;
	return flags;
}

/* The client as it is known to those who look at the message later: the one
 * that XFORWARD named, where it did. */
static void fill_client(const struct smtpd_session *s,
			struct cleanup_origin *origin)
{
	const struct session_forward *f = s->forward;

	origin->sasl_method = s->sasl_method;
	origin->sasl_username = s->sasl_username;
	origin->sasl_sender = s->transaction->sasl_sender;
	if (f != NULL && f->ident != NULL)
		origin->log_ident = f->ident;
	if (f == NULL || !f->has_client) {
		origin->client_name = s->client_name;
		origin->client_address = s->client_address;
		origin->client_port = s->client_port;
		origin->client_proto = s->esmtp ? "ESMTP" : "SMTP";
		origin->client_helo = s->helo;
		return;
	}
	origin->client_name = f->name != NULL ? f->name : "unknown";
	origin->client_address = f->address != NULL ? f->address : "unknown";
	origin->client_port = f->port != NULL ? f->port : "unknown";
	origin->client_proto = f->proto != NULL ? f->proto : "unknown";
	origin->client_helo = f->helo;
}

/* "QID: client=NAME[ADDR], sasl_method=..., orig_client=..." */
static void log_client(struct smtpd_session *s)
{
	const struct smtpd_transaction *t = s->transaction;
	const struct session_forward *f = s->forward;
	struct buf line;

	buf_init(&line, s, 4096);
	buf_addf(&line, "%s: client=%s", t->queue_id, s->client_text);
	if (s->sasl_method != NULL)
		buf_addf(&line, ", sasl_method=%s", s->sasl_method);
	if (s->sasl_username != NULL)
		buf_addf(&line, ", sasl_username=%s", s->sasl_username);
	if (t->sasl_sender != NULL)
		buf_addf(&line, ", sasl_sender=%s", t->sasl_sender);
	if (f != NULL && f->ident != NULL)
		buf_addf(&line, ", orig_queue_id=%s", f->ident);
	if (f != NULL && f->has_client)
		buf_addf(&line, ", orig_client=%s",
			 f->name != NULL ? f->name : "unknown");
	if (f != NULL && f->address != NULL)
		buf_addf(&line, "[%s]", f->address);
	log_info("%s", buf_text(&line));
	buf_done(&line);
}

enum rc transaction_open(struct smtpd_session *s, struct fault *fault)
{
	struct smtpd_transaction *t = s->transaction;
	struct cleanup_origin origin = {
		.flags = origin_flags(s),
		.dsn_ret = (uint8_t)t->mail.ret,
		.envelope_flags = t->mail.body == SMTP_BODY_8BITMIME ?
					  ENVELOPE_BODY_8BITMIME :
					  0,
	};
	enum rc rc;

	if (s->server->rehearsal != NULL)
		return RC_OK;
	fill_client(s, &origin);
	if (t->mail.envid.ptr != NULL)
		origin.dsn_envid = mem_span_dup(t, t->mail.envid);
	rc = cleanup_begin(t, s->server->cleanup, &origin, &t->cleanup, fault);
	if (rc != RC_OK)
		return rc;
	t->queue_id = cleanup_queue_id(t->cleanup);
	log_client(s);
	return cleanup_sender(t->cleanup, span_from(t->sender), fault);
}

enum rc transaction_recipient(struct smtpd_session *s,
			      const struct smtp_rcpt *rcpt, struct fault *fault)
{
	struct smtpd_transaction *t = s->transaction;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *orcpt = NULL;
	enum rc rc;

	if (s->server->rehearsal != NULL)
		return RC_OK;
	if (t->cleanup == NULL) {
		rc = transaction_open(s, fault);
		if (rc != RC_OK) {
			TALLOC_FREE(t->cleanup);
			t->queue_id = NULL;
			return rc;
		}
	}
	if (rcpt->orcpt.ptr != NULL)
		orcpt = mem_span_dup(tmp, rcpt->orcpt);
	return cleanup_recipient(t->cleanup, rcpt->address, rcpt->address,
				 orcpt, rcpt->notify, fault);
}

/* ---- content ---- */

static void fill_tls(const struct smtpd_session *s, struct received_tls *tls)
{
	const struct tls_facts *facts = tls_facts(s->tls);
	bool has_cert = facts->fingerprint != NULL &&
			facts->fingerprint[0] != '\0';

	*tls = (struct received_tls){
		.protocol = facts->protocol,
		.cipher = facts->cipher,
		.used_bits = facts->cipher_bits,
		.algorithm_bits = facts->cipher_all_bits,
		.key_exchange = facts->key_exchange,
		.server_signature = facts->server_signature,
		.server_digest = facts->server_digest,
		.client_signature = facts->client_signature,
		.client_digest = facts->client_digest,
		.client_cn = has_cert ? facts->peer_name : NULL,
		.client_issuer = has_cert ? facts->issuer_name : NULL,
		.client_asked = s->server->conf->v.smtpd_tls_ask_ccert ||
				s->server->conf->v.smtpd_tls_req_ccert,
		.client_trusted = facts->trust >= TLS_TRUSTED,
	};
}

/* "ESMTP", "ESMTPS", "ESMTPSA", "UTF8SMTPS". */
static const char *with_protocol(const struct smtpd_session *s)
{
	static const char *const names[2][4] = {
		{ "ESMTP", "ESMTPS", "ESMTPA", "ESMTPSA" },
		{ "UTF8SMTP", "UTF8SMTPS", "UTF8SMTPA", "UTF8SMTPSA" },
	};

	if (!s->esmtp)
		return "SMTP";
	return names[s->transaction->mail.smtputf8]
		    [(s->tls != NULL) + 2 * (s->sasl_username != NULL)];
}

/* PREPEND of access tables, in the order in which they were met. */
static void prepend_fields(struct smtpd_transaction *t,
			   const struct restriction_text *newest)
{
	if (newest == NULL)
		return;
	prepend_fields(t, newest->next);
	if (t->proxy != NULL) {
		proxy_text(t->proxy, span_from(newest->text));
		proxy_text(t->proxy, SPAN_OF("\r\n"));
	} else {
		cleanup_prepend(t->cleanup, newest->text);
	}
}

/* Our own Received: field, as the first lines of the content: header checks
 * look at it as at the others. */
static enum rc write_received(struct smtpd_session *s)
{
	const struct conf_values *v = &s->server->conf->v;
	struct smtpd_transaction *t = s->transaction;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct received_tls tls;
	struct received received = {
		.from = RECEIVED_SMTP,
		.hostname = v->myhostname,
		.mail_name = v->mail_name,
		.queue_id = t->queue_id,
		.when = (time_t)(clock_wall_us() / 1000000),
		.helo = s->helo,
		.client_name = s->client_name,
		.client_address = s->client_address,
		.protocol = with_protocol(s),
		.hide_session = v->smtpd_hide_client_session,
	};
	struct buf text;

	if (v->smtpd_sasl_authenticated_header)
		received.sasl_username = s->sasl_username;
	if (t->recipients == 1)
		received.recipient = address_quote(
			tmp, span_from(t->first_recipient));
	if (s->tls != NULL && v->smtpd_tls_received_header) {
		fill_tls(s, &tls);
		received.tls = &tls;
	}
	t->headers_begun = true;
	buf_init(&text, tmp, 64 * 1024);
	if (!received_format(&received, &text))
		return RC_TEMP;
	prepend_fields(t, s->rules.prepend);
	if (t->proxy != NULL)
		proxy_text(t->proxy, buf_span(&text));
	else
		cleanup_received(t->cleanup, buf_text(&text));
	return RC_OK;
}

/* Whole lines: one by one in the header, then all at once. */
static enum rc feed_lines(struct smtpd_transaction *t, struct span lines)
{
	enum rc rc = RC_OK;

	while (rc == RC_OK && lines.len > 0 && !cleanup_in_body(t->cleanup)) {
		ssize_t lf = span_find(lines, '\n');

		rc = cleanup_line(t->cleanup,
				  span_take(lines, (size_t)lf - 1), false);
		lines = span_skip(lines, (size_t)lf + 1);
	}
	if (rc == RC_OK && lines.len > 0)
		rc = cleanup_body(t->cleanup, lines);
	return rc;
}

void transaction_content(void *arg, enum content_kind kind, struct span bytes)
{
	struct smtpd_session *s = arg;
	struct smtpd_transaction *t = s->transaction;
	uint64_t limit = (uint64_t)s->server->conf->v.message_size_limit;
	enum rc rc = RC_OK;

	t->content_bytes += bytes.len + (kind == CONTENT_LINE ? 2 : 0);
	if (limit > 0 && t->content_bytes > limit)
		t->too_big = t->content_bad = true;
	if (t->content_bad || s->server->rehearsal != NULL)
		return; /* read on to the end, and say so there */
	if (!t->headers_begun)
		rc = write_received(s);
	if (rc == RC_OK && t->proxy != NULL)
		proxy_content(t->proxy, kind, bytes);
	else if (rc == RC_OK && kind == CONTENT_LINES)
		rc = feed_lines(t, bytes);
	else if (rc == RC_OK)
		rc = cleanup_line(t->cleanup, bytes, kind == CONTENT_PART);
	t->content_bad = rc != RC_OK;
}

/* ---- the end ---- */

static bool is_bare_lf_refused(struct smtpd_session *s)
{
	const struct conf_values *v = &s->server->conf->v;

	s->bare_lf_seen |= s->transaction->reader.bare_lf;
	if (!s->transaction->reader.bare_lf || !s->strict_lf ||
	    s->server->bare_lf != BARE_LF_REJECT)
		return false;
	session_log(s, "reject", "END-OF-MESSAGE", "bare <LF> received");
	session_reply(s, "%d 5.5.2 %s Error: bare <LF> received",
		      v->smtpd_forbid_bare_newline_reject_code, v->myhostname);
	return true;
}

static bool is_too_big(struct smtpd_session *s)
{
	if (!s->transaction->too_big)
		return false;
	log_warning("%s: queue file size limit exceeded", session_id(s));
	session_reply(s, "552 5.3.4 Error: message file too big");
	return true;
}

/* BCC of access tables. */
static enum rc add_copies(struct smtpd_transaction *t,
			  const struct restriction_text *newest,
			  struct fault *fault)
{
	enum rc rc;

	if (newest == NULL)
		return RC_OK;
	rc = add_copies(t, newest->next, fault);
	if (rc != RC_OK)
		return rc;
	return cleanup_recipient(t->cleanup, span_from(newest->text),
				 span_from(newest->text), NULL,
				 SMTP_NOTIFY_NEVER, fault);
}

static bool commit(struct smtpd_session *s)
{
	struct smtpd_transaction *t = s->transaction;
	struct fault fault = { 0 };
	bool discarded = false;

	if (t->proxy != NULL)
		return proxy_finish(s);
	if (s->server->rehearsal != NULL) {
		session_reply(s, "250 2.0.0 Ok: queued as REHEARSAL");
		return true;
	}
	cleanup_act(t->cleanup, s->rules.filter, s->rules.redirect,
		    s->rules.hold, s->rules.discard);
	if (add_copies(t, s->rules.bcc, &fault) != RC_OK ||
	    cleanup_finish(t->cleanup, &discarded, &fault) != RC_OK) {
		session_reply_fault(s, &fault);
		return false;
	}
	t->committed = true;
	if (discarded)
		log_info_as("cleanup", "%s: removed (discarded)", t->queue_id);
	if (s->bdat.seen)
		session_reply(s, "250 2.0.0 Ok: %llu bytes queued as %s",
			      (unsigned long long)t->content_bytes,
			      t->queue_id);
	else
		session_reply(s, "250 2.0.0 Ok: queued as %s", t->queue_id);
	return true;
}

enum verb_result transaction_finish(struct smtpd_session *s)
{
	struct smtpd_transaction *t = s->transaction;
	bool good;

	if (!t->headers_begun && !t->content_bad &&
	    s->server->rehearsal == NULL)
		t->content_bad = write_received(s) != RC_OK;
	good = !is_bare_lf_refused(s) && !is_too_big(s) &&
	       (t->content_bad ||
		session_allowed(s, AT_END_OF_DATA, "END-OF-MESSAGE", NULL,
				NULL));
	if (s->waits_until_ms != 0)
		return VERB_FAILED;
	good = good && commit(s);
	if (good)
		s->errors = s->junk = 0;
	session_reset(s);
	return good ? VERB_DONE : VERB_FAILED;
}
