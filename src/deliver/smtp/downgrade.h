/* SPDX-License-Identifier: Apache-2.0 */
/*
 * downgrade - 8-bit content for a server that takes 7 bits only: parts that are
 * encoded "8bit" or "binary" become quoted-printable, in every multipart and
 * every enclosed message.
 *
 * Holds    decoding gives the part as it was, line by line; all else stays byte
 *          for byte (parts that are 8-bit and do not say so, too)
 * Limits   DOWNGRADE_DEPTH_MAX levels; what lies deeper is copied
 * See      RFC 2045 section 6.7, RFC 6152
 */
#pragma once

#include "base/buf.h"

enum { DOWNGRADE_DEPTH_MAX = 100 };

/* A whole message, CRLF line ends. The buffer should have room for four times
 * the message; when it has not, it is `full`. */
void downgrade_message(TALLOC_CTX *mem, struct span message, struct buf *out);
