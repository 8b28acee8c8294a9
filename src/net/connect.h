/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connect - a TCP connection to another host.
 *
 * Shape    a plain blocking connect(2) under a time-out, so that libraries
 *          which put themselves in its place (SOCKS wrappers) work
 * Errors   RC_TEMP; the text is the reason alone: "Connection refused",
 *          "Connection timed out", "Network is unreachable"
 * Threads  any
 */
#pragma once

#include "net/address.h"

/* bind_to may be NULL; the address to come from (its port is not used). The fd
 * is blocking and close-on-exec, with TCP_NODELAY. */
MUST_CHECK enum rc net_connect(const struct net_address *to,
			       const struct net_address *bind_to,
			       int timeout_ms, int *ret_fd,
			       struct fault *fault);
