/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_name - the name of a client: what the address says it is called, when
 * that name has the address too; otherwise "unknown".
 */
#pragma once

#include "arrive/smtpd/session.h"

/* Fills client_name, reverse_name and their rc; the hosts file and what is
 * remembered need no question. False: DNS has not answered yet. Then
 * waits_until_ms is set, and it is to be called again when the session is
 * woken or the time is over. Without workers it blocks instead. */
MUST_CHECK bool client_name_find(struct smtpd_session *s);
/* Nothing is known of the client but its address. */
void client_name_unknown(struct smtpd_session *s);
