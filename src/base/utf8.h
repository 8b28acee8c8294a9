/* SPDX-License-Identifier: Apache-2.0 */
/* utf8 - RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
#pragma once

#include "base/span.h"

bool utf8_is_valid(struct span text);
/* Bytes of the character that text begins with; 0 when it begins with none. */
size_t utf8_first_len(struct span text);
