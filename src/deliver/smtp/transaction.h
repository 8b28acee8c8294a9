/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transaction - one message to one server: MAIL, RCPT, DATA, content, and what
 * each reply means for each recipient.
 *
 * Holds    2xx after the final dot, and 5xx anywhere, settle a recipient; 4xx
 *          settles it only when no other host is left to try
 * Threads  one
 * See      RFC 5321 section 3.3, RFC 2920, RFC 2033
 */
#pragma once

#include "deliver/smtp/client.h"

enum smtp_transaction_end {
	SMTP_TRANSACTION_DONE,	/* the session can go on */
	SMTP_TRANSACTION_LOST,	/* it cannot */
	SMTP_TRANSACTION_STALE, /* it was over before anything was said */
};

/* *why: what to say about recipients that are still open afterwards. */
enum smtp_transaction_end smtp_transaction_run(struct smtp_client *client,
					       struct delivery *delivery,
					       struct smtp_session *session,
					       bool last_host,
					       struct outcome *why);
