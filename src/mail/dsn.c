/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/dsn.h"

static size_t digits_len(struct span text, size_t at)
{
	size_t n = 0;

	while (n < 3 && at + n < text.len && ascii_is_digit(text.ptr[at + n]))
		n++;
	return n;
}

size_t dsn_len(struct span text)
{
	size_t at = 1, n;

	if (text.len < 5 || memchr("245", text.ptr[0], 3) == NULL)
		return 0;
	for (int part = 0; part < 2; part++) {
		if (at >= text.len || text.ptr[at] != '.')
			return 0;
		n = digits_len(text, ++at);
		if (n == 0)
			return 0;
		at += n;
	}
	if (at < text.len && !ascii_is_space(text.ptr[at]))
		return 0;
	return at;
}

bool dsn_cut(struct span *text, char ret_dsn[DSN_MAX_BYTES])
{
	size_t len = dsn_len(*text);

	if (len == 0)
		return false;
	memcpy(ret_dsn, text->ptr, len);
	ret_dsn[len] = '\0';
	*text = span_skip(*text, len);
	while (text->len > 0 && ascii_is_space(text->ptr[0]))
		*text = span_skip(*text, 1);
	return true;
}

void dsn_set_class(char dsn[DSN_MAX_BYTES], int code)
{
	if (dsn[0] != '\0' && code >= 200 && code <= 599)
		dsn[0] = (char)('0' + code / 100);
}

enum rc dsn_rc(const char *dsn)
{
	if (dsn[0] == '2')
		return RC_OK;
	return dsn[0] == '5' ? RC_PERM : RC_TEMP;
}
