/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compiler - attributes and small macros that every file uses, and the list of
 * C library functions that do not compile here because they have no limit.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK	__attribute__((warn_unused_result))
#define PRINTF(f, a)	__attribute__((format(printf, f, a)))
#define NORETURN	__attribute__((noreturn))
#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))
#define MIN_OF(a, b)	((a) < (b) ? (a) : (b))
#define MAX_OF(a, b)	((a) > (b) ? (a) : (b))
/* The object that holds `member`, from a pointer to the member. */
#define HOLDER_OF(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))
