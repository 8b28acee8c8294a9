/* SPDX-License-Identifier: Apache-2.0 */
/*
 * socket_unix - sockets with a path. Paths longer than a sockaddr_un holds work
 * too (through the directory's descriptor).
 *
 * Shape    type: SOCK_SEQPACKET, SOCK_STREAM or SOCK_DGRAM; every fd is
 *          close-on-exec
 * Errors   RC_TEMP nobody listens yet or the queue is full; RC_CONF wrong path
 *          or rights. The text names the path.
 */
#pragma once

#include <sys/socket.h>

#include "base/fault.h"
#include "base/mem.h"

/* Replaces what is at the path if that is a socket; mode is its rights.
 * dir_fd as in openat(2): AT_FDCWD or an open directory. Non-blocking. */
MUST_CHECK enum rc socket_unix_listen(int dir_fd, const char *path, int type,
				      mode_t mode, int *ret_fd,
				      struct fault *fault);
/* `flags` is 0 or SOCK_NONBLOCK. */
MUST_CHECK enum rc socket_unix_connect(int dir_fd, const char *path, int type,
				       int flags, int *ret_fd,
				       struct fault *fault);
/* A blocking SOCK_STREAM connection, made within timeout_ms however many wait
 * for the server already. The text is the reason alone. */
MUST_CHECK enum rc socket_unix_connect_within(int dir_fd, const char *path,
					      int timeout_ms, int *ret_fd,
					      struct fault *fault);
/* RC_NONE: none waits. The fd is non-blocking when flags say so. */
MUST_CHECK enum rc socket_unix_accept(int listen_fd, int flags, int *ret_fd,
				      struct fault *fault);
MUST_CHECK enum rc socket_unix_pair(int type, int flags, int ret_fds[2],
				    struct fault *fault);
/* Who is at the other end, as of connect(2). */
MUST_CHECK enum rc socket_unix_peer(int fd, struct ucred *ret_peer,
				    struct fault *fault);
