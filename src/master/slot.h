/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slot - one service line of master.cf while the master runs: its listening
 * sockets, its process, when to start or wake it next.
 *
 * Owner    the supervisor; talloc_free closes sockets, not processes
 * Threads  the master has one
 */
#pragma once

#include <sys/types.h>

#include "conf/master_cf.h"
#include "conf/service.h"

struct slot;

/* A running child. One that drains after a reload has no slot any more. */
struct process {
	pid_t pid;
	int control_fd; /* -1 once closed */
	const char *command; /* path, for the log */
	struct slot *slot;   /* NULL: drains */
	uint64_t started_ms;
	bool ready;
	bool wants_renewal; /* a successor could read more */
	struct process *next;
};

struct slot {
	const struct master_entry *entry; /* of the current table */
	const char *key;	/* "smtp/inet" */
	const char *listen_text; /* what the sockets were made from */
	int *listen_fds;
	size_t listen_count;
	struct process *process; /* NULL: not running */
	unsigned int failures;	 /* starts that failed, in a row */
	uint64_t start_at_ms;	 /* not before; back-off */
	uint64_t wakeup_at_ms;	 /* 0: none */
	bool used;		 /* for "60?" */
	bool eager;		 /* starts without being asked */
	struct slot *next;
};

/* The program does nothing of its own here: its work is done in others. */
bool slot_entry_is_idle(const struct master_entry *entry);
/* Where the program is: daemon_directory, or the folder above its "sbin".
 * RC_CONF: nowhere, with the line of master.cf. */
MUST_CHECK enum rc slot_program_path(TALLOC_CTX *mem, const struct conf *conf,
				     const char *master_cf,
				     const struct master_entry *entry,
				     char **ret_path, struct fault *fault);
struct slot *slot_new(TALLOC_CTX *mem, const struct master_entry *entry);
char *slot_key(TALLOC_CTX *mem, const struct master_entry *entry);
