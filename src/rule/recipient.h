/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recipient - does this address exist here? reject_unlisted_recipient and
 * reject_unlisted_sender, in every address class.
 *
 * Errors   RC_OK it does (or its class keeps no list), RC_PERM it does not:
 *          dsn and text as the reference says them ("5.1.1", "User unknown in
 *          local recipient table"), *ret_code the class's reply code;
 *          RC_TEMP a table failed
 */
#pragma once

#include "rule/resolve.h"

struct recipient_lists;

MUST_CHECK enum rc recipient_lists_open(TALLOC_CTX *mem, struct conf *conf,
					struct resolver *resolver,
					struct recipient_lists **ret_lists,
					struct fault *fault);
MUST_CHECK enum rc recipient_is_listed(struct recipient_lists *lists,
				       TALLOC_CTX *mem, struct span address,
				       const struct route *route, int *ret_code,
				       struct fault *fault);
