/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qmgr_client - what commands ask of the running queue manager.
 *
 * Errors   RC_NONE no queue manager answers; RC_PERM it refused: text says why
 */
#pragma once

#include "conf/conf.h"
#include "sys/packet.h"

/* A socket to qmgr of this instance, blocking. */
MUST_CHECK enum rc qmgr_client_connect(const struct conf *conf, int *ret_sock,
				       struct fault *fault);
/* Send one request and wait for its WIRE_REPLY; *ret_count may be NULL. */
MUST_CHECK enum rc qmgr_client_ask(int sock, struct packet_out *request,
				   uint32_t *ret_count, struct fault *fault);
/* what: "" everything, "id:ID" or "site:DOMAIN". */
MUST_CHECK enum rc qmgr_client_flush(const struct conf *conf, const char *what,
				     struct fault *fault);
