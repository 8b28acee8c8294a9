/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdarg.h>
#include <sysexits.h>
#include <unistd.h>

static void *kept_or_exit(void *ptr)
{
	static const char text[] = "fatal: out of memory\n";
	ssize_t ignored;

	if (ptr != NULL)
		return ptr;
	ignored = write(STDERR_FILENO, text, sizeof(text) - 1);
	(void)ignored;
	_exit(EX_OSERR);
}

void *mem_zero(const void *ctx, size_t size, const char *name)
{
	return kept_or_exit(_talloc_zero(ctx, size, name));
}

void *mem_zero_array(const void *ctx, size_t size, size_t count,
		     const char *name)
{
	assert(count < UINT32_MAX);
	return kept_or_exit(
		_talloc_zero_array(ctx, size, (unsigned int)count, name));
}

void *mem_resize_array(const void *ctx, void *ptr, size_t size, size_t count,
		       const char *name)
{
	assert(count > 0 && count < UINT32_MAX);
	return kept_or_exit(_talloc_realloc_array(ctx, ptr, size,
						  (unsigned int)count, name));
}

char *mem_strdup(const void *ctx, const char *text)
{
	return kept_or_exit(talloc_strdup(ctx, text));
}

char *mem_span_dup(const void *ctx, struct span span)
{
	char *copy = kept_or_exit(talloc_size(ctx, span.len + 1));

	if (span.len > 0)
		memcpy(copy, span.ptr, span.len);
	copy[span.len] = '\0';
	talloc_set_name_const(copy, "char");
	return copy;
}

struct span mem_span_copy(const void *ctx, struct span span)
{
	return (struct span){ mem_span_dup(ctx, span), span.len };
}

char *mem_printf(const void *ctx, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = talloc_vasprintf(ctx, format, args);
	va_end(args);
	return kept_or_exit(text);
}

void mem_wipe(void *ptr, size_t size)
{
	explicit_bzero(ptr, size);
}

void mem_scratch_done(void *ptr_to_ctx)
{
	talloc_free(*(void **)ptr_to_ctx);
}
