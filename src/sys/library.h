/* SPDX-License-Identifier: Apache-2.0 */
/*
 * library - shared libraries that are loaded when something needs them: the
 * clients of databases. A process that has no table of their kind never maps
 * them.
 *
 * Use      struct client { CLIENT_CALLS(LIBRARY_MEMBER) };
 *          static const struct library_call calls[] = {
 *                  CLIENT_CALLS(LIBRARY_ROW)
 *          };
 *          with #define CLIENT_CALLS(CALL) CALL(client, PQfinish) ...
 * Errors   RC_CONF: the library is not installed, or too old for a call
 * Owner    a library stays loaded until the process ends
 * Threads  any may load, any number of times
 */
#pragma once

#include "base/fault.h"

struct library_call {
	const char *name;
	size_t offset; /* of the pointer in the table */
};

/* A member of the table of calls, and its row. */
#define LIBRARY_MEMBER(table, call) typeof(call) *call;
#define LIBRARY_ROW(table, call)    { #call, offsetof(struct table, call) },

struct library {
	const char *file;    /* "libpq.so.5" */
	const char *package; /* what to install to have it */
	const struct library_call *calls;
	size_t count;
	/* Once for each load, one thread at a time; may be NULL. */
	void (*prepare)(void *table);
};

MUST_CHECK enum rc library_load(const struct library *library, void *table,
				struct fault *fault);
