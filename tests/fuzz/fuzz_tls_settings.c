/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of protocols, ciphers and options; TLSA records. */
#include "net/tls_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const struct span input = {(const char *)data, size};
	const struct tls_config config = {.prefix = "smtp"};
	char *text = mem_span_dup(tmp, input), *list;
	const struct tls_strength strength = {.exclude = text};
	struct tls_versions versions;
	struct tls_tlsa tlsa;
	struct fault fault;
	uint64_t options;

	if (tls_versions_parse(text, &versions, &fault) == RC_OK)
		assert(versions.max == 0 || versions.min <= versions.max);
	if (tls_options_parse("tls_ssl_options", text, &options, &fault) !=
	    RC_OK)
		assert(fault.rc == RC_CONF);
	if (tls_ciphers_make(tmp, &config, &strength, true, &list, &fault) ==
	    RC_OK)
		assert(strstr(list, "aNULL") != NULL);
	if (tls_tlsa_read(input, &tlsa) && tls_tlsa_is_usable(&tlsa))
		assert(tlsa.usage == 2 || tlsa.usage == 3);
	return 0;
}
