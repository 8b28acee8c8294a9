/* SPDX-License-Identifier: Apache-2.0 */
/*
 * starttls_memory - who has offered STARTTLS. A host that did and does not any
 * more may have somebody between it and us who takes the offer out.
 *
 * Shape    of this process, until it ends; each transport has its own
 * Limits   10,000 hosts, the oldest are forgotten
 * Threads  any
 */
#pragma once

#include "base/mem.h"

struct starttls_memory;

struct starttls_memory *starttls_memory_new(TALLOC_CTX *mem);
/* True: it is not offered now, and was before. */
bool starttls_memory_note(struct starttls_memory *memory, const char *host,
			  bool offered);
