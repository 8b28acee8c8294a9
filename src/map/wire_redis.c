/* SPDX-License-Identifier: Apache-2.0 */
#include "map/wire_priv.h"

enum { LINE_MAX_BYTES = 4096 };

static enum rc head_write(struct wire *wire, char mark, size_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%c%zu\r\n", mark, number);
	return wire_write(wire, span_from(text));
}

enum rc redis_command_write(struct wire *wire, const struct span *words,
			    size_t count)
{
	struct span crlf = SPAN("\r\n");
	enum rc rc = head_write(wire, '*', count);

	for (size_t i = 0; rc == RC_OK && i < count; i++) {
		rc = head_write(wire, '$', words[i].len);
		if (rc == RC_OK)
			rc = wire_write(wire, words[i]);
		if (rc == RC_OK)
			rc = wire_write(wire, crlf);
	}
	return rc;
}

static bool number_parse(struct span text, long long *ret_number)
{
	bool negative = span_starts(text, "-");
	uint64_t number;

	if (!span_to_u64(span_skip(text, negative), INT64_MAX, &number))
		return false;
	*ret_number = negative ? -(long long)number : (long long)number;
	return true;
}

/* "$5" was read: the text and a line end. */
static enum rc text_read(struct wire *wire, struct span length, size_t max,
			 struct redis_reply *reply)
{
	uint64_t size;
	char *bytes;
	enum rc rc;

	if (span_is(length, "-1")) {
		reply->type = REDIS_NIL;
		return RC_OK;
	}
	if (!span_to_u64(length, UINT32_MAX, &size))
		return wire_bad(wire, "bad length in reply", length);
	if (size > max)
		return wire_bad(wire, "value exceeds data_size_limit", length);
	rc = wire_bytes(wire, size + 2, &bytes);
	if (rc != RC_OK)
		return rc;
	if (bytes[size] != '\r' || bytes[size + 1] != '\n') {
		talloc_free(bytes);
		return wire_bad(wire, "bad end of text in reply", SPAN_OF(""));
	}
	bytes[size] = '\0';
	reply->type = REDIS_TEXT;
	reply->text = (struct span){ bytes, size };
	return RC_OK;
}

/* A server in such a state cannot say what another may know. */
static bool ask_another(struct span error)
{
	static const char *const states[] = {
		"LOADING ",	"BUSY ",      "MASTERDOWN ", "READONLY ",
		"CLUSTERDOWN ", "TRYAGAIN ",  "MISCONF ",    "OOM ",
		"NOREPLICAS ",	"UNBLOCKED ", "MOVED ",	     "ASK ",
		"NOAUTH ",	"NOPERM ",
	};

	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		if (span_starts(error, states[i]))
			return true;
	return false;
}

enum rc redis_reply_read(struct wire *wire, size_t max,
			 struct redis_reply *ret_reply)
{
	struct redis_reply reply = { .type = REDIS_STATUS };
	struct span line, rest;
	enum rc rc = wire_line(wire, LINE_MAX_BYTES, &line);

	if (rc != RC_OK)
		return rc;
	rest = span_skip(line, 1);
	switch (line.len > 0 ? line.ptr[0] : '\0') {
	case '+':
		reply.text = mem_span_copy(wire->mem, rest);
		break;
	case '-':
		wire->elsewhere = ask_another(rest);
		return wire_says(wire, "the server says", rest);
	case ':':
		reply.type = REDIS_NUMBER;
		if (!number_parse(rest, &reply.number))
			return wire_bad(wire, "bad number in reply", line);
		break;
	case '$':
		rc = text_read(wire, rest, max, &reply);
		break;
	default:
		return wire_bad(wire, "malformed reply", line);
	}
	if (rc == RC_OK)
		*ret_reply = reply;
	return rc;
}
