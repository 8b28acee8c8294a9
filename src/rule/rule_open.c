/* SPDX-License-Identifier: Apache-2.0 */
#include "rule/rule_priv.h"
#include "sys/log.h"

static enum rc opened(enum rc rc, const char *parameter,
		      const struct fault *why, struct fault *fault)
{
	if (rc != RC_OK) {
		if (fault != NULL)
			*fault = *why;
		return rc;
	}
	if (why->text[0] != '\0')
		log_warning("parameter %s: %s", parameter, why->text);
	return RC_OK;
}

enum rc rule_maps_open(TALLOC_CTX *mem, const struct conf *conf,
		       const char *parameter, const char *text, int flags,
		       struct maps **ret_maps, struct fault *fault)
{
	struct fault why = { 0 };
	enum rc rc = maps_open(mem, conf, parameter, text, flags, ret_maps,
			       &why);

	return opened(rc, parameter, &why, fault);
}

enum rc rule_list_open(TALLOC_CTX *mem, const struct conf *conf,
		       const char *parameter, const char *text,
		       struct match_list **ret_list, struct fault *fault)
{
	struct fault why = { 0 };
	enum rc rc = match_list_open(mem, conf, parameter, text, ret_list,
				     &why);

	return opened(rc, parameter, &why, fault);
}
