/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/address_list.h"
#include "mail/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum rc keep(void *arg, TALLOC_CTX *mem, struct span address,
		    struct span *ret_address, struct fault *fault)
{
	return RC_NONE;
}

static enum rc change(void *arg, TALLOC_CTX *mem, struct span address,
		      struct span *ret_address, struct fault *fault)
{
	*ret_address = (struct span)SPAN("new\"one@x.test");
	return RC_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct span rest = { (const char *)data, size };
	size_t before = rest.len;
	struct header header;
	struct fault fault;
	struct buf out;

	while (header_next(&rest, &header)) {
		assert(rest.len + header.whole.len == before);
		before = rest.len;
		header_unfold(mem, header.value);
		header_traits(header.name);
		buf_init(&out, mem, 2 * size + 100);
		if (address_list_rewrite(header.value, keep, NULL, &out, NULL,
					 &fault) == RC_OK)
			assert(span_eq(buf_span(&out), header.value));
		buf_init(&out, mem, 20 * size + 100);
		if (address_list_rewrite(header.value, change, NULL, &out, NULL,
					 &fault) != RC_OK)
			assert(out.full);
	}
	talloc_free(mem);
	return 0;
}
