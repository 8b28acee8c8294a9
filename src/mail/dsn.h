/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dsn - enhanced status codes: 5.1.1.
 *
 * Shape    class (2, 4 or 5), subject and detail of one to three digits
 * See      RFC 3463
 */
#pragma once

#include "base/fault.h"
#include "base/span.h"

/* Length of the status code at the start of the text, followed by a blank or
 * the end; 0 when there is none. */
size_t dsn_len(struct span text);
/* Take a status code and the blanks after it off the front of *text. false,
 * with nothing changed, when it does not start with one. */
MUST_CHECK bool dsn_cut(struct span *text, char ret_dsn[DSN_MAX_BYTES]);
/* Give it the class of a reply code: 550 and "4.1.1" is "5.1.1". */
void dsn_set_class(char dsn[DSN_MAX_BYTES], int code);
/* RC_OK, RC_TEMP or RC_PERM by the class digit. */
enum rc dsn_rc(const char *dsn);
