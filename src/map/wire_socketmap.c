/* SPDX-License-Identifier: Apache-2.0 */
#include "map/wire_priv.h"

enum { LENGTH_DIGITS_MAX = 9 };

enum rc socketmap_request_write(struct wire *wire, const char *name,
				struct span key)
{
	struct span blank = SPAN(" "), comma = SPAN(",");
	char length[24];
	enum rc rc;

	snprintf(length, sizeof(length), "%zu:", strlen(name) + 1 + key.len);
	rc = wire_write(wire, span_from(length));
	if (rc == RC_OK)
		rc = wire_write(wire, span_from(name));
	if (rc == RC_OK)
		rc = wire_write(wire, blank);
	if (rc == RC_OK)
		rc = wire_write(wire, key);
	return rc == RC_OK ? wire_write(wire, comma) : rc;
}

/* "123:" */
static enum rc length_read(struct wire *wire, size_t max, size_t *ret_len)
{
	size_t len = 0;

	for (int i = 0; i <= LENGTH_DIGITS_MAX; i++) {
		char c;

		if (net_stream_read(wire->stream, &c, 1, wire->fault) !=
		    RC_OK) {
			wire->broken = true;
			return RC_TEMP;
		}
		if (c == ':' && i > 0) {
			*ret_len = len;
			return RC_OK;
		}
		if (!ascii_is_digit(c))
			break;
		len = 10 * len + (size_t)(c - '0');
		if (len > max)
			return wire_bad(wire,
					"reply exceeds "
					"socketmap_max_reply_size",
					SPAN_OF(""));
	}
	return wire_bad(wire, "input format error", SPAN_OF(""));
}

static enum rc reply_parse(struct wire *wire, struct span reply,
			   struct span *ret_value)
{
	static const struct {
		const char *word, *means;
	} failures[] = {
		{ "TEMP", "socketmap server temporary error" },
		{ "TIMEOUT", "socketmap server timeout error" },
		{ "PERM", "socketmap server permanent error" },
	};
	ssize_t blank = span_find(reply, ' ');
	struct span word = blank < 0 ? reply : span_take(reply, (size_t)blank);
	struct span text = span_skip(reply, word.len + 1);

	/* "OK" alone is what some servers say when there is none. */
	if (span_is(word, "NOTFOUND") || span_is(reply, "OK"))
		return RC_NONE;
	if (span_is(word, "OK")) {
		*ret_value = text;
		return RC_OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(failures); i++)
		if (span_is(word, failures[i].word))
			return wire_says(wire, failures[i].means, text);
	return wire_bad(wire, "socketmap server unknown error", reply);
}

enum rc socketmap_reply_read(struct wire *wire, size_t max,
			     struct span *ret_value)
{
	struct span reply;
	char *bytes;
	size_t len;
	enum rc rc = length_read(wire, max, &len);

	if (rc == RC_OK)
		rc = wire_bytes(wire, len + 1, &bytes);
	if (rc != RC_OK)
		return rc;
	reply = (struct span){ bytes, len };
	if (bytes[len] != ',')
		rc = wire_bad(wire, "input format error", reply);
	else
		rc = reply_parse(wire, reply, ret_value);
	if (rc != RC_OK)
		talloc_free(bytes);
	return rc;
}
