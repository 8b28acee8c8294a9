/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/rehearsal.h"

#include "arrive/smtpd/session.h"

struct rehearsal {
	struct smtpd_server *server;
	struct smtpd_session *session; /* without a parent; or NULL */
	struct smtpd_thread *thread;
	struct buf reply;
};

void rehearsal_learn(struct smtpd_session *s)
{
	const struct rehearsal_client *client = s->server->rehearsal;

	session_set_text(s, &s->server_address, client->server_address);
	session_set_text(s, &s->sasl_username, client->sasl_username);
	if (client->sasl_username != NULL)
		session_set_text(s, &s->sasl_method, "PLAIN");
	if (client->name == NULL)
		return;
	session_set_text(s, &s->client_name, client->name);
	session_set_text(s, &s->reverse_name, client->reverse_name);
	s->client_name_rc = client->name_rc;
	s->reverse_name_rc = client->reverse_name_rc;
}

static int rehearsal_close(struct rehearsal *r)
{
	talloc_free(r->session);
	return 0;
}

enum rc rehearsal_open(TALLOC_CTX *mem, struct conf *conf,
		       const char *service_name,
		       struct rehearsal **ret_rehearsal, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct rehearsal *r = mem_new(tmp, struct rehearsal);
	enum rc rc;

	r->server = mem_new(r, struct smtpd_server);
	r->server->conf = conf;
	r->server->service_name = mem_strdup(r, service_name);
	r->thread = smtpd_thread_new(r);
	buf_init(&r->reply, r, SMTPD_OUTPUT_BYTES);
	talloc_set_destructor(r, rehearsal_close);
	rc = smtpd_server_open_rules(r->server, fault);
	if (rc == RC_OK)
		rc = smtpd_server_tls_level(r->server, fault);
	if (rc != RC_OK)
		return rc;
	TALLOC_FREE(r->server->clients);
	*ret_rehearsal = talloc_steal(mem, r);
	return RC_OK;
}

/* What was said, without the CR of its lines and the last end. */
static const char *take_reply(struct rehearsal *r)
{
	struct buf *output = &r->thread->output;
	struct span rest = buf_span(output);

	buf_clear(&r->reply);
	for (size_t i = 0; i < rest.len; i++)
		if (rest.ptr[i] != '\r' &&
		    !(rest.ptr[i] == '\n' && i + 1 == rest.len))
			buf_add_char(&r->reply, rest.ptr[i]);
	buf_clear(output);
	return buf_text(&r->reply);
}

enum rc rehearsal_connect(struct rehearsal *r,
			  const struct rehearsal_client *client,
			  const char **ret_reply, struct fault *fault)
{
	struct net_address address;

	if (!net_address_parse(span_from(client->address), &address))
		return fault_set(fault, RC_PERM, "5.5.4",
				 "\"%s\" is not an IP address",
				 client->address);
	TALLOC_FREE(r->session);
	r->server->rehearsal = client;
	r->session = smtpd_session_new(r->server, -1, &address);
	r->session->thread = r->thread;
	session_start_go_on(r->session);
	*ret_reply = take_reply(r);
	return RC_OK;
}

const char *rehearsal_say(struct rehearsal *r, const char *line)
{
	struct smtpd_session *s = r->session;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	if (rehearsal_is_over(r))
		return "";
	s->input = span_from(mem_printf(tmp, "%s\r\n", line));
	while (s->input.len > 0 && !rehearsal_is_over(r)) {
		size_t left = s->input.len;

		s->sleep_until_ms = 0; /* nobody is there to be slowed down */
		if (!session_consume(s) && s->input.len == left)
			break;
	}
	s->input = (struct span){ "", 0 };
	return take_reply(r);
}

bool rehearsal_is_over(const struct rehearsal *r)
{
	return r->session == NULL || r->session->phase == PHASE_END;
}
