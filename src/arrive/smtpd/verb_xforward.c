/* SPDX-License-Identifier: Apache-2.0 */
/* XFORWARD: who sent the next message to the client, for logs and filters. */
#include "arrive/smtpd/attribute.h"
#include "arrive/smtpd/command.h"

static void take(struct session_forward *f, const struct attributes *attributes)
{
	const struct {
		enum attribute_name name;
		char **text;
		bool of_client;
	} texts[] = {
		{ ATTRIBUTE_NAME, &f->name, true },
		{ ATTRIBUTE_ADDR, &f->address, true },
		{ ATTRIBUTE_PORT, &f->port, true },
		{ ATTRIBUTE_PROTO, &f->proto, true },
		{ ATTRIBUTE_HELO, &f->helo, true },
		{ ATTRIBUTE_IDENT, &f->ident, false },
	};
	const struct attribute *source = &attributes->at[ATTRIBUTE_SOURCE];

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		const struct attribute *a = &attributes->at[texts[i].name];

		if (a->status == ATTRIBUTE_NOT_GIVEN)
			continue;
		talloc_free(*texts[i].text);
		*texts[i].text =
			a->text == NULL ? NULL : mem_strdup(f, a->text);
		f->has_client |= texts[i].of_client;
	}
	if (source->status == ATTRIBUTE_VALUE)
		f->source = span_is_nocase(span_from(source->text), "LOCAL")
				    ? FORWARD_LOCAL
				    : FORWARD_REMOTE;
}

enum verb_result verb_xforward(struct smtpd_session *s, struct span args)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct attributes attributes;
	struct fault fault = { 0 };

	if (!verb_xclient_is_allowed(s, "XFORWARD", args,
				     session_may_forward(s)))
		return VERB_FAILED;
	if (attributes_parse(tmp, ATTRIBUTES_XFORWARD, args, &attributes,
			     &fault) != RC_OK) {
		session_reply(s, "501 %s %s", fault.dsn, fault.text);
		return VERB_FAILED;
	}
	if (s->forward == NULL)
		s->forward = mem_new(s, struct session_forward);
	take(s->forward, &attributes);
	session_reply(s, "250 2.0.0 Ok");
	return VERB_DONE;
}
