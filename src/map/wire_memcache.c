/* SPDX-License-Identifier: Apache-2.0 */
#include "map/wire_priv.h"

enum { KEY_MAX_BYTES = 250 };

bool memcache_key_is_possible(struct span key)
{
	if (key.len == 0 || key.len > KEY_MAX_BYTES)
		return false;
	for (size_t i = 0; i < key.len; i++) {
		unsigned char c = (unsigned char)key.ptr[i];

		if (c <= ' ' || c == 127)
			return false;
	}
	return true;
}

static enum rc unexpected(struct wire *wire, struct span line)
{
	return wire_bad(wire, "unexpected memcache server reply", line);
}

/* "VALUE key flags bytes" */
static bool value_line_parse(struct span line, struct span key, size_t max,
			     size_t *ret_size)
{
	struct span word;
	uint64_t number;

	if (!span_token(&line, " ", &word) || !span_is(word, "VALUE") ||
	    !span_token(&line, " ", &word) || !span_eq(word, key) ||
	    !span_token(&line, " ", &word) ||
	    !span_to_u64(word, UINT32_MAX, &number) ||
	    !span_token(&line, " ", &word) || !span_to_u64(word, max, &number))
		return false;
	*ret_size = (size_t)number;
	return true;
}

enum rc memcache_value_read(struct wire *wire, struct span key,
			    const struct memcache_limits *limits,
			    struct span *ret_value)
{
	struct span line;
	char *bytes;
	size_t size;
	enum rc rc = wire_line(wire, limits->line_bytes, &line);

	if (rc != RC_OK)
		return rc;
	if (span_is(line, "END"))
		return RC_NONE;
	if (!value_line_parse(line, key, limits->data_bytes, &size))
		return unexpected(wire, line);
	rc = wire_bytes(wire, size + 2, &bytes);
	if (rc != RC_OK)
		return rc;
	rc = wire_line(wire, limits->line_bytes, &line);
	if (rc == RC_OK && (bytes[size] != '\r' || bytes[size + 1] != '\n' ||
			    !span_is(line, "END")))
		rc = unexpected(wire, line);
	if (rc != RC_OK) {
		talloc_free(bytes);
		return rc;
	}
	bytes[size] = '\0';
	*ret_value = (struct span){ bytes, size };
	return RC_OK;
}

enum rc memcache_status_read(struct wire *wire,
			     const struct memcache_limits *limits,
			     const char *done, const char *not_done)
{
	struct span line;
	enum rc rc = wire_line(wire, limits->line_bytes, &line);

	if (rc != RC_OK)
		return rc;
	if (span_is(line, done))
		return RC_OK;
	if (span_is(line, not_done))
		return RC_NONE;
	return unexpected(wire, line);
}
