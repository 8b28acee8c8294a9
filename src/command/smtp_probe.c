/* SPDX-License-Identifier: Apache-2.0 */
#include "command/smtp_probe.h"

#include <fcntl.h>

#include "net/connect.h"
#include "sys/socket_unix.h"

enum { REPLY_TEXT_MAX_BYTES = 500 };

struct look {
	const struct smtp_probe_config *config;
	const struct tls_policy *policy;
	struct smtp_session *session;
	struct smtp_probe *probe;
	bool offers_starttls;
};

static void end(struct look *look, enum smtp_probe_end how, const char *why)
{
	look->probe->end = how;
	look->probe->why = why;
}

static void say(const struct look *look, const char *mark, struct span line)
{
	if (look->config->chat != NULL)
		look->config->chat(look->config->arg, mark, line);
}

static bool reply(struct look *look)
{
	struct smtp_session *s = look->session;
	struct outcome why = { 0 };

	if (!smtp_session_reply(s, look->probe, &why)) {
		end(look, PROBE_REFUSED, why.text);
		return false;
	}
	for (size_t i = 0; i < s->reply->line_count; i++)
		say(look, "<", s->reply->lines[i]);
	look->probe->masked |= smtp_reply_is_masked(s->reply);
	return true;
}

static bool command(struct look *look, const char *line, const char *doing)
{
	struct smtp_session *s = look->session;
	struct outcome why = { 0 };
	struct fault fault;

	s->doing = doing;
	net_stream_set_timeout(s->stream,
			       look->config->command_timeout_s * 1000);
	say(look, ">", span_from(line));
	if (net_stream_writef(s->stream, &fault, "%s\r\n", line) != RC_OK ||
	    net_stream_flush(s->stream, &fault) != RC_OK) {
		smtp_session_broken(s, look->probe, &why);
		end(look, PROBE_REFUSED, why.text);
		return false;
	}
	return reply(look);
}

static char *said(const struct look *look)
{
	return smtp_reply_text(look->probe, look->session->reply,
			       REPLY_TEXT_MAX_BYTES);
}

static bool greeting(struct look *look)
{
	struct smtp_session *s = look->session;

	net_stream_set_timeout(s->stream,
			       look->config->connect_timeout_s * 1000);
	if (!reply(look))
		return false;
	look->probe->greeting = said(look);
	if (s->reply->code / 100 == 2)
		return true;
	end(look, PROBE_REFUSED,
	    mem_printf(look->probe, "Server rejected: %s",
		       look->probe->greeting));
	return false;
}

static bool hello(struct look *look)
{
	const struct smtp_settings *set = look->config->settings;
	const char *verb = set->lmtp ? "LHLO" : "EHLO";
	struct smtp_session *s = look->session;
	struct span first, name;

	if (!command(look,
		     mem_printf(look->probe, "%s %s", verb, set->helo_name),
		     set->lmtp ? "performing the LHLO handshake"
			       : "performing the EHLO handshake"))
		return false;
	if (s->reply->code / 100 != 2) {
		end(look, PROBE_REFUSED,
		    mem_printf(look->probe, "%s rejected: %s", verb,
			       said(look)));
		return false;
	}
	look->probe->esmtp = true;
	look->offers_starttls = false;
	first = smtp_reply_line(s->reply, 0);
	if (span_token(&first, " \t", &name))
		look->probe->ehlo_name = mem_span_dup(look->probe, name);
	for (size_t i = 1; i < s->reply->line_count; i++) {
		struct span line = smtp_reply_line(s->reply, i), word;

		if (span_token(&line, " \t", &word))
			look->offers_starttls |=
				span_is_nocase(word, "STARTTLS");
	}
	return true;
}

static bool handshake(struct look *look)
{
	struct smtp_session *s = look->session;
	struct fault fault;

	net_stream_set_timeout(s->stream,
			       look->config->command_timeout_s * 1000);
	if (tls_connect(s, look->config->tls_client, look->policy, s->stream,
			s->relay, &s->tls, &fault) != RC_OK) {
		s->broken = true;
		end(look, PROBE_HANDSHAKE_FAILED,
		    mem_strdup(look->probe, fault.text));
		return false;
	}
	if (look->config->secured != NULL)
		look->config->secured(look->config->arg, s->tls, s->relay);
	return true;
}

static bool starttls(struct look *look)
{
	struct smtp_session *s = look->session;

	if (!look->offers_starttls || look->config->tls_client == NULL) {
		end(look, PROBE_NO_STARTTLS, NULL);
		return false;
	}
	if (!command(look, "STARTTLS", "performing the STARTTLS command"))
		return false;
	if (s->reply->code / 100 != 2) {
		end(look, PROBE_STARTTLS_REFUSED, said(look));
		return false;
	}
	if (net_stream_buffered(s->stream) > 0) {
		s->broken = look->probe->injected = true;
		end(look, PROBE_HANDSHAKE_FAILED,
		    "bytes in clear after the reply to STARTTLS");
		return false;
	}
	return handshake(look) && hello(look);
}

static void dialogue(struct look *look)
{
	const bool wrapper = look->config->wrapper;

	if ((wrapper && !handshake(look)) || !greeting(look) || !hello(look) ||
	    (!wrapper && !starttls(look)))
		return;
	end(look, PROBE_SECURED, NULL);
}

static void goodbye(struct look *look)
{
	struct smtp_session *s = look->session;
	const struct smtp_probe kept = *look->probe;

	if (!s->broken && look->probe->greeting != NULL && look->probe->esmtp)
		(void)command(look, "QUIT", "sending QUIT");
	*look->probe = kept;
	s->broken = true; /* QUIT is said */
	smtp_session_close(s);
}

static void look_at(struct look *look, int fd, const char *name,
		    const char *address, uint16_t port)
{
	look->session = smtp_session_new(look->config->settings, fd, name,
					 address, port);
	look->probe->peer = mem_strdup(look->probe, look->session->relay);
	if (look->config->connected != NULL)
		look->config->connected(look->config->arg, look->probe->peer);
	dialogue(look);
	goodbye(look);
}

static struct smtp_probe *unreachable(struct look *look, const char *peer,
				      const struct fault *fault)
{
	look->probe->peer = peer;
	end(look, PROBE_UNREACHABLE, mem_strdup(look->probe, fault->text));
	return look->probe;
}

struct smtp_probe *smtp_probe_run(TALLOC_CTX *mem,
				  const struct smtp_probe_config *config,
				  const struct smtp_host *host,
				  const struct tls_policy *policy)
{
	struct look look = {
		.config = config,
		.policy = policy,
		.probe = mem_new(mem, struct smtp_probe),
	};
	const uint16_t port = net_address_port(&host->address);
	char address[NET_ADDRESS_TEXT_MAX];
	struct fault fault;
	int fd;

	net_address_text(&host->address, address);
	if (net_connect(&host->address, NULL, config->connect_timeout_s * 1000,
			&fd, &fault) != RC_OK)
		return unreachable(&look,
				   mem_printf(look.probe, "%s[%s]:%u",
					      host->name, address, port),
				   &fault);
	look_at(&look, fd, host->name, address, port);
	return look.probe;
}

struct smtp_probe *smtp_probe_unix(TALLOC_CTX *mem,
				   const struct smtp_probe_config *config,
				   const char *path,
				   const struct tls_policy *policy)
{
	struct look look = {
		.config = config,
		.policy = policy,
		.probe = mem_new(mem, struct smtp_probe),
	};
	struct fault fault;
	int fd;

	if (socket_unix_connect(AT_FDCWD, path, SOCK_STREAM, SOCK_CLOEXEC, &fd,
				&fault) != RC_OK)
		return unreachable(&look,
				   mem_printf(look.probe, "%s[%s]",
					      policy->hostname, path),
				   &fault);
	look_at(&look, fd, policy->hostname, path, 0);
	return look.probe;
}
