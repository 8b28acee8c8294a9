/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read is an address: written out and read again it is the same. */
static void check(TALLOC_CTX *mem, struct span address, int flags)
{
	struct span path, again;
	struct fault fault;
	enum rc rc;

	path = span_from(mem_printf(mem, "<%s>", address_quote(mem, address)));
	rc = address_parse_path(mem, path, flags & ~ADDRESS_STRICT, &again,
				&fault);
	assert(rc == RC_OK && span_eq(again, address));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct span address, ip, base, extension, text;
	struct fault fault;
	char *ascii;
	int flags;

	if (size > 0) {
		flags = data[0] & 15;
		text = (struct span){ (const char *)data + 1, size - 1 };
		if (address_parse_path(mem, text, flags, &address, &fault) ==
		    RC_OK)
			check(mem, address, flags);
		address_unquote(mem, text);
		address_quote(mem, text);
		if (address_literal_ip(text, &ip))
			assert(ip.len < text.len);
		if (address_split_extension(text, "+-", true, &base,
					    &extension))
			assert(base.len + 1 + extension.len == text.len);
		if (domain_to_ascii(mem, text, &ascii, &fault) == RC_OK)
			assert(ascii != NULL);
	}
	talloc_free(mem);
	return 0;
}
