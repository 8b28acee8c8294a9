/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/smtp/generic.h"
#include "deliver/smtp/transaction_priv.h"
#include "mail/address.h"
#include "mail/smtp_command.h"

static void xtext_parameter(struct buf *line, const char *name,
			    const char *value)
{
	if (value == NULL || *value == '\0')
		return;
	buf_addf(line, " %s=", name);
	xtext_encode_add(line, span_from(value));
}

uint64_t smtp_content_size(const struct transaction *t)
{
	return t->whole != NULL
		   ? t->whole->len
		   : t->d->image->header_length + t->d->image->body_length;
}

bool smtp_mail_line(struct transaction *t, struct buf *line)
{
	const struct envelope *env = t->d->image->env;
	const unsigned can = t->s->features;
	const char *sender;

	if (!generic_address(t->client, t->mem, env->sender, &sender, t->why))
		return false;
	buf_add_text(line, "MAIL FROM:<");
	if (*sender != '\0' && t->s->settings->quote_rfc821_envelope)
		address_quote_add(line, span_from(sender));
	else
		buf_add_text(line, sender);
	buf_add_char(line, '>');
	if (can & SMTP_SIZE)
		buf_addf(line, " SIZE=%llu",
			 (unsigned long long)smtp_content_size(t));
	if ((can & SMTP_8BITMIME) && (env->flags & ENVELOPE_8BIT))
		buf_add_text(line, " BODY=8BITMIME");
	if ((can & SMTP_SMTPUTF8) && (env->flags & ENVELOPE_SMTPUTF8))
		buf_add_text(line, " SMTPUTF8");
	if (can & SMTP_DSN) {
		if (env->dsn_ret != DSN_RET_DEFAULT)
			buf_addf(line, " RET=%s",
				 env->dsn_ret == DSN_RET_FULL ? "FULL"
							      : "HDRS");
		xtext_parameter(line, "ENVID", env->dsn_envid);
	}
	return true;
}

static void notify_parameter(struct buf *line, uint8_t notify)
{
	static const struct {
		uint8_t bit;
		const char *name;
	} names[] = {{DSN_NOTIFY_NEVER, "NEVER"},
		     {DSN_NOTIFY_SUCCESS, "SUCCESS"},
		     {DSN_NOTIFY_FAILURE, "FAILURE"},
		     {DSN_NOTIFY_DELAY, "DELAY"}};
	const char *before = " NOTIFY=";

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (notify & names[i].bit) {
			buf_addf(line, "%s%s", before, names[i].name);
			before = ",";
		}
}

/* "rfc822;jo@example.test": the type as it is, the address as xtext. */
static void orcpt_parameter(struct buf *line, const char *orcpt)
{
	struct span rest, type;

	if (orcpt == NULL || *orcpt == '\0')
		return;
	rest = span_from(orcpt);
	if (!span_cut(&rest, ';', &type) || rest.ptr == NULL)
		return;
	buf_addf(line, " ORCPT=%.*s;", SPAN_FMT(type));
	xtext_encode_add(line, rest);
}

bool smtp_rcpt_line(struct transaction *t, size_t i, struct buf *line)
{
	const struct recipient *to = &t->d->request->recipients[i];
	const char *address;

	if (!generic_address(t->client, t->mem, to->address, &address, t->why))
		return false;
	buf_add_text(line, "RCPT TO:<");
	if (t->s->settings->quote_rfc821_envelope)
		address_quote_add(line, span_from(address));
	else
		buf_add_text(line, address);
	buf_add_char(line, '>');
	if (t->s->features & SMTP_DSN) {
		notify_parameter(line, to->notify);
		orcpt_parameter(line, to->dsn_orcpt);
	}
	return true;
}
