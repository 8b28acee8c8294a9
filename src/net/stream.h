/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream - bytes to and from a connected socket, buffered, plain or through
 * TLS, in blocking calls with a limit on their time.
 *
 * Shape    writes collect until flush or until the buffer is full; a read that
 *          has to wait flushes first
 * Errors   RC_TEMP; stream->trouble says which kind, once and for all: after
 *          the first every call fails the same way. RC_NONE: the peer has
 *          closed in an orderly way, between lines. RC_PERM: a line is longer
 *          than the limit (the stream stays usable; the rest is skipped)
 * Owner    the fd is the stream's and closed by talloc_free
 * Threads  one at a time
 */
#pragma once

#include <sys/uio.h>

#include "base/fault.h"
#include "base/mem.h"

struct net_stream;

enum net_trouble {
	NET_FINE,
	NET_TIMED_OUT,
	NET_LOST, /* closed or reset by the peer, or broken */
	NET_TLS_BROKEN,
};

struct net_stream *net_stream_new(TALLOC_CTX *mem, int fd);
int net_stream_fd(const struct net_stream *stream);
/* The most that reading one line may take in all, and that a write may go on
 * without the peer taking any of it. */
void net_stream_set_timeout(struct net_stream *stream, int timeout_ms);
enum net_trouble net_stream_trouble(const struct net_stream *stream);
/* True when the connection has been closed, or has bytes to read, which an
 * idle cached connection should not have. Does not block. */
bool net_stream_is_stale(struct net_stream *stream);

/* The next line without its line end (CRLF or LF); valid until the next call
 * that reads. At most `max` bytes. */
MUST_CHECK enum rc net_stream_read_line(struct net_stream *stream, size_t max,
					struct span *ret_line,
					struct fault *fault);
/* Exactly size bytes. */
MUST_CHECK enum rc net_stream_read(struct net_stream *stream, void *into,
				   size_t size, struct fault *fault);
/* What there is, at least one byte, at most size. */
MUST_CHECK enum rc net_stream_read_some(struct net_stream *stream, void *into,
					size_t size, size_t *ret_size,
					struct fault *fault);
/* Bytes that have been received but not read. */
size_t net_stream_buffered(const struct net_stream *stream);

MUST_CHECK enum rc net_stream_write(struct net_stream *stream,
				    struct span bytes, struct fault *fault);
MUST_CHECK enum rc net_stream_writef(struct net_stream *stream,
				     struct fault *fault, const char *format,
				     ...) PRINTF(3, 4);
/* What was collected and these parts in as few calls as possible, without
 * copying when plain. */
MUST_CHECK enum rc net_stream_writev(struct net_stream *stream,
				     const struct iovec *parts, int count,
				     struct fault *fault);
MUST_CHECK enum rc net_stream_flush(struct net_stream *stream,
				    struct fault *fault);
/* What was written and not flushed yet is dropped. */
void net_stream_discard_output(struct net_stream *stream);
