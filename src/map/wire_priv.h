/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire_priv - what the protocols of wire.h share; for this folder only.
 */
#pragma once

#include "map/wire.h"

/* "what: reply", and the connection is broken. RC_TEMP. */
enum rc wire_bad(struct wire *wire, const char *what, struct span reply);
/* The same, and the connection is as good as it was. */
enum rc wire_says(struct wire *wire, const char *what, struct span text);

/* RC_OK or RC_TEMP. */
MUST_CHECK enum rc wire_line(struct wire *wire, size_t max,
			     struct span *ret_line);
/* So many bytes, and a NUL after them. */
MUST_CHECK enum rc wire_bytes(struct wire *wire, size_t size, char **ret_bytes);
MUST_CHECK enum rc wire_write(struct wire *wire, struct span bytes);
