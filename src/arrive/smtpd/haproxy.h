/* SPDX-License-Identifier: Apache-2.0 */
/*
 * haproxy - the header with which a proxy says for whom it connects.
 *
 * Shape    version 1: PROXY TCP4 192.0.2.1 192.0.2.2 40000 25 CR LF
 *          (also TCP6); version 2: 16 bytes, then as many as they say
 * Limits   HAPROXY_MAX_BYTES in all; what a version 2 header has behind its
 *          addresses is skipped
 * Errors   RC_NONE more bytes are needed, and all there are belong to the
 *          header; RC_PERM no such header: the text says why
 * See      "The PROXY protocol", versions 1 and 2, of HAProxy
 */
#pragma once

#include "base/fault.h"
#include "net/address.h"

enum { HAPROXY_MAX_BYTES = 536 };

struct haproxy {
	bool is_local; /* the proxy speaks for itself: nothing below is set */
	struct net_address client, server; /* with their ports */
};

MUST_CHECK enum rc haproxy_parse(struct span bytes, struct haproxy *ret_haproxy,
				 size_t *ret_size, struct fault *fault);
