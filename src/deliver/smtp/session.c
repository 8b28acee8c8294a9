/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/smtp/session.h"

#include "base/clock.h"
#include "mail/dsn.h"

enum {
	REPLY_MAX_BYTES = 64 * 1024,
	REPLY_TEXT_MAX_BYTES = 900,
	QUIT_WAIT_MAX_S = 5,
};

struct smtp_session *smtp_session_new(const struct smtp_settings *settings,
				      int fd, const char *name,
				      const char *address, uint16_t port)
{
	struct smtp_session *s = mem_new(NULL, struct smtp_session);

	s->settings = settings;
	s->stream = net_stream_new(s, fd);
	s->name = mem_strdup(s, name);
	s->peer = mem_printf(s, "%s[%s]", name, address);
	s->relay = port == 0 ? s->peer : mem_printf(s, "%s:%u", s->peer, port);
	s->opened_ms = clock_mono_ms();
	s->doing = "receiving the initial server greeting";
	buf_init(&s->reply_bytes, s, REPLY_MAX_BYTES);
	return s;
}

void smtp_session_broken(struct smtp_session *s, TALLOC_CTX *mem,
			 struct outcome *why)
{
	const char *how = "lost connection with %s while %s";

	s->broken = true;
	if (net_stream_trouble(s->stream) == NET_TIMED_OUT)
		how = "conversation with %s timed out while %s";
	*why = (struct outcome){
	    .action = DELIVERY_DEFERRED,
	    .dsn = "4.4.2",
	    .text =
		how[0] == 'l'
		    ? mem_printf(mem, "lost connection with %s while %s",
				 s->peer, s->doing)
		    : mem_printf(mem, "conversation with %s timed out while %s",
				 s->peer, s->doing),
	    .relay = s->relay,
	    .conn_use = s->uses,
	    .tls = s->tls_text,
	    .remote_mta = s->name,
	};
}

static bool reply_nonsense(struct smtp_session *s, TALLOC_CTX *mem,
			   struct outcome *why)
{
	smtp_session_broken(s, mem, why);
	why->dsn = "4.5.0";
	why->text =
	    mem_printf(mem, "remote protocol error in reply from %s while %s",
		       s->peer, s->doing);
	return false;
}

/* "250 " or "250" ends a reply, "250-" does not. */
static bool line_is_last(struct span line)
{
	return line.len < 4 || line.ptr[3] != '-';
}

bool smtp_session_reply(struct smtp_session *s, TALLOC_CTX *mem,
			struct outcome *why)
{
	struct span line, bytes;
	struct fault fault;
	size_t lines = 0;
	enum rc rc;

	TALLOC_FREE(s->reply);
	buf_clear(&s->reply_bytes);
	do {
		rc = net_stream_read_line(s->stream, SMTP_REPLY_LINE_MAX_BYTES,
					  &line, &fault);
		if (rc == RC_PERM)
			return reply_nonsense(s, mem, why);
		if (rc != RC_OK) {
			smtp_session_broken(s, mem, why);
			return false;
		}
		buf_add(&s->reply_bytes, line);
		buf_add(&s->reply_bytes, SPAN_OF("\r\n"));
		if (++lines > SMTP_REPLY_LINES_MAX)
			return reply_nonsense(s, mem, why);
	} while (!line_is_last(line));
	bytes = buf_span(&s->reply_bytes);
	if (s->reply_bytes.full ||
	    smtp_reply_parse(s, &bytes, &s->reply, &fault) != RC_OK)
		return reply_nonsense(s, mem, why);
	return true;
}

void smtp_session_refused(const struct smtp_session *s, TALLOC_CTX *mem,
			  const char *command, struct outcome *why)
{
	char *said = smtp_reply_text(mem, s->reply, REPLY_TEXT_MAX_BYTES);
	char dsn[DSN_MAX_BYTES];

	smtp_reply_dsn(s->reply, dsn);
	*why = (struct outcome){
	    .action =
		s->reply->code >= 500 ? DELIVERY_BOUNCED : DELIVERY_DEFERRED,
	    .text = command != NULL
			? mem_printf(mem, "host %s said: %s (in reply to %s)",
				     s->peer, said, command)
			: mem_printf(mem, "host %s refused to talk to me: %s",
				     s->peer, said),
	    .relay = s->relay,
	    .conn_use = s->uses,
	    .tls = s->tls_text,
	    .remote_mta = s->name,
	    .diag_type = "smtp",
	    .diag_text = said,
	};
	/* A 2xx or 3xx where it does not belong: try again. */
	if (s->reply->code < 400)
		snprintf(dsn, sizeof(dsn), "4.5.0");
	why->dsn = mem_strdup(mem, dsn);
}

const char *smtp_tls_text(TALLOC_CTX *mem, const struct smtp_settings *settings,
			  const struct smtp_tls_policy *policy,
			  const char *suffix)
{
	if (!settings->log_tls_feature_status)
		return NULL;
	if (policy->wanted == TLS_NONE)
		return "none";
	if (suffix[0] == ':' || policy->wanted == policy->level)
		return mem_printf(mem, "%s%s%s", tls_level_name(policy->wanted),
				  policy->tlsa_insecure_mx ? ":halfdane" : "",
				  suffix);
	return mem_printf(mem, "%s:%s%s", tls_level_name(policy->wanted),
			  tls_level_name(policy->level), suffix);
}

void smtp_session_close(struct smtp_session *s)
{
	struct fault fault;
	struct outcome why;

	if (!s->broken) {
		int wait_s = MIN_OF(s->settings->quit_timeout, QUIT_WAIT_MAX_S);

		s->doing = "sending QUIT";
		net_stream_set_timeout(s->stream, wait_s * 1000);
		if (net_stream_write(s->stream, SPAN_OF("QUIT\r\n"), &fault) ==
			RC_OK &&
		    net_stream_flush(s->stream, &fault) == RC_OK &&
		    !s->settings->skip_quit_response &&
		    smtp_session_reply(s, s, &why))
			s->broken = true;
	}
	if (s->tls != NULL)
		tls_close(s->tls);
	talloc_free(s);
}
