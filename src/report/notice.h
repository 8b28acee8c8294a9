/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notice - a delivery status notification: multipart/report with a text for
 * people, a report for programs, and the message or its header.
 *
 * Shape    lines without line ends go to `put`, header first
 * Errors   `put` returns false: it wants no more; the writer stops
 * Threads  no state
 * See      RFC 3462, 3464, 6522, 6533
 */
#pragma once

#include "queue/image.h"
#include "report/template.h"

struct notice {
	enum notice_kind kind;
	bool to_postmaster;   /* a copy: no text for people, header only */
	bool header_only;     /* of the message that is reported on */
	const char *to;	      /* internal form */
	const char *queue_id; /* of that message */
	const struct envelope *env;
	const struct delivery_status *statuses;
	size_t count;
	time_t now;
	const struct conf *conf;
	const struct template *template;
	const char *message_id; /* of that message, for References, or NULL */
};

typedef bool notice_put_fn(void *arg, struct span line);

/* The header block (without Received and Message-Id), the empty line, and all
 * up to the message itself. */
void notice_write_front(const struct notice *notice, notice_put_fn *put,
			void *arg);
void notice_write_back(const struct notice *notice, notice_put_fn *put,
		       void *arg);
/* Does it carry addresses or a message that need SMTPUTF8? */
bool notice_needs_utf8(const struct notice *notice);
/* The value of the first Message-Id of a header block, child of mem, or NULL.
 */
const char *notice_message_id(TALLOC_CTX *mem, struct span header);
