/* SPDX-License-Identifier: Apache-2.0 */
/* What a client says: from options, and from lines of a session file. */
#include "command/explain_priv.h"

#include "net/address.h"

enum { ATTRIBUTE_MAX_BYTES = 4096 };

/* "<jo@example.test>" or without the brackets. */
static struct span without_brackets(struct span text)
{
	if (span_starts(text, "<") && span_ends(text, ">") && text.len >= 2)
		return span_take(span_skip(text, 1), text.len - 2);
	return text;
}

static enum rc bad_client(struct span text, struct fault *fault)
{
	return fault_set(fault, RC_PERM, "5.5.4",
			 "client \"%.*s\": write NAME[ADDRESS] or ADDRESS, as "
			 "in mail.example.test[192.0.2.1]",
			 SPAN_FMT(span_take(text, 200)));
}

enum rc explain_client_parse(TALLOC_CTX *mem, struct span text,
			     struct explain_session *session,
			     struct fault *fault)
{
	struct span name = text, address = text;
	struct net_address ip;
	ssize_t open = span_rfind(text, '[');

	if (span_ends(text, "]") && open >= 0) {
		address = span_skip(text, (size_t)open + 1);
		address.len--;
		name = span_take(text, (size_t)open);
	} else {
		name.len = 0;
	}
	if (span_starts_nocase(address, "ipv6:"))
		address = span_skip(address, 5);
	if (!net_address_parse(address, &ip))
		return bad_client(text, fault);
	session->client_address = mem_span_dup(mem, address);
	session->client_name = NULL;
	session->name_unavailable = span_is_nocase(name, "[TEMPUNAVAIL]");
	if (session->name_unavailable || span_is_nocase(name, "[UNAVAILABLE]"))
		session->client_name = "unknown";
	else if (name.len > 0)
		session->client_name = mem_span_dup(mem, name);
	return RC_OK;
}

void explain_recipient_add(TALLOC_CTX *mem, struct explain_session *session,
			   struct span address)
{
	if (session->recipient_count >= SESSION_RECIPIENTS_MAX)
		return;
	session->recipients = mem_resize(mem, session->recipients, const char *,
					 session->recipient_count + 1);
	session->recipients[session->recipient_count++] =
		mem_span_dup(mem, without_brackets(address));
}

/* "TLSv1.3:CIPHER", "yes", "no" */
static void set_tls(TALLOC_CTX *mem, struct explain_session *session,
		    struct span value)
{
	session->tls =
		span_is_nocase(value, "no") ? NULL : mem_span_dup(mem, value);
}

static bool is_yes(struct span value)
{
	return span_is_nocase(value, "yes") || span_is_nocase(value, "1") ||
	       span_is_nocase(value, "true");
}

static const struct {
	const char *name;
	size_t offset; /* of a text in struct explain_session */
	bool address;
} texts[] = {
#define TEXT(name, field, address)                                     \
	{                                                              \
		name, offsetof(struct explain_session, field), address \
	}
	TEXT("reverse", reverse_name, false),
	TEXT("server", server_address, false),
	TEXT("helo", helo, false),
	TEXT("from", sender, true),
	TEXT("etrn", etrn_domain, false),
	TEXT("sasl", sasl_username, false),
	TEXT("cert", cert, false),
	TEXT("cert-key", cert_key, false),
	TEXT("size", size, false),
	TEXT("id", id, false),
	TEXT("was", was, false),
#undef TEXT
};

/* A line end would begin another command. */
static bool is_sane(struct span value)
{
	for (size_t i = 0; i < value.len; i++)
		if (value.ptr[i] == '\0' || value.ptr[i] == '\r' ||
		    value.ptr[i] == '\n')
			return false;
	return value.len <= ATTRIBUTE_MAX_BYTES;
}

enum rc explain_session_set(TALLOC_CTX *mem, struct explain_session *session,
			    struct span name, struct span value,
			    struct fault *fault)
{
	if (!is_sane(value))
		return fault_set(fault, RC_PERM, "5.5.4",
				 "%.*s: a line end, a NUL or too long",
				 SPAN_FMT(name));
	if (span_is(name, "client"))
		return explain_client_parse(mem, value, session, fault);
	if (span_is(name, "to")) {
		explain_recipient_add(mem, session, value);
		return RC_OK;
	}
	if (span_is(name, "tls")) {
		set_tls(mem, session, value);
		return RC_OK;
	}
	if (span_is(name, "smtp") || span_is(name, "cert-trusted")) {
		*(span_is(name, "smtp") ? &session->smtp
					: &session->cert_trusted) =
			is_yes(value);
		return RC_OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (!span_is(name, texts[i].name))
			continue;
		*(const char **)((char *)session + texts[i].offset) =
			mem_span_dup(mem, texts[i].address
						  ? without_brackets(value)
						  : value);
		session->has_sender |= span_is(name, "from");
		return RC_OK;
	}
	return fault_set(fault, RC_PERM, "5.5.4",
			 "no attribute \"%.*s\"; there are client, reverse, "
			 "server, helo, smtp, from, to, etrn, size, sasl, tls, "
			 "cert, cert-key, cert-trusted, id",
			 SPAN_FMT(span_take(name, 60)));
}

/* name=value or name="va lue" off the front. */
static enum rc cut_attribute(struct span *rest, struct span *ret_name,
			     struct span *ret_value, struct fault *fault)
{
	ssize_t at = span_find(*rest, '='), end;

	if (at <= 0)
		return fault_set(fault, RC_PERM, "5.5.4",
				 "name=value expected at \"%.*s\"",
				 SPAN_FMT(span_take(*rest, 60)));
	*ret_name = span_take(*rest, (size_t)at);
	*rest = span_skip(*rest, (size_t)at + 1);
	if (span_starts(*rest, "\"")) {
		*rest = span_skip(*rest, 1);
		end = span_find(*rest, '"');
		if (end < 0)
			return fault_set(fault, RC_PERM, "5.5.4",
					 "no end of the quoted value of %.*s",
					 SPAN_FMT(span_take(*ret_name, 60)));
		*ret_value = span_take(*rest, (size_t)end);
		*rest = span_skip(*rest, (size_t)end + 1);
		return RC_OK;
	}
	*ret_value = *rest;
	for (size_t i = 0; i < rest->len; i++) {
		if (!ascii_is_space(rest->ptr[i]))
			continue;
		*ret_value = span_take(*rest, i);
		break;
	}
	*rest = span_skip(*rest, ret_value->len);
	return RC_OK;
}

enum rc explain_session_parse(TALLOC_CTX *mem, struct span line,
			      struct explain_session *ret_session,
			      struct fault *fault)
{
	struct explain_session session = { 0 };
	struct span name, value;

	line = span_trim(line);
	if (line.len == 0 || line.ptr[0] == '#')
		return RC_NONE;
	if (line.len > SESSION_LINE_MAX_BYTES)
		return fault_set(fault, RC_PERM, "5.5.4",
				 "the line is longer than %d bytes",
				 SESSION_LINE_MAX_BYTES);
	for (; line.len > 0; line = span_trim(line)) {
		if (cut_attribute(&line, &name, &value, fault) != RC_OK ||
		    explain_session_set(mem, &session, name, value, fault) !=
			    RC_OK)
			return RC_PERM;
	}
	if (session.client_address == NULL)
		return fault_set(fault, RC_PERM, "5.5.4",
				 "client=NAME[ADDRESS] is missing");
	*ret_session = session;
	return RC_OK;
}

static void add_value(struct buf *out, const char *name, const char *value,
		      bool address)
{
	bool quote = value[0] == '\0' || strpbrk(value, " \t") != NULL;

	if (out->len > 0)
		buf_add_char(out, ' ');
	buf_addf(out, "%s=%s%s%s%s%s", name, quote && !address ? "\"" : "",
		 address ? "<" : "", value, address ? ">" : "",
		 quote && !address ? "\"" : "");
}

char *explain_session_format(TALLOC_CTX *mem,
			     const struct explain_session *session)
{
	struct buf out;

	buf_init(&out, mem, (size_t)16 * SESSION_LINE_MAX_BYTES);
	buf_addf(&out,
		 session->client_name == NULL ? "client=%s%s" : "client=%s[%s]",
		 session->client_name == NULL ? ""
		 : session->name_unavailable  ? "[TEMPUNAVAIL]"
					      : session->client_name,
		 session->client_address);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		const char *value =
			*(const char *const *)((const char *)session +
					       texts[i].offset);

		if (value != NULL && strcmp(texts[i].name, "id") != 0 &&
		    strcmp(texts[i].name, "was") != 0)
			add_value(&out, texts[i].name, value, texts[i].address);
	}
	for (size_t i = 0; i < session->recipient_count; i++)
		add_value(&out, "to", session->recipients[i], true);
	if (session->tls != NULL)
		add_value(&out, "tls", session->tls, false);
	if (session->cert_trusted)
		add_value(&out, "cert-trusted", "yes", false);
	if (session->smtp)
		add_value(&out, "smtp", "yes", false);
	return (char *)(uintptr_t)buf_text(&out);
}
