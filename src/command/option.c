/* SPDX-License-Identifier: Apache-2.0 */
#include "command/option.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/span.h"

int option_number(const char *command, const char *option, const char *text,
		  int min, int max)
{
	uint64_t value;

	if (span_to_u64(span_from(text), (uint64_t)max, &value) &&
	    value >= (uint64_t)min)
		return (int)value;
	fprintf(stderr, "%s: %s: a number from %d to %d, not \"%s\"\n", command,
		option, min, max, text);
	exit(1);
}
