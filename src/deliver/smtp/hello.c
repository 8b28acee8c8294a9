/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/smtp/session.h"
#include "mail/dsn.h"
#include "sys/log.h"

/* Why no transaction can be begun with this host; the next one is tried. */
static bool site_failed(const struct smtp_session *s, TALLOC_CTX *mem,
			struct outcome *why)
{
	smtp_session_refused(s, mem, NULL, why);
	return false;
}

static bool tls_required_failed(const struct smtp_session *s, const char *dsn,
				const char *text, struct outcome *why)
{
	*why = (struct outcome){.action = DELIVERY_DEFERRED,
				.dsn = dsn,
				.text = text,
				.relay = s->relay,
				.tls = s->tls_text,
				.remote_mta = s->name};
	return false;
}

static bool command_send(struct smtp_session *s, TALLOC_CTX *mem,
			 struct outcome *why, const char *line)
{
	struct fault fault;

	if (net_stream_write(s->stream, span_from(line), &fault) == RC_OK &&
	    net_stream_flush(s->stream, &fault) == RC_OK)
		return true;
	smtp_session_broken(s, mem, why);
	return false;
}

static bool greeting_read(struct smtp_session *s, TALLOC_CTX *mem,
			  struct outcome *why)
{
	net_stream_set_timeout(s->stream, s->settings->helo_timeout * 1000);
	if (!smtp_session_reply(s, mem, why))
		return false;
	if (s->reply->code / 100 == 2)
		return true;
	smtp_session_refused(s, mem, NULL, why);
	/* The greeting of a host that is busy or does not know us. */
	if (s->settings->skip_5xx_greeting)
		why->action = DELIVERY_DEFERRED;
	return false;
}

static void keyword_take(struct smtp_session *s, struct span word,
			 struct span args)
{
	static const struct {
		const char *name;
		unsigned feature;
	} known[] = {
	    {"PIPELINING", SMTP_PIPELINING},
	    {"SIZE", SMTP_SIZE},
	    {"8BITMIME", SMTP_8BITMIME},
	    {"DSN", SMTP_DSN},
	    {"SMTPUTF8", SMTP_SMTPUTF8},
	    {"STARTTLS", SMTP_STARTTLS},
	    {"AUTH", SMTP_AUTH},
	    {"CHUNKING", SMTP_CHUNKING},
	};

	for (struct span rest = span_from(s->settings->discard_ehlo_keywords),
			 skip;
	     span_token(&rest, ", \t\r\n", &skip);)
		if (span_eq_nocase(skip, word))
			return;
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (span_is_nocase(word, known[i].name))
			s->features |= known[i].feature;
	if (span_is_nocase(word, "SIZE") &&
	    !span_to_u64(span_trim(args), UINT64_MAX, &s->size_limit_bytes))
		s->size_limit_bytes = 0;
	if (span_is_nocase(word, "AUTH"))
		s->auth_mechanisms = mem_span_dup(s, span_trim(args));
}

/* false: the server has our own name. */
static bool features_read(struct smtp_session *s)
{
	const char *own = s->settings->conf->v.myhostname;
	struct span first = smtp_reply_line(s->reply, 0), name;

	s->features = SMTP_ESMTP;
	s->size_limit_bytes = 0;
	s->auth_mechanisms = NULL;
	for (size_t i = 1; i < s->reply->line_count; i++) {
		struct span rest = smtp_reply_line(s->reply, i), word;

		if (span_token(&rest, " \t=", &word))
			keyword_take(s, word, rest);
	}
	return !span_token(&first, " \t", &name) || !span_is_nocase(name, own);
}

static bool loops_back(const struct smtp_session *s, TALLOC_CTX *mem,
		       const struct smtp_hello *hello, struct outcome *why)
{
	if (s->tls == NULL)
		log_warning("host %s replied to HELO/EHLO with my own "
			    "hostname %s",
			    s->peer, s->settings->conf->v.myhostname);
	if (!hello->detect_loop)
		return true;
	*why = (struct outcome){
	    .action = DELIVERY_BOUNCED,
	    .dsn = "5.4.6",
	    .text = mem_printf(mem, "mail for %s loops back to myself",
			       hello->domain),
	    .relay = s->relay,
	    .tls = s->tls_text,
	};
	return false;
}

static bool ehlo(struct smtp_session *s, TALLOC_CTX *mem,
		 const struct smtp_hello *hello, bool esmtp,
		 struct outcome *why)
{
	const struct smtp_settings *set = s->settings;
	const char *verb = set->lmtp ? "LHLO" : "EHLO";

	if (esmtp) {
		s->doing = set->lmtp ? "performing the LHLO handshake"
				     : "performing the EHLO handshake";
		if (!command_send(
			s, mem, why,
			mem_printf(mem, "%s %s\r\n", verb, set->helo_name)) ||
		    !smtp_session_reply(s, mem, why))
			return false;
		if (s->reply->code / 100 == 2)
			return features_read(s) ||
			       loops_back(s, mem, hello, why);
		if (set->lmtp || s->reply->code == 421)
			return site_failed(s, mem, why);
	}
	s->doing = "performing the HELO handshake";
	if (!command_send(s, mem, why,
			  mem_printf(mem, "HELO %s\r\n", set->helo_name)) ||
	    !smtp_session_reply(s, mem, why))
		return false;
	if (s->reply->code / 100 != 2)
		return site_failed(s, mem, why);
	s->features = 0;
	return true;
}

/* "hostname" and "nexthop" stand for what they say. */
static const char *server_name(const struct smtp_session *s,
			       const struct smtp_hello *hello)
{
	const char *name = hello->policy->servername;

	if (name == NULL)
		return NULL;
	if (strcasecmp(name, "hostname") == 0)
		return s->name;
	return strcasecmp(name, "nexthop") == 0 ? hello->domain : name;
}

static struct tls_policy connect_policy(const struct smtp_session *s,
					const struct smtp_hello *hello)
{
	const struct smtp_tls_policy *p = hello->policy;

	return (struct tls_policy){
	    .level = p->level,
	    .strength = {.protocols = p->protocols,
			 .grade = p->ciphers,
			 .exclude = p->exclude},
	    .servername = server_name(s, hello),
	    .nexthop_domain = hello->domain,
	    .hostname = s->name,
	    .match = p->match,
	    .match_count = p->match_count,
	    .anchor_files = p->anchor_files,
	    .tlsa = p->tlsa,
	    .tlsa_count = p->tlsa_count,
	    .tlsa_domain = p->tlsa_domain,
	    .tlsa_insecure_mx = p->tlsa_insecure_mx,
	    .wildcard_multi_label =
		s->settings->conf->v.tls_wildcard_matches_multiple_labels,
	    .session_key = s->key,
	};
}

static bool handshake(struct smtp_session *s, TALLOC_CTX *mem,
		      struct smtp_hello *hello, struct outcome *why)
{
	struct tls_policy policy = connect_policy(s, hello);
	const bool is_logged = s->settings->tls_loglevel[0] > '0';
	char report[TLS_REPORT_BYTES];
	struct span rest, line;
	struct fault fault;

	policy.ret_report = report;
	net_stream_set_timeout(s->stream, s->settings->starttls_timeout * 1000);
	if (tls_connect(s, hello->tls_client, &policy, s->stream, s->relay,
			&s->tls, &fault) == RC_OK) {
		s->tls_text = smtp_tls_text(s, s->settings, hello->policy, "");
		s->tls_reuse = hello->policy->reuse;
		if (is_logged)
			log_info("%s",
				 tls_summary(mem, s->tls, "to", s->relay));
		return true;
	}
	rest = span_from(report);
	if (rest.len == 0)
		log_info("%s", fault.text);
	while (is_logged && span_cut(&rest, '\n', &line))
		log_info("%.*s", SPAN_FMT(line));
	s->broken = true;
	hello->tls_failed = hello->policy->level == TLS_MAY;
	return tls_required_failed(
	    s, "4.7.5",
	    span_starts(span_from(fault.text), "Server certificate")
		? mem_strdup(mem, fault.text)
		: "Cannot start TLS: handshake failure",
	    why);
}

/* smtp_tls_block_early_mail_reply: replies to commands that are not ours. */
static bool no_early_reply(struct smtp_session *s, TALLOC_CTX *mem,
			   struct outcome *why)
{
	if (!s->settings->tls_block_early_mail_reply ||
	    net_stream_buffered(s->stream) == 0)
		return true;
	s->broken = true;
	log_warning("%s: a reply before the command: somebody may have sent "
		    "commands in our name before TLS began",
		    s->peer);
	return tls_required_failed(
	    s, "4.7.0",
	    mem_printf(mem, "host %s sent a reply before the command",
		       s->peer),
	    why);
}

/* STARTTLS was offered. */
static bool starttls(struct smtp_session *s, TALLOC_CTX *mem,
		     struct smtp_hello *hello, struct outcome *why)
{
	char *said, dsn[DSN_MAX_BYTES];

	if (!command_send(s, mem, why, "STARTTLS\r\n") ||
	    !smtp_session_reply(s, mem, why))
		return false;
	if (s->reply->code / 100 == 2) {
		/* Bytes in clear after the go-ahead could only be slipped in by
		 * somebody between us and the server. */
		if (net_stream_buffered(s->stream) > 0) {
			s->broken = true;
			log_warning("%s: bytes in clear after the reply to "
				    "STARTTLS",
				    s->peer);
			return tls_required_failed(
			    s, "4.7.5",
			    mem_printf(mem,
				       "Cannot start TLS: host %s sent "
				       "bytes before the handshake",
				       s->peer),
			    why);
		}
		return handshake(s, mem, hello, why) &&
		       ehlo(s, mem, hello, true, why) &&
		       no_early_reply(s, mem, why);
	}
	if (hello->policy->level == TLS_MAY)
		return true;
	said = smtp_reply_text(mem, s->reply, 500);
	smtp_reply_dsn(s->reply, dsn);
	dsn[0] = '4';
	return tls_required_failed(
	    s, mem_strdup(mem, dsn),
	    mem_printf(mem,
		       "TLS is required, but host %s refused to start "
		       "TLS: %s",
		       s->peer, said),
	    why);
}

static bool tls_begin(struct smtp_session *s, TALLOC_CTX *mem,
		      struct smtp_hello *hello, struct outcome *why)
{
	const enum tls_level level = hello->policy->level;
	const bool offered = (s->features & SMTP_STARTTLS) != 0;

	if (offered && s->settings->tls_note_starttls_offer &&
	    level == TLS_NONE)
		log_info("Host offered STARTTLS: [%s]", s->name);
	if (starttls_memory_note(hello->memory, s->relay, offered))
		log_warning("%s offered STARTTLS before and does not any more: "
			    "somebody on the way may be taking it out",
			    s->relay);
	if (level == TLS_NONE || hello->plaintext_only ||
	    (level == TLS_MAY && (!offered || hello->tls_client == NULL)))
		return true;
	if (hello->tls_client == NULL)
		return tls_required_failed(s, "4.7.5",
					   "TLS is required, but our TLS "
					   "engine is unavailable",
					   why);
	if (!offered)
		return tls_required_failed(
		    s, "4.7.4",
		    mem_printf(mem,
			       "TLS is required, but was not offered by "
			       "host %s",
			       s->peer),
		    why);
	return starttls(s, mem, hello, why);
}

bool smtp_session_hello(struct smtp_session *s, TALLOC_CTX *mem,
			struct smtp_hello *hello, struct outcome *why)
{
	const struct smtp_settings *set = s->settings;
	const bool wrapped = set->tls_wrappermode;
	struct span greeting;
	bool esmtp = set->always_send_ehlo;

	s->tls_text = smtp_tls_text(s, set, hello->policy, "?");
	if (wrapped && hello->policy->level < TLS_ENCRYPT)
		return tls_required_failed(s, "4.7.5",
					   "TLS wrappermode needs security "
					   "level encrypt or higher",
					   why);
	if (wrapped &&
	    (hello->tls_client == NULL || !handshake(s, mem, hello, why)))
		return hello->tls_client != NULL
			   ? false
			   : tls_required_failed(s, "4.7.5",
						 "TLS is required, but our "
						 "TLS engine is unavailable",
						 why);
	if (!greeting_read(s, mem, why))
		return false;
	greeting = smtp_reply_line(s->reply, 0);
	for (struct span word; !esmtp && span_token(&greeting, " \t", &word);)
		esmtp = span_is(word, "ESMTP");
	if (set->never_send_ehlo)
		esmtp = false;
	if (!ehlo(s, mem, hello, esmtp, why))
		return false;
	if (!wrapped && !tls_begin(s, mem, hello, why))
		return false;
	if (s->tls == NULL)
		s->tls_text = smtp_tls_text(s, set, hello->policy, ":none");
	return true;
}
