/* SPDX-License-Identifier: Apache-2.0 */
/* What of a session a restriction looks at, by its name. */
#include "command/explain_priv.h"

static const char *client_text(TALLOC_CTX *mem, const struct explain_session *s,
			       const char *recipient)
{
	const char *name = s->client_name == NULL ? "" : s->client_name;

	if (s->reverse_name != NULL)
		return mem_printf(mem, "client %s[%s], reverse name %s", name,
				  s->client_address, s->reverse_name);
	return mem_printf(mem, "client %s[%s]", name, s->client_address);
}

static const char *helo_text(TALLOC_CTX *mem, const struct explain_session *s,
			     const char *recipient)
{
	return s->helo == NULL ? "no helo"
			       : mem_printf(mem, "helo %s", s->helo);
}

static const char *sender_text(TALLOC_CTX *mem, const struct explain_session *s,
			       const char *recipient)
{
	return s->sender == NULL ? "no sender yet"
				 : mem_printf(mem, "sender <%s>", s->sender);
}

static const char *recipient_text(TALLOC_CTX *mem,
				  const struct explain_session *s,
				  const char *recipient)
{
	return recipient == NULL ? "no recipient is asked about"
				 : mem_printf(mem, "recipient <%s>", recipient);
}

static const char *login_text(TALLOC_CTX *mem, const struct explain_session *s,
			      const char *recipient)
{
	return s->sasl_username == NULL
		       ? "not logged in"
		       : mem_printf(mem, "logged in as %s", s->sasl_username);
}

static const char *tls_text(TALLOC_CTX *mem, const struct explain_session *s,
			    const char *recipient)
{
	const char *cert = s->cert != NULL ? s->cert : s->cert_key;

	if (s->tls == NULL && cert == NULL && !s->cert_trusted)
		return "no TLS";
	if (cert == NULL)
		return "TLS, no client certificate";
	return mem_printf(mem, "TLS, %s certificate %s",
			  s->cert_trusted ? "trusted" : "unverified", cert);
}

static const char *login_and_sender(TALLOC_CTX *mem,
				    const struct explain_session *s,
				    const char *recipient)
{
	return mem_printf(mem, "%s, %s", login_text(mem, s, recipient),
			  sender_text(mem, s, recipient));
}

static const char *count_text(TALLOC_CTX *mem, const struct explain_session *s,
			      const char *recipient)
{
	return mem_printf(mem, "%s, %zu recipients",
			  sender_text(mem, s, recipient), s->recipient_count);
}

static const char *etrn_text(TALLOC_CTX *mem, const struct explain_session *s,
			     const char *recipient)
{
	return mem_printf(mem, "etrn %s",
			  s->etrn_domain == NULL ? "-" : s->etrn_domain);
}

/* The first part that is in the name decides. */
static const struct {
	const char *part;
	const char *(*text)(TALLOC_CTX *mem, const struct explain_session *s,
			    const char *recipient);
} inputs[] = {
	{ "login_mismatch", login_and_sender },
	{ "sasl", login_text },
	{ "ccert", tls_text },
	{ "tls_", tls_text },
	{ "plaintext", tls_text },
	{ "multi_recipient", count_text },
	{ "etrn", etrn_text },
	{ "helo", helo_text },
	{ "invalid_hostname", helo_text },
	{ "fqdn_hostname", helo_text },
	{ "unknown_hostname", helo_text },
	{ "sender", sender_text },
	{ "recipient", recipient_text },
	{ "destination", recipient_text },
	{ "mx_backup", recipient_text },
	{ "client", client_text },
	{ "networks", client_text },
	{ "interfaces", client_text },
	{ "rbl", client_text },
};

const char *explain_input(TALLOC_CTX *mem,
			  const struct explain_session *session,
			  const char *recipient, const char *rule)
{
	for (size_t i = 0; i < ARRAY_LEN(inputs); i++)
		if (strstr(rule, inputs[i].part) != NULL)
			return inputs[i].text(mem, session, recipient);
	return NULL;
}
