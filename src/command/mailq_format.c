/* SPDX-License-Identifier: Apache-2.0 */
#include "command/mailq_format.h"

#include "mail/address.h"
#include "mail/date.h"

enum {
	REASON_COLUMN = 78,
	RECIPIENT_COLUMN_SHORT = 41,
	RECIPIENT_COLUMN_LONG = 47,
	BYTES_A_KBYTE = 1024,
	TEXT_MAX_BYTES = 64 * 1024,
};

/* Bytes that are not printable become '?'; UTF-8 stays. */
static void add_clean(struct buf *out, const char *text)
{
	bool utf8 = text_is_utf8(span_from(text));

	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		bool fine = (c >= ' ' && c < 127) || (c >= 128 && utf8);

		buf_add_char(out, fine ? (char)c : '?');
	}
}

static const char *clean_address(TALLOC_CTX *mem, const char *address)
{
	const char *external = address_quote(mem, span_from(address));
	struct buf out;

	buf_init(&out, mem, TEXT_MAX_BYTES);
	add_clean(&out, external);
	return buf_text(&out);
}

static const char *sender_text(TALLOC_CTX *mem, const struct mailq_entry *entry)
{
	return entry->sender[0] == '\0' ? "MAILER-DAEMON"
					: clean_address(mem, entry->sender);
}

static const char *clean_text(TALLOC_CTX *mem, const char *text)
{
	struct buf out;

	buf_init(&out, mem, TEXT_MAX_BYTES);
	add_clean(&out, text);
	return buf_text(&out);
}

static void text_head(struct mailq_format *format, TALLOC_CTX *mem,
		      const struct mailq_entry *entry)
{
	char date[DATE_MAX_BYTES], name[128];
	bool active = strcmp(entry->queue_name, "active") == 0;
	bool hold = strcmp(entry->queue_name, "hold") == 0;

	if (format->messages == 0)
		fputs(format->long_ids
			      ? "----Queue ID----- --Size-- ---Arrival "
				"Time---- "
				"--Sender/Recipient------\n"
			      : "-Queue ID-  --Size-- ----Arrival Time---- "
				"-Sender/Recipient-------\n",
		      format->to);
	date_mbox(date, (time_t)(entry->arrival_us / 1000000));
	snprintf(name, sizeof(name), "%s%s%s", entry->id,
		 active ? "*"
		 : hold ? "!"
			: "",
		 entry->force_expire ? "#" : "");
	fprintf(format->to,
		format->long_ids ? "%-17s %8llu %19.19s %s\n"
				 : "%-11s %7llu %20.20s %s\n",
		name, (unsigned long long)entry->size_bytes, date,
		sender_text(mem, entry));
	format->saved_reason[0] = '\0';
}

/* The reason, when it is not that of the recipient before, then the address. */
static void text_recipient(struct mailq_format *format, TALLOC_CTX *mem,
			   const struct mailq_recipient *recipient)
{
	const char *reason = clean_text(mem, recipient->reason);
	int column = format->long_ids ? RECIPIENT_COLUMN_LONG
				      : RECIPIENT_COLUMN_SHORT;

	if (strcmp(reason, format->saved_reason) != 0) {
		fprintf(format->to, "%*s\n", REASON_COLUMN,
			mem_printf(mem, "(%s)",
				   reason[0] == '\0' ? "reason unavailable"
						     : reason));
		snprintf(format->saved_reason, sizeof(format->saved_reason),
			 "%.*s", (int)sizeof(format->saved_reason) - 1, reason);
	}
	fprintf(format->to, "%*s%s\n", column, "",
		clean_address(mem, recipient->address));
}

static void text_entry(struct mailq_format *format,
		       const struct mailq_entry *entry)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	if (!entry->goes_on) {
		if (format->messages > 0)
			fputc('\n', format->to);
		text_head(format, tmp, entry);
	}
	for (size_t i = 0; i < entry->count; i++)
		text_recipient(format, tmp, &entry->recipients[i]);
}

static void json_recipient(struct json *json, TALLOC_CTX *mem,
			   const struct mailq_recipient *recipient)
{
	const char *address = clean_address(mem, recipient->address);
	const char *original = clean_address(mem, recipient->original);

	json_begin(json, NULL, '{');
	if (original[0] != '\0' && strcmp(original, address) != 0)
		json_text(json, "orig_address", original);
	json_text(json, "address", address);
	if (recipient->reason[0] != '\0')
		json_text(json, "delay_reason",
			  clean_text(mem, recipient->reason));
	json_end(json, '}');
}

static void json_head(struct json *json, TALLOC_CTX *mem,
		      const struct mailq_entry *entry)
{
	json_begin(json, NULL, '{');
	json_text(json, "queue_name", entry->queue_name);
	json_text(json, "queue_id", entry->id);
	json_number(json, "arrival_time",
		    (long long)(entry->arrival_us / 1000000));
	json_number(json, "message_size", (long long)entry->size_bytes);
	json_bool(json, "forced_expire", entry->force_expire);
	json_text(json, "sender", sender_text(mem, entry));
	json_begin(json, "recipients", '[');
}

static void json_entry(struct mailq_format *format,
		       const struct mailq_entry *entry)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	if (!entry->goes_on) {
		json_init(&format->writer, format->to, true);
		json_head(&format->writer, tmp, entry);
	}
	for (size_t i = 0; i < entry->count; i++)
		json_recipient(&format->writer, tmp, &entry->recipients[i]);
	if (!entry->is_last)
		return;
	json_end(&format->writer, ']');
	json_end(&format->writer, '}');
}

void mailq_format_entry(struct mailq_format *format,
			const struct mailq_entry *entry)
{
	if (format->json)
		json_entry(format, entry);
	else
		text_entry(format, entry);
	if (entry->goes_on)
		return;
	format->messages++;
	format->bytes += entry->size_bytes;
}

void mailq_format_end(struct mailq_format *format)
{
	if (format->json)
		return;
	if (format->messages == 0)
		fputs("Mail queue is empty\n", format->to);
	else
		fprintf(format->to, "\n-- %llu Kbytes in %llu Request%s.\n",
			(unsigned long long)(format->bytes / BYTES_A_KBYTE),
			(unsigned long long)format->messages,
			format->messages == 1 ? "" : "s");
}
