/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_client - questions to a policy server, over connections that are kept
 * and shared by all threads.
 *
 * Shape    inet:host:port, unix:path (relative to the queue directory), or with
 *          options: { inet:host:port, timeout=10s, default_action=DUNNO }
 *          request: name=value lines, then an empty one; reply: lines of the
 *          same kind, of which action=... counts
 * Limits   a reply of POLICY_REPLY_LINES_MAX lines of POLICY_LINE_MAX_BYTES
 * Errors   RC_CONF at open; RC_TEMP: no answer, or none that can be understood
 * Threads  any number may ask at once, each over a connection of its own
 */
#pragma once

#include "conf/conf.h"
#include "base/span.h"

enum { POLICY_LINE_MAX_BYTES = 8192, POLICY_REPLY_LINES_MAX = 100 };

struct policy_client;

struct policy_options {
	int timeout_s, max_idle_s, max_ttl_s, retry_delay_s;
	int request_limit; /* of a connection; 0: none */
	int try_limit;
	const char *default_action, *policy_context;
};

MUST_CHECK enum rc policy_client_open(TALLOC_CTX *mem, const struct conf *conf,
				      const char *text,
				      struct policy_client **ret_client,
				      struct fault *fault);
const char *policy_client_name(const struct policy_client *client);
const struct policy_options *
policy_client_options(const struct policy_client *client);

/* One try. *ret_action is a child of mem. A connection that was kept and has
 * gone meanwhile is not a failure: a new one is made. */
MUST_CHECK enum rc policy_client_ask(struct policy_client *client,
				     TALLOC_CTX *mem, struct span request,
				     struct span *ret_action,
				     struct fault *fault);

/* The action in the lines of a reply (LF line ends, without the empty one);
 * it points into them. RC_TEMP: not such lines, or none of them. */
MUST_CHECK enum rc policy_reply_parse(struct span lines,
				      struct span *ret_action,
				      struct fault *fault);
