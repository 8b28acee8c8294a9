/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus_guard - read a mapped file that somebody else may cut short.
 *
 * The kernel answers a read behind the end of a mapped file with SIGBUS, and a
 * library that follows a pointer in a damaged file meets SIGSEGV: either would
 * end the process. Inside a guard the read fails instead.
 *
 * Limits   fn must not take a lock, and what it has half made is the caller's
 *          to throw away. Guards do not nest.
 * Threads  any; each has its own guard. The handler is set once and for all.
 */
#pragma once

#include "base/compiler.h"

/* false: fn was left in the middle. What it works on is in no good state and is
 * better left alone, not even closed. */
MUST_CHECK bool bus_guard_run(void (*fn)(void *arg), void *arg);
/* Again, should something have taken the signals away. */
void bus_guard_install(void);
