/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify_client - asks the verify service about addresses, for all threads of a
 * process, without blocking any.
 *
 * How      one connection, made when it is needed and again when it broke; a
 *          thread of its own reads the answers and calls who waits
 * Errors   RC_TEMP: the service cannot be reached. A connection that breaks
 *          answers VERIFY_TODO to all that was asked on it, finally.
 * Threads  any; a question belongs to one thread at a time
 */
#pragma once

#include "base/fault.h"
#include "base/mem.h"
#include "queue/wire.h"

struct verify_client;
struct verify_question; /* freeing it drops it */

/* path: "private/verify", relative to the working directory. */
struct verify_client *verify_client_new(TALLOC_CTX *mem, const char *path);
MUST_CHECK enum rc verify_question_new(TALLOC_CTX *mem,
				       struct verify_client *client,
				       const char *address,
				       struct verify_question **ret_question,
				       struct fault *fault);

struct verify_answer {
	bool known;    /* there is one */
	bool is_final; /* no better one will come: it is not VERIFY_TODO, or the
			* connection is gone */
	enum verify_status status;
	char text[1100];
};
/* What is known so far. When that is not final and ready is not NULL, it is
 * called (from another thread; it must be short) when there is more. */
void verify_question_look(struct verify_question *question,
			  void (*ready)(void *arg), void *arg,
			  struct verify_answer *ret_answer);
/* Wait for a final answer until then (clock_mono_ms), or with `any` for one. */
void verify_question_wait(struct verify_question *question, uint64_t until_ms,
			  bool any);
