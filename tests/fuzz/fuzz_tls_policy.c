/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of smtp_tls_policy_maps, which may come from a plugin. */
#include "deliver/smtp/tls_policy.h"
#include "sys/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct nexthop hop = {.text = "example.test",
					   .host = "example.test",
					   .port = 25};
	static const struct conf conf = {0};
	static const struct smtp_settings settings = {.conf = &conf};
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct smtp_tls_policy *policy = mem_new(tmp, struct smtp_tls_policy);
	struct fault fault;

	log_open("fuzz", "fuzz", LOG_TO_FD, -1, 0);
	if (smtp_tls_policy_read(&settings, &hop,
				 (struct span){(const char *)data, size},
				 policy, &fault) != RC_OK)
		return 0;
	assert(policy->match_count <= TLS_MATCH_MAX);
	assert(policy->match_count == 0 || policy->level >= TLS_FINGERPRINT);
	smtp_tls_policy_text(tmp, policy);
	return 0;
}
