/* SPDX-License-Identifier: Apache-2.0 */
/*
 * content - a message on its way to a server: from the image to the stream.
 *
 * Shape    where the image says that nothing has to be changed (no line begins
 *          with a dot, none is too long, no bare line ends, no addresses to
 *          rewrite) the bytes go out as they lie there, in large writes
 * Holds    either all of it, the final dot included, is written, or the stream
 *          is not used any more
 * Errors   RC_TEMP: the image cannot be read (fault says why), or the stream
 *          failed (its trouble says how)
 */
#pragma once

#include "net/stream.h"
#include "queue/image.h"

struct smtp_content {
	const struct image *image;
	size_t line_limit;	   /* 0: none */
	const struct span *header; /* in place of the image's, or NULL */
	const struct span *whole;  /* in place of all of it, or NULL */
};

/* It fits into one write, which no server that works keeps waiting. */
bool smtp_content_is_small(const struct smtp_content *content);
/* The whole content, and the line with the dot; flushed. *ret_image_bad: the
 * failure is ours, not the stream's. */
MUST_CHECK enum rc smtp_content_send(const struct smtp_content *content,
				     struct net_stream *stream,
				     bool *ret_image_bad, struct fault *fault);
