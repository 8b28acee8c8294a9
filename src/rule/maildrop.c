/* SPDX-License-Identifier: Apache-2.0 */
#include "rule/maildrop.h"

#include <endian.h>

static const char first_line[] = "postern-maildrop 1\n";
static const char tail_magic[4] = { 'P', 'T', 'M', 'L' };

static enum rc line_put(struct buf *out, const char *name, const char *value,
			struct fault *fault)
{
	size_t len;

	if (value == NULL)
		return RC_OK;
	len = strlen(value);
	if (strchr(value, '\n') != NULL ||
	    len + strlen(name) + 2 > MAILDROP_LINE_MAX_BYTES)
		return fault_set(fault, RC_PERM, "5.1.3",
				 "%s is too long or has a line end in it", name);
	buf_addf(out, "%s ", name);
	buf_add_text(out, value);
	if (!buf_add_char(out, '\n'))
		return fault_set(fault, RC_PERM, "5.5.3",
				 "too many recipients");
	return RC_OK;
}

static enum rc number_put(struct buf *out, const char *name, unsigned int value,
			  struct fault *fault)
{
	char text[16];

	if (value == 0)
		return RC_OK;
	snprintf(text, sizeof(text), "%u", value);
	return line_put(out, name, text, fault);
}

enum rc maildrop_head_format(const struct maildrop_head *head, struct buf *out,
			     struct fault *fault)
{
	const struct {
		const char *name, *value;
	} texts[] = {
		{ "sender", head->sender },   { "name", head->full_name },
		{ "envid", head->envid },     { "verp", head->verp },
		{ "ident", head->log_ident },
	};
	enum rc rc = RC_OK;

	buf_add_text(out, first_line);
	for (size_t i = 0; rc == RC_OK && i < ARRAY_LEN(texts); i++)
		rc = line_put(out, texts[i].name, texts[i].value, fault);
	if (rc == RC_OK)
		rc = number_put(out, "notify", head->notify, fault);
	if (rc == RC_OK)
		rc = number_put(out, "ret", head->ret, fault);
	if (rc == RC_OK)
		rc = number_put(out, "body", head->body, fault);
	if (rc == RC_OK)
		rc = number_put(out, "gateway", head->gateway, fault);
	if (rc == RC_OK)
		rc = number_put(out, "trace", head->trace, fault);
	for (size_t i = 0; rc == RC_OK && i < head->recipient_count; i++)
		rc = line_put(out, "to", head->recipients[i], fault);
	buf_add_char(out, '\n');
	return rc;
}

struct head_field {
	const char *name;
	enum { FIELD_TEXT, FIELD_NUMBER, FIELD_RECIPIENT } kind;
	size_t offset;
	uint64_t max;
};

static const struct head_field fields[] = {
	{ "sender", FIELD_TEXT, offsetof(struct maildrop_head, sender), 0 },
	{ "name", FIELD_TEXT, offsetof(struct maildrop_head, full_name), 0 },
	{ "envid", FIELD_TEXT, offsetof(struct maildrop_head, envid), 0 },
	{ "verp", FIELD_TEXT, offsetof(struct maildrop_head, verp), 0 },
	{ "ident", FIELD_TEXT, offsetof(struct maildrop_head, log_ident), 0 },
	{ "notify", FIELD_NUMBER, 'n', 15 },
	{ "ret", FIELD_NUMBER, 'r', 2 },
	{ "body", FIELD_NUMBER, 'b', MAILDROP_BODY_8BIT },
	{ "gateway", FIELD_NUMBER, 'g', 1 },
	{ "trace", FIELD_NUMBER, 't', MAILDROP_TRACE_PROBE },
	{ "to", FIELD_RECIPIENT, 0, 0 },
};

static void number_set(struct maildrop_head *head, char which, uint64_t value)
{
	switch (which) {
	case 'n':
		head->notify = (uint8_t)value;
		break;
	case 'r':
		head->ret = (uint8_t)value;
		break;
	case 'b':
		head->body = (enum maildrop_body)value;
		break;
	case 't':
		head->trace = (enum maildrop_trace)value;
		break;
	case 'g':
		head->gateway = value != 0;
		break;
	}
}

static enum rc recipient_take(struct maildrop_head *head, struct span value,
			      struct fault *fault)
{
	if (head->recipient_count == MAILDROP_RECIPIENTS_MAX)
		return fault_set(fault, RC_PERM, "5.5.3",
				 "too many recipients");
	if (head->recipient_count % 64 == 0)
		head->recipients = mem_resize(head, head->recipients,
					      const char *,
					      head->recipient_count + 64);
	head->recipients[head->recipient_count++] = mem_span_dup(head, value);
	return RC_OK;
}

static enum rc field_take(struct maildrop_head *head,
			  const struct head_field *field, struct span value,
			  struct fault *fault)
{
	uint64_t number;

	switch (field->kind) {
	case FIELD_TEXT:
		*(const char **)((char *)head + field->offset) =
			mem_span_dup(head, value);
		return RC_OK;
	case FIELD_NUMBER:
		if (!span_to_u64(value, field->max, &number))
			return fault_set(fault, RC_PERM, "5.5.2",
					 "bad value of %s", field->name);
		number_set(head, (char)field->offset, number);
		return RC_OK;
	case FIELD_RECIPIENT:
		return recipient_take(head, value, fault);
	}
	return RC_OK;
}

static enum rc line_take(struct maildrop_head *head, struct span line,
			 struct fault *fault)
{
	ssize_t blank = span_find(line, ' ');
	struct span name, value;

	if (line.len > MAILDROP_LINE_MAX_BYTES)
		return fault_set(fault, RC_PERM, "5.5.2", "line too long");
	if (blank < 0 || span_find(line, '\0') >= 0)
		return fault_set(fault, RC_PERM, "5.5.2", "bad line in head");
	name = span_take(line, (size_t)blank);
	value = span_skip(line, (size_t)blank + 1);
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (span_is(name, fields[i].name))
			return field_take(head, &fields[i], value, fault);
	return fault_set(fault, RC_PERM, "5.5.2", "unknown field \"%.*s\"",
			 (int)MIN_OF(name.len, (size_t)32), name.ptr);
}

static enum rc lines_take(struct maildrop_head *head, struct span *rest,
			  struct fault *fault)
{
	for (;;) {
		ssize_t end = span_find(*rest, '\n');
		struct span line;
		enum rc rc;

		if (end < 0)
			return RC_NONE;
		line = span_take(*rest, (size_t)end);
		*rest = span_skip(*rest, (size_t)end + 1);
		if (line.len == 0)
			return RC_OK;
		rc = line_take(head, line, fault);
		if (rc != RC_OK)
			return rc;
	}
}

enum rc maildrop_head_parse(TALLOC_CTX *mem, struct span *bytes,
			    struct maildrop_head **ret_head,
			    struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct span rest = *bytes;
	struct maildrop_head *head;
	size_t first = sizeof(first_line) - 1;
	enum rc rc;

	if (!span_eq(span_take(rest, first),
		     span_take(span_from(first_line),
			       MIN_OF(first, rest.len))))
		return fault_set(fault, RC_PERM, "5.5.2", "not a mail file");
	if (rest.len < first || memmem(rest.ptr, rest.len, "\n\n", 2) == NULL) {
		if (rest.len <= MAILDROP_HEAD_MAX_BYTES)
			return RC_NONE;
		return fault_set(fault, RC_PERM, "5.5.2", "head too long");
	}
	rest = span_skip(rest, first);
	head = mem_new(tmp, struct maildrop_head);
	rc = lines_take(head, &rest, fault);
	if (rc != RC_OK)
		return rc;
	if (head->sender == NULL || head->recipient_count == 0)
		return fault_set(fault, RC_PERM, "5.5.2",
				 "no sender or no recipients");
	*bytes = rest;
	*ret_head = talloc_steal(mem, head);
	return RC_OK;
}

void maildrop_tail_format(uint32_t crc, uint64_t length,
			  char ret_tail[MAILDROP_TAIL_BYTES])
{
	uint32_t crc_bytes = htole32(crc);
	uint64_t length_bytes = htole64(length);

	memcpy(ret_tail, tail_magic, 4);
	memcpy(ret_tail + 4, &crc_bytes, 4);
	memcpy(ret_tail + 8, &length_bytes, 8);
}

bool maildrop_tail_fits(const char tail[MAILDROP_TAIL_BYTES], uint32_t crc,
			uint64_t length)
{
	char expected[MAILDROP_TAIL_BYTES];

	maildrop_tail_format(crc, length, expected);
	return memcmp(tail, expected, MAILDROP_TAIL_BYTES) == 0;
}
