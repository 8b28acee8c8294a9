/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/smtp_command.h"

static int hex_value(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum rc xtext_decode_bytes(TALLOC_CTX *mem, struct span text,
			   struct span *ret_text, struct fault *fault)
{
	char *out;
	size_t n = 0;

	if (text.len > SMTP_XTEXT_MAX_BYTES)
		return fault_set(fault, RC_PERM, "5.5.4", "xtext too long");
	out = mem_span_dup(mem, text);
	for (size_t i = 0; i < text.len; i++) {
		int high, low;

		out[n++] = text.ptr[i];
		if (text.ptr[i] != '+')
			continue;
		high = i + 2 < text.len ? hex_value(text.ptr[i + 1]) : -1;
		low = i + 2 < text.len ? hex_value(text.ptr[i + 2]) : -1;
		if (high < 0 || low < 0) {
			talloc_free(out);
			return fault_set(fault, RC_PERM, "5.5.4",
					 "+ without two hexadecimal digits");
		}
		out[n - 1] = (char)(high << 4 | low);
		i += 2;
	}
	out[n] = '\0';
	*ret_text = (struct span){ out, n };
	return RC_OK;
}

enum rc xtext_decode(TALLOC_CTX *mem, struct span text, struct span *ret_text,
		     struct fault *fault)
{
	struct span out;
	enum rc rc = xtext_decode_bytes(mem, text, &out, fault);

	if (rc != RC_OK)
		return rc;
	for (size_t i = 0; i < out.len; i++) {
		if ((unsigned char)out.ptr[i] >= ' ' && out.ptr[i] != 127)
			continue;
		talloc_free((void *)(uintptr_t)out.ptr);
		return fault_set(fault, RC_PERM, "5.5.4",
				 "control character in xtext");
	}
	*ret_text = out;
	return RC_OK;
}

bool xtext_encode_add(struct buf *out, struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c > ' ' && c < 127 && c != '+' && c != '=')
			buf_add_char(out, (char)c);
		else
			buf_addf(out, "+%02X", c);
	}
	return !out->full;
}
