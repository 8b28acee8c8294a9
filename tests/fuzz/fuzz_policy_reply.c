/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "rule/policy_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The lines of a reply: the action is one line of them, without a line end. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span lines = { (const char *)data, size }, action;
	struct fault fault;
	enum rc rc = policy_reply_parse(lines, &action, &fault);

	assert(rc == RC_OK || rc == RC_TEMP);
	if (rc != RC_OK)
		return 0;
	assert(action.len == 0 ||
	       (action.ptr > lines.ptr &&
		action.ptr + action.len <= lines.ptr + lines.len));
	assert(span_find(action, '\n') < 0 && span_find(action, '\0') < 0);
	return 0;
}
