/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop - Delivered-To: the mark that a message was at an address before, and
 * the other lines that final delivery puts in front.
 */
#pragma once

#include "deliver/mail_text.h"

/* RC_PERM 5.4.6 "mail forwarding loop for ..." when it was. */
MUST_CHECK enum rc loop_check(struct delivery *delivery, size_t recipient,
			      struct fault *fault);
/* With Return-Path, X-Original-To and Delivered-To. */
struct mail_text loop_mail_text(struct delivery *delivery, size_t recipient,
				int flags);

enum delivered_lines {
	LINE_RETURN_PATH = 1,
	LINE_ORIGINAL_TO = 2,
	LINE_DELIVERED_TO = 4,
	LINES_ALL = 7,
};
/* Those of the lines that are asked for, with LF. */
const char *loop_lines(TALLOC_CTX *mem, const char *sender,
		       const struct recipient *to, int lines);
