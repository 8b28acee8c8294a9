/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stress - a server that has more to do than it can: sessions that begin then
 * live under the configuration as it is with "stress = yes", as if the
 * reference's master had started it with -o stress=yes.
 *
 * When     all threads at work for STRESS_CHECKS looks in a row, or nine tenths
 *          of the sessions that there can be; until STRESS_S after that
 * Log      the three lines of the reference's master
 * Threads  stress_look by one thread, stress_server by any
 */
#pragma once

#include <stdatomic.h>

#include "arrive/smtpd/server.h"

enum { STRESS_CHECKS = 2, STRESS_S = 60 };

struct stress {
	struct smtpd_server *normal, *stressed;
	_Atomic uint64_t until_ms; /* 0: never yet */
	int full_looks;
};

/* The second server shares all with the first that the configuration does not
 * make different. Call it where tables can be opened. */
MUST_CHECK enum rc stress_open(TALLOC_CTX *mem, struct smtpd_server *normal,
			       const struct conf_source *source,
			       struct stress **ret_stress, struct fault *fault);
/* Every second or so. */
void stress_look(struct stress *stress, size_t max_sessions, uint64_t now_ms);
/* The server for a session that begins now. */
struct smtpd_server *stress_server(const struct stress *stress,
				   uint64_t now_ms);
