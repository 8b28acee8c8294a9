/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream_priv - how TLS gets under a stream.
 */
#pragma once

#include "net/stream.h"

/* As read(2) and send(2) on a blocking socket: -1 with EAGAIN when the time is
 * up, EPROTO when the protocol underneath failed (text for the fault). */
struct net_stream_layer {
	ssize_t (*read)(void *arg, void *into, size_t size);
	ssize_t (*write)(void *arg, const void *bytes, size_t size);
	const char *(*why)(void *arg);
};

/* From now on all bytes go through the layer. What was buffered and not read
 * is dropped: it came before the protection and cannot be trusted. */
void net_stream_push_layer(struct net_stream *stream,
			   const struct net_stream_layer *layer, void *arg);
/* Give the socket its time-out, before using it directly. It may be shorter
 * than the stream's: after EAGAIN, try again while net_stream_may_wait. */
void net_stream_prepare(struct net_stream *stream);
bool net_stream_may_wait(const struct net_stream *stream, uint64_t begun_ms);
