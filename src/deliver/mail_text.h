/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mail_text - a message as local programs and mailboxes want it: lines end in
 * LF, with the lines in front that delivery adds.
 *
 * Shape    From sender  Sat Nov 21 20:00:16 2026     (MAIL_TEXT_FROM)
 *          Return-Path: <sender>, X-Original-To:, Delivered-To: (as `prepend`)
 *          header and body; "From " at the start of a line becomes ">From "
 *          (MAIL_TEXT_QUOTE); an empty line at the end (MAIL_TEXT_BLANK)
 * Errors   RC_TEMP: what cannot be read or written, errno in the text;
 *          *ret_errno is that of the write, 0 when the read failed
 */
#pragma once

#include "deliver/delivery.h"

enum mail_text_flags {
	MAIL_TEXT_FROM = 1,
	MAIL_TEXT_QUOTE = 2,
	MAIL_TEXT_BLANK = 4,
	MAIL_TEXT_DOTS = 8,  /* double a dot at the start of a line */
	MAIL_TEXT_CRLF = 16, /* lines end in CRLF */
};

struct mail_text {
	const struct image *image;
	int flags;
	const char *sender;  /* external form, "" is MAILER-DAEMON */
	const char *prepend; /* whole lines with LF */
	uint64_t arrival_us;
};

MUST_CHECK enum rc mail_text_write(const struct mail_text *text, int fd,
				   int *ret_errno, struct fault *fault);
