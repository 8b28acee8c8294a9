/* SPDX-License-Identifier: Apache-2.0 */
#include "map/table_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The settings of a table, for each type in turn. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = { (const char *)data, size };

	for (size_t i = 0; i < table_params_count(); i++) {
		const struct table_params *params = table_params_at(i);
		TALLOC_CTX *mem = talloc_new(NULL);
		void *values = talloc_zero_size(mem, params->size);
		struct fault fault = { 0 };
		enum rc rc;

		rc = table_conf_parse(mem, params, text, "fuzz", values,
				      &fault);
		assert(rc == RC_OK || rc == RC_CONF);
		assert(rc == RC_OK || fault.text[0] != '\0');
		talloc_free(mem);
	}
	return 0;
}
