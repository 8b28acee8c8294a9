/* SPDX-License-Identifier: Apache-2.0 */
#include "map/wire_priv.h"

enum { QUOTED_MAX_BYTES = 256 * 1024 };

static bool is_plain(unsigned char c)
{
	return c > ' ' && c < 127 && c != '%';
}

enum rc tcp_request_write(struct wire *wire, struct span key)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct buf out;

	buf_init(&out, tmp, QUOTED_MAX_BYTES);
	buf_add_text(&out, "get ");
	for (size_t i = 0; i < key.len; i++) {
		unsigned char c = (unsigned char)key.ptr[i];

		if (is_plain(c))
			buf_add_char(&out, (char)c);
		else
			buf_addf(&out, "%%%02X", c);
	}
	buf_add_char(&out, '\n');
	if (out.full)
		return fault_set(wire->fault, RC_TEMP, "4.3.0", "key too long");
	return wire_write(wire, buf_span(&out));
}

static int hex_digit(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "%20" back to a blank. false: not what a server may send. */
static bool unquote(TALLOC_CTX *mem, struct span text, struct span *ret_text)
{
	char *out = mem_span_dup(mem, text);
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++, len++) {
		out[len] = text.ptr[i];
		if (text.ptr[i] != '%')
			continue;
		if (i + 2 >= text.len || hex_digit(text.ptr[i + 1]) < 0 ||
		    hex_digit(text.ptr[i + 2]) < 0) {
			talloc_free(out);
			return false;
		}
		out[len] = (char)(hex_digit(text.ptr[i + 1]) * 16 +
				  hex_digit(text.ptr[i + 2]));
		i += 2;
	}
	out[len] = '\0';
	*ret_text = (struct span){ out, len };
	return true;
}

static bool has_code(struct span line)
{
	return line.len >= 4 && line.ptr[3] == ' ' &&
	       ascii_is_digit(line.ptr[0]) && ascii_is_digit(line.ptr[1]) &&
	       ascii_is_digit(line.ptr[2]);
}

enum rc tcp_reply_read(struct wire *wire, struct span *ret_value)
{
	struct span line, text;
	enum rc rc = wire_line(wire, TCP_REPLY_MAX_BYTES, &line);

	if (rc != RC_OK)
		return rc;
	if (!has_code(line) || !unquote(wire->mem, span_skip(line, 4), &text))
		return wire_bad(wire, "malformed reply", line);
	if (span_starts(line, "200")) {
		*ret_value = text;
		return RC_OK;
	}
	if (span_starts(line, "500"))
		rc = RC_NONE;
	else if (span_starts(line, "400"))
		rc = wire_says(wire, "the server says try later", text);
	else
		rc = wire_bad(wire, "bad status code", line);
	talloc_free((void *)(uintptr_t)text.ptr);
	return rc;
}
