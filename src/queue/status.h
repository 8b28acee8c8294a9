/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status - what became of one recipient in one delivery attempt.
 * From a delivery agent to qmgr, from qmgr to bounce, and in the log of a
 * message file.
 */
#pragma once

#include "base/fault.h"
#include "base/mem.h"
#include "sys/packet.h"

enum delivery_action {
	DELIVERY_SENT,	   /* done: delivered, relayed or expanded */
	DELIVERY_DEFERRED, /* again later */
	DELIVERY_BOUNCED,  /* never */
};

struct delivery_status {
	uint32_t recipient; /* index in the envelope */
	enum delivery_action action;
	char dsn[DSN_MAX_BYTES]; /* "5.1.1" */
	const char *dsn_action;	 /* "delivered" "relayed" "expanded" "failed" */
	const char *reason;	 /* text in parentheses of the log line */
	const char *remote_mta;	 /* "mx.example.test", or NULL */
	const char *diag_type;	 /* "smtp" or "X-Postfix" */
	const char *diag_text;	 /* "550 5.1.1 no such user" */
};

void delivery_status_put(struct packet_out *out,
			 const struct delivery_status *status);
MUST_CHECK bool delivery_status_take(struct packet_in *in, TALLOC_CTX *mem,
				     struct delivery_status *ret_status);
