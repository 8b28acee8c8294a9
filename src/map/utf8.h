/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/span.h"

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool utf8_is_valid(struct span text);
