/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

/* Length of the sequence that a lead byte starts and its least value. */
static size_t lead_len(unsigned char lead, uint32_t *ret_bits,
		       uint32_t *ret_least)
{
	if (lead < 0x80) {
		*ret_bits = lead;
		*ret_least = 0;
		return 1;
	}
	if ((lead & 0xe0) == 0xc0) {
		*ret_bits = lead & 0x1f;
		*ret_least = 0x80;
		return 2;
	}
	if ((lead & 0xf0) == 0xe0) {
		*ret_bits = lead & 0x0f;
		*ret_least = 0x800;
		return 3;
	}
	*ret_bits = lead & 0x07;
	*ret_least = 0x10000;
	return (lead & 0xf8) == 0xf0 ? 4 : 0;
}

size_t utf8_first_len(struct span text)
{
	const unsigned char *p = (const unsigned char *)text.ptr;
	uint32_t value, least;
	size_t len;

	if (text.len == 0)
		return 0;
	len = lead_len(p[0], &value, &least);
	if (len > text.len)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (p[i] & 0x3f);
	}
	if (value < least || value > 0x10ffff ||
	    (value >= 0xd800 && value <= 0xdfff))
		return 0;
	return len;
}

bool utf8_is_valid(struct span text)
{
	while (text.len > 0) {
		size_t len = utf8_first_len(text);

		if (len == 0)
			return false;
		text = span_skip(text, len);
	}
	return true;
}
