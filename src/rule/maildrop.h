/* SPDX-License-Identifier: Apache-2.0 */
/*
 * maildrop - the file in which sendmail and postdrop leave a message for pickup:
 * what sendmail writes into its pipe to postdrop, postdrop writes into the file.
 *
 * Shape    head, content, tail
 *          postern-maildrop 1\n
 *          sender jo@example.test\n
 *          to ann@example.test\n          ... one "name value" a line
 *          \n
 *          content, LF line ends
 *          tail: "PTML", u32 CRC-32C of all before the tail, u64 its length,
 *          little-endian
 * Holds    a file whose tail does not fit was not written to its end: nobody
 *          was told that it was accepted
 * Limits   head MAILDROP_HEAD_MAX_BYTES, a line MAILDROP_LINE_MAX_BYTES,
 *          MAILDROP_RECIPIENTS_MAX recipients
 * Errors   RC_PERM not such a file, with what is wrong
 * Owner    the head is a child of mem
 * Threads  no state
 */
#pragma once

#include "base/buf.h"
#include "base/fault.h"

enum {
	MAILDROP_HEAD_MAX_BYTES = 16 * 1024 * 1024,
	MAILDROP_LINE_MAX_BYTES = 4096,
	MAILDROP_RECIPIENTS_MAX = 200000,
	MAILDROP_TAIL_BYTES = 16,
};

enum maildrop_body { MAILDROP_BODY_NONE, MAILDROP_BODY_7BIT, MAILDROP_BODY_8BIT };

/* A report to the sender of what became of each recipient: sendmail -v; and of
 * what would, with nothing delivered: sendmail -bv. */
enum maildrop_trace {
	MAILDROP_TRACE_NONE,
	MAILDROP_TRACE_REPORT,
	MAILDROP_TRACE_PROBE,
};

struct maildrop_head {
	const char *sender;    /* internal form */
	const char *full_name; /* sendmail -F, or NULL */
	const char *envid;     /* sendmail -V, or NULL */
	const char *verp;      /* sendmail -XV: delimiters, "" default, NULL */
	const char *log_ident; /* queue id before a requeue, or NULL */
	uint8_t notify, ret;   /* enum dsn_notify, enum dsn_ret */
	enum maildrop_body body;
	enum maildrop_trace trace;
	bool gateway; /* sendmail -G: leave headers as they are */
	const char **recipients;
	size_t recipient_count;
};

/* The head with its empty line. RC_PERM: an address that cannot be written. */
MUST_CHECK enum rc maildrop_head_format(const struct maildrop_head *head,
					struct buf *out, struct fault *fault);
/* Take the head off the front of *bytes. RC_NONE: it is not all there yet. */
MUST_CHECK enum rc maildrop_head_parse(TALLOC_CTX *mem, struct span *bytes,
				       struct maildrop_head **ret_head,
				       struct fault *fault);

void maildrop_tail_format(uint32_t crc, uint64_t length,
			  char ret_tail[MAILDROP_TAIL_BYTES]);
MUST_CHECK bool maildrop_tail_fits(const char tail[MAILDROP_TAIL_BYTES],
				   uint32_t crc, uint64_t length);
