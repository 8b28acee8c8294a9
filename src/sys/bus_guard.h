/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus_guard - read a mapped file that somebody else may cut short.
 *
 * The kernel answers a read behind the end of a mapped file with SIGBUS, which
 * would end the process. Inside a guard the read fails instead.
 *
 * Limits   fn must not take a lock, and what it has half made is the caller's
 *          to throw away. Guards do not nest.
 * Threads  any; each has its own guard. The handler is set once and for all.
 */
#pragma once

#include "base/compiler.h"

/* false: the file got shorter, and fn was left in the middle. */
MUST_CHECK bool bus_guard_run(void (*fn)(void *arg), void *arg);
