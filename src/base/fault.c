/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum rc fault_set(struct fault *fault, enum rc rc, const char *dsn,
		  const char *format, ...)
{
	va_list args;

	if (fault == NULL)
		return rc;
	fault->rc = rc;
	snprintf(fault->dsn, sizeof(fault->dsn), "%s", dsn);
	va_start(args, format);
	vsnprintf(fault->text, sizeof(fault->text), format, args);
	va_end(args);
	return rc;
}

enum rc fault_add(struct fault *fault, const char *format, ...)
{
	char text[FAULT_TEXT_MAX_BYTES];
	va_list args;
	int used;

	if (fault == NULL)
		return RC_TEMP;
	va_start(args, format);
	used = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (used >= 0 && (size_t)used < sizeof(text) - 3)
		snprintf(text + used, sizeof(text) - (size_t)used, ": %.*s",
			 (int)(sizeof(text) - (size_t)used - 3), fault->text);
	memcpy(fault->text, text, sizeof(text));
	return fault->rc;
}
