/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/header.h"

static const struct {
	const char *name;
	int traits;
} known[] = {
	{ "From", HEADER_SENDER | HEADER_UNIQUE },
	{ "To", HEADER_RECIPIENT | HEADER_EXTRACT | HEADER_UNIQUE },
	{ "Cc", HEADER_RECIPIENT | HEADER_EXTRACT | HEADER_UNIQUE },
	{ "Bcc", HEADER_RECIPIENT | HEADER_EXTRACT },
	{ "Subject", HEADER_UNIQUE },
	{ "Date", HEADER_UNIQUE },
	{ "Message-Id", HEADER_UNIQUE },
	{ "Sender", HEADER_SENDER | HEADER_UNIQUE },
	{ "Reply-To", HEADER_SENDER | HEADER_UNIQUE },
	{ "Return-Path", HEADER_SENDER },
	{ "Return-Receipt-To", HEADER_SENDER },
	{ "Errors-To", HEADER_SENDER },
	{ "Disposition-Notification-To", HEADER_SENDER },
	{ "Mail-Followup-To", HEADER_SENDER },
	{ "Apparently-To", HEADER_RECIPIENT },
	{ "Resent-From", HEADER_SENDER | HEADER_RESENT },
	{ "Resent-Sender", HEADER_SENDER | HEADER_RESENT },
	{ "Resent-To", HEADER_RECIPIENT | HEADER_EXTRACT | HEADER_RESENT },
	{ "Resent-Cc", HEADER_RECIPIENT | HEADER_EXTRACT | HEADER_RESENT },
	{ "Resent-Bcc", HEADER_RECIPIENT | HEADER_EXTRACT | HEADER_RESENT },
	{ "Resent-Reply-To", HEADER_RECIPIENT | HEADER_RESENT },
	{ "Resent-Date", HEADER_RESENT },
	{ "Resent-Message-Id", HEADER_RESENT },
	{ "MIME-Version", HEADER_MIME | HEADER_UNIQUE },
	{ "Content-Type", HEADER_MIME | HEADER_UNIQUE },
	{ "Content-Transfer-Encoding", HEADER_MIME | HEADER_UNIQUE },
	{ "Content-Description", HEADER_MIME },
	{ "Content-Disposition", HEADER_MIME },
	{ "Content-Id", HEADER_MIME },
	{ "Content-Length", HEADER_MIME },
};

int header_traits(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (span_is_nocase(name, known[i].name))
			return known[i].traits;
	if (span_starts_nocase(name, "Content-"))
		return HEADER_MIME;
	if (span_starts_nocase(name, "Resent-"))
		return HEADER_RESENT;
	return 0;
}

size_t header_name_len(struct span line, size_t *ret_value_at)
{
	size_t len = 0, at;

	while (len < line.len && line.ptr[len] > ' ' && line.ptr[len] < 127 &&
	       line.ptr[len] != ':')
		len++;
	for (at = len; at < line.len; at++)
		if (line.ptr[at] != ' ' && line.ptr[at] != '\t')
			break;
	if (len == 0 || at == line.len || line.ptr[at] != ':')
		return 0;
	if (ret_value_at != NULL)
		*ret_value_at = at + 1;
	return len;
}

/* The first line of the text with its line end. */
static struct span line_of(struct span text)
{
	ssize_t end = span_find(text, '\n');

	return end < 0 ? text : span_take(text, (size_t)end + 1);
}

bool header_next(struct span *rest, struct header *ret_header)
{
	struct span line = line_of(*rest);
	size_t value_at, len = line.len;
	size_t name_len = header_name_len(line, &value_at);

	if (name_len == 0)
		return false;
	for (;;) {
		line = line_of(span_skip(*rest, len));
		if (!header_is_continuation(line))
			break;
		len += line.len;
	}
	ret_header->whole = span_take(*rest, len);
	ret_header->name = span_take(*rest, name_len);
	ret_header->value = span_trim(span_skip(ret_header->whole, value_at));
	*rest = span_skip(*rest, len);
	return true;
}

bool header_find(struct span block, const char *name, struct header *ret_header)
{
	struct header header;

	while (header_next(&block, &header)) {
		if (!span_is_nocase(header.name, name))
			continue;
		*ret_header = header;
		return true;
	}
	return false;
}

size_t header_block_len(struct span message)
{
	struct span rest = message;
	struct header header;

	while (header_next(&rest, &header))
		;
	return message.len - rest.len;
}

char *header_unfold(TALLOC_CTX *mem, struct span value)
{
	char *text = mem_span_dup(mem, value);
	size_t kept = 0;

	for (size_t i = 0; i < value.len; i++) {
		bool line_end = value.ptr[i] == '\n' ||
				(value.ptr[i] == '\r' && i + 1 < value.len &&
				 value.ptr[i + 1] == '\n');

		if (!line_end)
			text[kept++] = value.ptr[i];
	}
	text[kept] = '\0';
	return text;
}
