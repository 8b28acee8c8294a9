/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/smtp_reply.h"

#include "mail/dsn.h"

/* Fewer could be a name. */
enum { MASK_STARS_MIN = 3, MASK_CROSSES_MIN = 5 };

/* The code of "250-text" or "250 text" or "250"; 0 for anything else. */
static int line_code(struct span line, bool *ret_more)
{
	int code = 0;

	if (line.len < 3)
		return 0;
	for (size_t i = 0; i < 3; i++) {
		if (!ascii_is_digit(line.ptr[i]))
			return 0;
		code = 10 * code + (line.ptr[i] - '0');
	}
	if (code < 200 || code > 599)
		return 0;
	*ret_more = line.len > 3 && line.ptr[3] == '-';
	if (line.len > 3 && line.ptr[3] != '-' && line.ptr[3] != ' ')
		return 0;
	return code;
}

static enum rc not_a_reply(struct fault *fault, const char *why)
{
	return fault_set(fault, RC_PERM, "5.5.0", "%s", why);
}

/* Take one line off the front, without its line end. */
static enum rc line_take(struct span *in, struct span *ret_line,
			 struct fault *fault)
{
	ssize_t end = span_find(*in, '\n');
	size_t len = end < 0 ? in->len : (size_t)end;

	if (len > SMTP_REPLY_LINE_MAX_BYTES)
		return not_a_reply(fault, "reply line too long");
	if (end < 0)
		return RC_NONE;
	*ret_line = span_take(*in, len);
	*in = span_skip(*in, len + 1);
	while (ret_line->len > 0 && ret_line->ptr[ret_line->len - 1] == '\r')
		ret_line->len--;
	return RC_OK;
}

/* How many lines the first reply has, what it ends with and what follows. */
static enum rc reply_measure(struct span *rest, size_t *ret_count,
			     int *ret_code, struct fault *fault)
{
	struct span line;
	bool more = true;
	enum rc rc;

	for (*ret_count = 0; more; ++*ret_count) {
		if (*ret_count == SMTP_REPLY_LINES_MAX)
			return not_a_reply(fault, "reply has too many lines");
		rc = line_take(rest, &line, fault);
		if (rc != RC_OK)
			return rc;
		*ret_code = line_code(line, &more);
		if (*ret_code == 0)
			return not_a_reply(fault, "not an SMTP reply");
	}
	return RC_OK;
}

static void reply_find_dsn(struct smtp_reply *reply)
{
	for (size_t i = 0; i < reply->line_count; i++) {
		struct span text = smtp_reply_line(reply, i);
		char dsn[DSN_MAX_BYTES];

		if (dsn_cut(&text, dsn) && dsn[0] == '0' + reply->code / 100)
			memcpy(reply->dsn, dsn, sizeof(dsn));
	}
}

enum rc smtp_reply_parse(TALLOC_CTX *mem, struct span *in,
			 struct smtp_reply **ret_reply, struct fault *fault)
{
	struct span after = *in;
	struct smtp_reply *reply;
	size_t count;
	int code;
	enum rc rc;

	rc = reply_measure(&after, &count, &code, fault);
	if (rc != RC_OK)
		return rc;
	reply = mem_new(mem, struct smtp_reply);
	reply->code = code;
	reply->line_count = count;
	reply->lines = mem_array(reply, struct span, count);
	for (size_t i = 0; i < count; i++)
		if (line_take(in, &reply->lines[i], fault) != RC_OK)
			assert(!"measured before");
	reply_find_dsn(reply);
	*in = after;
	*ret_reply = reply;
	return RC_OK;
}

struct span smtp_reply_line(const struct smtp_reply *reply, size_t i)
{
	return span_skip(reply->lines[i], 4);
}

char *smtp_reply_text(TALLOC_CTX *mem, const struct smtp_reply *reply,
		      size_t max)
{
	struct buf out;

	buf_init(&out, mem, max);
	for (size_t i = 0; i < reply->line_count; i++) {
		struct span room;

		if (i > 0)
			buf_add_char(&out, ' ');
		room = span_take(reply->lines[i], max - out.len);
		buf_add(&out, room);
	}
	for (size_t i = 0; i < out.len; i++)
		if ((unsigned char)out.data[i] < ' ' || out.data[i] == 127)
			out.data[i] = '?';
	return out.data == NULL ? mem_strdup(mem, "") : out.data;
}

void smtp_reply_dsn(const struct smtp_reply *reply, char ret_dsn[DSN_MAX_BYTES])
{
	if (reply->dsn[0] != '\0')
		memcpy(ret_dsn, reply->dsn, DSN_MAX_BYTES);
	else
		snprintf(ret_dsn, DSN_MAX_BYTES, "%c.0.0",
			 '0' + reply->code / 100);
}

static size_t run_of(struct span text, char c)
{
	size_t len = 0;

	while (len < text.len && text.ptr[len] == c)
		len++;
	return len;
}

static bool line_is_masked(struct span line)
{
	struct span text = span_trim(line);
	size_t stars = run_of(text, '*'), crosses = run_of(text, 'X');

	if (stars >= MASK_STARS_MIN)
		return true;
	/* What was STARTTLS may keep its last letter, or not. */
	return crosses >= MASK_CROSSES_MIN && text.len - crosses <= 1;
}

bool smtp_reply_is_masked(const struct smtp_reply *reply)
{
	for (size_t i = 0; i < reply->line_count; i++)
		if (line_is_masked(smtp_reply_line(reply, i)))
			return true;
	return false;
}
