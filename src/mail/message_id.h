/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message_id - a Message-Id for a message that has none:
 * <20261121200016.9858EA91237@mail.example.test>, time in GMT.
 */
#pragma once

#include <time.h>

#include "base/mem.h"

/* With the <>. */
char *message_id_make(TALLOC_CTX *mem, const char *queue_id,
		      const char *hostname, time_t when);
/* The first <...> of a header value, or the whole of it, as it is logged. */
struct span message_id_of_value(struct span value);
