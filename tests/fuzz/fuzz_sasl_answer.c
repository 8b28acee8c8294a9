/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_sasl_answer - lines of the authentication server. */
#include "arrive/smtpd/sasl_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_inside(struct span part, struct span line)
{
	return part.ptr == NULL || part.len == 0 ||
	       (part.ptr >= line.ptr &&
		part.ptr + part.len <= line.ptr + line.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span line = { (const char *)data, size };
	struct sasl_answer answer;

	if (!sasl_answer_parse(line, &answer))
		return 0;
	assert(is_inside(answer.name, line) && is_inside(answer.user, line) &&
	       is_inside(answer.reason, line) && is_inside(answer.data, line));
	assert(answer.kind != SASL_MECHANISM || answer.name.len > 0);
	return 0;
}
