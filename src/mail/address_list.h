/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address_list - addresses in a header: To: "Jo" <jo@a.test>, team: ann, bo;
 *
 * Shape    groups, comments, display names and encoded words are recognised
 *          and left alone; obsolete routes are dropped; what cannot be read is
 *          skipped up to the next comma
 * Units    at most ADDRESS_LIST_MAX addresses are read; the rest of the text
 *          is copied as it is
 * Owner    answers are children of mem; spans point into the text
 * Threads  no state
 * See      RFC 5322 section 3.4
 */
#pragma once

#include "mail/address.h"

enum { ADDRESS_LIST_MAX = 100000 };

struct address_item {
	struct span spec;    /* the addr-spec as it is written, with route */
	struct span address; /* internal form */
	struct span phrase;  /* display name as written, may be empty */
};

/* Take the next address off the front of *rest. false at the end. */
MUST_CHECK bool address_list_next(TALLOC_CTX *mem, struct span *rest,
				  struct address_item *ret_item);

/* Given an address in internal form: the new one in *ret_address (internal
 * form) and RC_OK, or RC_NONE to leave it as it is; anything else stops. */
typedef enum rc address_change_fn(void *arg, TALLOC_CTX *mem,
				  struct span address, struct span *ret_address,
				  struct fault *fault);

/* Copy a header value to *out with its addresses changed; all else stays byte
 * for byte. *ret_changed (may be NULL): was anything changed? */
MUST_CHECK enum rc address_list_rewrite(struct span text,
					address_change_fn *change, void *arg,
					struct buf *out, bool *ret_changed,
					struct fault *fault);
