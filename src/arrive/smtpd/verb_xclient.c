/* SPDX-License-Identifier: Apache-2.0 */
/* XCLIENT: go on as if another client had connected. */
#include "arrive/smtpd/attribute.h"
#include "arrive/smtpd/command.h"

bool verb_xclient_is_allowed(struct smtpd_session *s, const char *verb,
			     struct span args, enum rc right)
{
	if (s->transaction != NULL)
		session_reply(s, "503 5.5.1 Error: MAIL transaction in "
				 "progress");
	else if (args.len == 0)
		session_reply(s, "501 5.5.4 Syntax: %s attribute=value...",
			      verb);
	else if (right == RC_NONE)
		session_reply(s,
			      "550 5.7.0 Error: insufficient authorization");
	else if (right != RC_OK)
		session_reply(s, "451 4.3.0 Error: temporary lookup failure");
	else
		return true;
	return false;
}

/* A name, and how it is known. */
static void take_name(struct smtpd_session *s, const struct attribute *name,
		      char **text, enum rc *rc)
{
	session_set_text(s, text, name->text != NULL ? name->text : "unknown");
	*rc = name->status == ATTRIBUTE_VALUE	      ? RC_OK
	      : name->status == ATTRIBUTE_TEMPUNAVAIL ? RC_TEMP
						      : RC_PERM;
}

static void take_text(struct smtpd_session *s, const struct attribute *value,
		      char **text)
{
	if (value->status != ATTRIBUTE_NOT_GIVEN)
		session_set_text(s, text,
				 value->text != NULL ? value->text : "unknown");
}

static void take_client(struct smtpd_session *s,
			const struct attributes *attributes)
{
	const struct attribute *at = attributes->at;

	if (at[ATTRIBUTE_NAME].status != ATTRIBUTE_NOT_GIVEN) {
		take_name(s, &at[ATTRIBUTE_NAME], &s->client_name,
			  &s->client_name_rc);
		take_name(s, &at[ATTRIBUTE_NAME], &s->reverse_name,
			  &s->reverse_name_rc);
	}
	if (at[ATTRIBUTE_REVERSE_NAME].status != ATTRIBUTE_NOT_GIVEN)
		take_name(s, &at[ATTRIBUTE_REVERSE_NAME], &s->reverse_name,
			  &s->reverse_name_rc);
	take_text(s, &at[ATTRIBUTE_ADDR], &s->client_address);
	take_text(s, &at[ATTRIBUTE_PORT], &s->client_port);
	take_text(s, &at[ATTRIBUTE_DESTADDR], &s->server_address);
	take_text(s, &at[ATTRIBUTE_DESTPORT], &s->server_port);
	/* what the session before it had said is over */
	session_set_text(s, &s->helo, at[ATTRIBUTE_HELO].text);
	s->esmtp = at[ATTRIBUTE_PROTO].text != NULL &&
		   span_is_nocase(span_from(at[ATTRIBUTE_PROTO].text), "ESMTP");
	session_set_text(s, &s->sasl_username, at[ATTRIBUTE_LOGIN].text);
	session_set_text(s, &s->sasl_method,
			 s->sasl_username != NULL ? "XCLIENT" : NULL);
}

enum verb_result verb_xclient(struct smtpd_session *s, struct span args)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct attributes attributes;
	struct fault fault = { 0 };

	if (!verb_xclient_is_allowed(
		    s, "XCLIENT", args,
		    session_in_list(s, s->server->xclient_hosts,
				    "smtpd_authorized_xclient_hosts")))
		return VERB_FAILED;
	if (attributes_parse(tmp, ATTRIBUTES_XCLIENT, args, &attributes,
			     &fault) != RC_OK) {
		session_reply(s, "501 %s %s", fault.dsn, fault.text);
		return VERB_FAILED;
	}
	(void)!session_may_forward(s); /* while it is who it was */
	session_reset(s);
	memset(&s->rules, 0, sizeof(s->rules));
	take_client(s, &attributes);
	session_client_changed(s);
	session_greet(s);
	return VERB_REPLACED;
}
