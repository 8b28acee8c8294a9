/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/received.h"

#include "mail/date.h"

/* Text from outside, made safe for a header: no line ends, no NUL. */
static void add_safe(struct buf *out, const char *text)
{
	for (; text != NULL && *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		buf_add_char(out, c < ' ' || c == 127 ? '?' : (char)c);
	}
}

/* Inside a comment or quotes these would end it. */
static void add_escaped(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (strchr("()\"\\", c) != NULL)
			buf_add_char(out, '\\');
		buf_add_char(out, c < ' ' || c == 127 ? '?' : (char)c);
	}
}

static void add_signature(struct buf *out, const char *side,
			  const char *signature, const char *digest)
{
	if (signature == NULL)
		return;
	buf_addf(out, " %s-signature ", side);
	add_safe(out, signature);
	if (digest != NULL) {
		buf_addf(out, " %s-digest ", side);
		add_safe(out, digest);
	}
}

static void add_client_certificate(struct buf *out,
				   const struct received_tls *tls)
{
	if (tls->client_cn == NULL) {
		buf_add_text(
			out,
			tls->client_asked
				? "\t(Client did not present a certificate)\r\n"
				: "\t(No client certificate requested)\r\n");
		return;
	}
	buf_add_text(out, "\t(Client CN \"");
	add_escaped(out, tls->client_cn);
	buf_add_text(out, "\", Issuer \"");
	add_escaped(out, tls->client_issuer == NULL ? "" : tls->client_issuer);
	buf_add_text(out, tls->client_trusted ? "\" (verified OK))\r\n"
					      : "\" (not verified))\r\n");
}

static void add_tls(struct buf *out, const struct received_tls *tls)
{
	buf_addf(out, "\t(using %s with cipher %s (%d/%d bits)", tls->protocol,
		 tls->cipher, tls->used_bits, tls->algorithm_bits);
	if (tls->key_exchange != NULL) {
		buf_add_text(out, "\r\n\t key-exchange ");
		add_safe(out, tls->key_exchange);
		add_signature(out, "server", tls->server_signature,
			      tls->server_digest);
		if (tls->client_signature != NULL)
			buf_add_text(out, "\r\n\t");
		add_signature(out, "client", tls->client_signature,
			      tls->client_digest);
	}
	buf_add_text(out, ")\r\n");
	add_client_certificate(out, tls);
}

static void add_session(struct buf *out, const struct received *r)
{
	buf_add_text(out, "from ");
	add_safe(out, r->helo == NULL || *r->helo == '\0' ? r->client_name
							  : r->helo);
	buf_add_text(out, " (");
	add_safe(out, r->client_name == NULL ? "unknown" : r->client_name);
	buf_add_text(out, " [");
	if (r->client_address != NULL && strchr(r->client_address, ':') != NULL)
		buf_add_text(out, "IPv6:");
	add_safe(out, r->client_address);
	buf_add_text(out, "])\r\n");
	if (r->tls != NULL)
		add_tls(out, r->tls);
	if (r->sasl_username != NULL) {
		buf_add_text(out, "\t(Authenticated sender: ");
		add_escaped(out, r->sasl_username);
		buf_add_text(out, ")\r\n");
	}
	buf_add_char(out, '\t');
}

static void add_end(struct buf *out, const struct received *r)
{
	char date[DATE_MAX_BYTES];

	if (r->from == RECEIVED_SMTP && r->recipient != NULL) {
		buf_add_text(out, "\r\n\tfor <");
		add_safe(out, r->recipient);
		buf_add_text(out, ">; ");
	} else {
		buf_add_text(out, r->from == RECEIVED_SMTP ? ";\r\n\t" : "; ");
	}
	buf_addf(out, "%s\r\n", date_rfc5322(date, r->when));
}

bool received_format(const struct received *r, struct buf *out)
{
	bool session = r->from == RECEIVED_SMTP && !r->hide_session;

	buf_add_text(out, "Received: ");
	if (session)
		add_session(out, r);
	buf_addf(out, "by %s (%s", r->hostname, r->mail_name);
	if (r->from == RECEIVED_LOCAL)
		buf_addf(out, ", from userid %u", r->uid);
	buf_add_char(out, ')');
	if (session)
		buf_addf(out, " with %s", r->protocol);
	if (r->queue_id != NULL)
		buf_addf(out, "%sid %s",
			 r->from == RECEIVED_SMTP ? " " : "\r\n\t",
			 r->queue_id);
	add_end(out, r);
	return !out->full;
}
