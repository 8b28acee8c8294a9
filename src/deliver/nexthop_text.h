/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nexthop_text - the next hop of error:, retry: and discard:, which is not a
 * host but what to say: "5.1.1 no such user".
 */
#pragma once

#include "deliver/delivery.h"

/* Settle every recipient with the text of the next hop, and its status code
 * when it has one. */
void nexthop_text_settle(struct delivery *delivery, enum delivery_action action,
			 const char *dsn);
