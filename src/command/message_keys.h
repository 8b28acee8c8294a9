/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message_keys - the lines of a message as keys of header_checks and
 * body_checks tables: postmap -h, -b and -m.
 *
 * Shape    a field of a header is one key, folded as written with LF between
 *          its lines; each line of a body is one
 * Limits   of mime_nesting_limit and mime_boundary_length_limit; a field is at
 *          most MESSAGE_KEY_MAX_BYTES, what is more of it is left out
 */
#pragma once

#include <stdio.h>

#include "conf/conf.h"

enum { MESSAGE_KEY_MAX_BYTES = 1024 * 1024 };

struct message_keys {
	const struct conf *conf;
	bool headers, body;
	bool mime; /* headers of parts are headers, too */
	void (*found)(void *arg, struct span key);
	void *arg;
};

MUST_CHECK enum rc message_keys_read(const struct message_keys *keys,
				     FILE *from, struct fault *fault);
