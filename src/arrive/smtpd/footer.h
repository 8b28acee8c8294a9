/* SPDX-License-Identifier: Apache-2.0 */
/*
 * footer - smtpd_reject_footer: what a refusal says besides the reason.
 *
 * Shape    text \n text: more lines of the reply, each with its code and status
 *          \c text: the first goes behind the reason
 *          $client $client_address $client_name $client_port $helo_name
 *          $localtime $server_name $sender $sender_domain $sender_name
 *          $recipient $recipient_domain $recipient_name
 * Limits   FOOTER_MAX_BYTES; a longer one is left out
 */
#pragma once

#include "base/buf.h"

struct smtpd_session;

enum { FOOTER_MAX_BYTES = 8192 };

/* `reply` is a whole one-line reply without its end. True: it was written to
 * out with its footer, line ends and all. */
MUST_CHECK bool footer_add(struct smtpd_session *s, struct span reply,
			   struct buf *out);
