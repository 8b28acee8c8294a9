/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pass - hands a recipient on to another delivery agent and waits for what it
 * says: mailbox_transport, fallback_transport.
 *
 * Holds    the other agent logs the line and decides; its word is recorded
 * Errors   RC_TEMP it cannot be reached, or it did not answer
 */
#pragma once

#include "deliver/delivery.h"

/* transport "lmtp:unix:private/dovecot-lmtp". Relative to queue_directory,
 * which is the working directory of a service. */
MUST_CHECK enum rc pass_recipient(struct delivery *delivery, size_t recipient,
				  const char *transport, const char *address,
				  struct delivery_status *ret_status,
				  struct fault *fault);
