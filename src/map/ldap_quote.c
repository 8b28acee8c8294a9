/* SPDX-License-Identifier: Apache-2.0 */
#include "map/ldap_quote.h"

bool ldap_quote_filter(void *arg, struct span raw, struct buf *out)
{
	for (size_t i = 0; i < raw.len; i++) {
		char c = raw.ptr[i];

		if (c == '*' || c == '(' || c == ')' || c == '\\' || c == '\0')
			buf_addf(out, "\\%02x", (unsigned char)c);
		else
			buf_add_char(out, c);
	}
	return true;
}

bool ldap_quote_dn(void *arg, struct span raw, struct buf *out)
{
	for (size_t i = 0; i < raw.len; i++) {
		char c = raw.ptr[i];
		bool at_end = i == 0 || i + 1 == raw.len;

		if (c == '\0' || (c == ' ' && at_end)) {
			buf_addf(out, "\\%02x", (unsigned char)c);
			continue;
		}
		if (strchr(",+\"\\<>;=#", c) != NULL)
			buf_add_char(out, '\\');
		buf_add_char(out, c);
	}
	return true;
}
