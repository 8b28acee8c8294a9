/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_name - the name of a client: what the address says it is called, when
 * that name has the address too; otherwise "unknown".
 */
#pragma once

#include "arrive/smtpd/session.h"

/* Fills client_name, reverse_name and their rc. Blocks while DNS is asked; the
 * hosts file needs no question. */
void client_name_find(struct smtpd_session *s);
