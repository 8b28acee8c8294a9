/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem - talloc, in the few forms the house uses.
 *
 * Errors   never: when memory runs out the process says so and ends with
 *          EX_OSERR; so every size a peer can choose has a limit first
 * Owner    each object has one parent; talloc_free(parent) frees it
 * Threads  a tree belongs to one thread at a time; an object with parent NULL
 *          may be handed to another thread whole
 */
#pragma once

#include <talloc.h>

#include "base/compiler.h"
#include "base/span.h"

/* A zeroed object of `type`; count objects with mem_array. */
#define mem_new(ctx, type)	      ((type *)mem_zero((ctx), sizeof(type), #type))
#define mem_array(ctx, type, count)                                           \
	((type *)mem_zero_array((ctx), sizeof(type), (count), #type))
/* Grow or shrink an array; new elements are not zeroed. */
#define mem_resize(ctx, ptr, type, count)                                     \
	((type *)mem_resize_array((ctx), (ptr), sizeof(type), (count), #type))

/* A scratch context that is freed on every way out of its block. */
#define SCRATCH __attribute__((cleanup(mem_scratch_done)))

void *mem_zero(const void *ctx, size_t size, const char *name);
void *mem_zero_array(const void *ctx, size_t size, size_t count,
		     const char *name);
void *mem_resize_array(const void *ctx, void *ptr, size_t size, size_t count,
		       const char *name);
char *mem_strdup(const void *ctx, const char *text);
/* The bytes of the span and a NUL after them. */
char *mem_span_dup(const void *ctx, struct span span);
/* A copy of the bytes, owned by ctx. */
struct span mem_span_copy(const void *ctx, struct span span);
char *mem_printf(const void *ctx, const char *format, ...) PRINTF(2, 3);

/* Overwrite a secret in a way the compiler keeps. */
void mem_wipe(void *ptr, size_t size);

void mem_scratch_done(void *ptr_to_ctx);
