/* SPDX-License-Identifier: Apache-2.0 */
/*
 * generic - addresses of this site as the outside world should see them:
 * smtp_generic_maps on envelope and header.
 *
 * Errors   false: a table failed; *why says to try again
 * Owner    answers are children of mem, or the text itself
 */
#pragma once

#include "deliver/smtp/client.h"

MUST_CHECK bool generic_address(struct smtp_client *client, TALLOC_CTX *mem,
				const char *address, const char **ret_address,
				struct outcome *why);
/* *ret_header stays NULL when the header goes as it is. */
MUST_CHECK bool generic_header(struct smtp_client *client,
			       struct delivery *delivery,
			       struct span **ret_header, struct outcome *why);
