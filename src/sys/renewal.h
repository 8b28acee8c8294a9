/* SPDX-License-Identifier: Apache-2.0 */
/*
 * renewal - a process that should be replaced says so to its master, once.
 *
 * What changes in a file that only root may read, or that a chroot hides, can
 * be read by a successor alone. The master starts one and lets this process
 * finish what it has begun, as after a reload.
 *
 * Threads  renewal_want: any; renewal_register: before there are threads
 */
#pragma once

#include "base/compiler.h"

/* Where and how to say it; the socket stays the caller's. */
void renewal_register(int sock, uint16_t packet_type);
/* Nothing, when nobody has registered. */
void renewal_want(void);
