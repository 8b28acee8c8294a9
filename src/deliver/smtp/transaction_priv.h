/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transaction_priv - a transaction under way, for the files it is made of.
 */
#pragma once

#include "deliver/smtp/transaction.h"

enum step { STEP_RSET, STEP_MAIL, STEP_RCPT, STEP_DATA };

struct pending {
	enum step step;
	size_t recipient;
};

struct transaction {
	struct smtp_client *client;
	struct delivery *d;
	struct smtp_session *s;
	bool last_host;
	struct outcome *why;
	TALLOC_CTX *mem; /* of the delivery */
	struct pending *pending;
	size_t pending_count, pending_bytes;
	bool *accepted;
	size_t accepted_count;
	struct span *header; /* rewritten, or NULL */
	struct span *whole;  /* turned into 7 bits, or NULL */
	bool to_rcpt, to_data; /* a probe: as far as it goes */
	bool mail_refused, data_ready, lost, stale;
};

/* Bytes that will be sent, before dots are doubled. */
uint64_t smtp_content_size(const struct transaction *t);
/* MAIL and RCPT without the line end. false: *t->why says why not. */
MUST_CHECK bool smtp_mail_line(struct transaction *t, struct buf *line);
MUST_CHECK bool smtp_rcpt_line(struct transaction *t, size_t i,
			       struct buf *line);
