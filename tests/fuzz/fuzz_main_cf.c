/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/conf.h"
#include "conf/expand.h"
#include "conf/main_cf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One value of its own, whatever the name. */
static enum rc value_of(void *arg, struct span name, int depth,
			struct span *ret_value, struct fault *fault)
{
	*ret_value = (struct span){ "abc", name.len % 4 };
	return name.len == 1 ? RC_NONE : RC_OK;
}

static void count_name(void *arg, struct span name)
{
	*(size_t *)arg += name.len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct expand expand = { value_of, NULL };
	TALLOC_CTX *mem = talloc_new(NULL);
	struct span text = { (const char *)data, size };
	struct main_cf *main_cf;
	struct fault fault;
	size_t names = 0;

	if (main_cf_parse(mem, text, "main.cf", &main_cf, &fault) == RC_OK) {
		for (size_t i = 0; i < main_cf->count; i++) {
			struct span value =
				span_from(main_cf->lines[i].value);
			struct buf out;
			enum rc rc;
			int seconds;

			buf_init(&out, mem, EXPAND_MAX_BYTES);
			rc = expand_text(&expand, value, 0, &out, &fault);
			assert(rc == RC_OK || rc == RC_CONF);
			expand_names(value, count_name, &names);
			rc = conf_parse_time(value, 's', &seconds, &fault);
			assert(rc != RC_OK || seconds >= 0);
		}
	}
	talloc_free(mem);
	return 0;
}
