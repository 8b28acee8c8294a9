/* SPDX-License-Identifier: Apache-2.0 */
#include "map/utf8.h"

/* Length of the sequence that a lead byte starts and its least value. */
static size_t utf8_len(unsigned char lead, uint32_t *ret_bits,
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

bool utf8_is_valid(struct span text)
{
	const unsigned char *p = (const unsigned char *)text.ptr;
	size_t at = 0;

	while (at < text.len) {
		uint32_t value, least;
		size_t len = utf8_len(p[at], &value, &least);

		if (len == 0 || len > text.len - at)
			return false;
		for (size_t i = 1; i < len; i++) {
			if ((p[at + i] & 0xc0) != 0x80)
				return false;
			value = value << 6 | (p[at + i] & 0x3f);
		}
		if (value < least || value > 0x10ffff ||
		    (value >= 0xd800 && value <= 0xdfff))
			return false;
		at += len;
	}
	return true;
}
