/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/address.h"
#include "rule/policy_client.h"

static enum rc malformed(struct fault *fault, const char *why)
{
	return fault_set(fault, RC_TEMP, "4.3.5", "malformed reply: %s", why);
}

enum rc policy_reply_parse(struct span lines, struct span *ret_action,
			   struct fault *fault)
{
	bool found = false;
	struct span line;

	if (lines.len > 0 && memchr(lines.ptr, '\0', lines.len) != NULL)
		return malformed(fault, "a NUL byte in it");
	while (span_cut(&lines, '\n', &line)) {
		struct span value = line, name;

		if (line.len == 0 && lines.len == 0)
			break;
		if (span_find(line, '=') <= 0)
			return malformed(fault, "a line without name=value");
		(void)span_cut(&value, '=', &name);
		if (!span_is_nocase(span_trim(name), "action") || found)
			continue; /* later versions may say more */
		*ret_action = span_trim(value);
		found = true;
	}
	if (!found)
		return malformed(fault, "no action=");
	if (!text_is_utf8(*ret_action))
		return malformed(fault, "bad UTF-8");
	return RC_OK;
}
