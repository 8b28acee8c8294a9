/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_attribute - what follows XCLIENT and XFORWARD. */
#include "arrive/smtpd/attribute.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct span args = { (const char *)data, size };
	struct attributes all;
	struct fault fault = { 0 };

	for (int command = 0; command < 2; command++) {
		if (attributes_parse(mem, (enum attribute_command)command, args,
				     &all, &fault) != RC_OK) {
			assert(fault.text[0] != '\0');
			continue;
		}
		for (int i = 0; i < ATTRIBUTE_COUNT; i++) {
			const struct attribute *a = &all.at[i];

			assert((a->status == ATTRIBUTE_VALUE) ==
			       (a->text != NULL));
			for (const char *c = a->text; c != NULL && *c != '\0';
			     c++)
				assert((unsigned char)*c >= ' ' && *c != 127);
		}
	}
	talloc_free(mem);
	return 0;
}
