/* SPDX-License-Identifier: Apache-2.0 */
/*
 * macro - $name in texts that are expanded for each delivery: forward_path,
 * mailbox_command, luser_relay.
 *
 * Shape    $name ${name} $(name) ${name?text} ${name:text} ${name?{a}:{b}}, $$
 * Holds    bytes of a value that are not in `allowed` become '_'
 * Errors   RC_CONF: braces that do not match, a name that is not known
 */
#pragma once

#include "base/buf.h"
#include "base/fault.h"

struct macro_value {
	const char *name;
	const char *value; /* NULL is "" */
};

MUST_CHECK enum rc macro_expand(TALLOC_CTX *mem, const char *text,
				const struct macro_value *values, size_t count,
				const char *allowed, char **ret_text,
				struct fault *fault);
