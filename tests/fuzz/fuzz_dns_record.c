/* SPDX-License-Identifier: Apache-2.0 */
/* Record data as a name server may send it. */
#include "net/dns_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum dns_type types[] = { DNS_A,	 DNS_AAAA, DNS_MX,
					       DNS_PTR,	 DNS_SRV,  DNS_TXT,
					       DNS_TLSA, DNS_SOA };

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct dns_record record;

		if (!dns_record_read(tmp, types[i],
				     (struct span){ (const char *)data, size },
				     &record))
			continue;
		if (record.name != NULL)
			assert(strlen(record.name) < 1024);
		assert(record.data.len <= size);
	}
	return 0;
}
