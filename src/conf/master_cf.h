/* SPDX-License-Identifier: Apache-2.0 */
/*
 * master_cf - the service lines of master.cf, as a list.
 *
 * Errors   RC_CONF with file and line
 * Owner    everything is a child of the returned table
 * See      master(5); reference inventory 1.1
 */
#pragma once

#include "conf/conf.h"

enum service_type {
	SERVICE_INET,
	SERVICE_UNIX,
	SERVICE_UNIX_DGRAM,
	SERVICE_FIFO,
	SERVICE_PASS,
};

struct master_entry {
	const char *name; /* "smtp", "127.0.0.1:10025", "pickup" */
	enum service_type type;
	bool is_private;
	bool unprivileged; /* run as $mail_owner */
	bool chroot;
	int wakeup_s; /* 0: never */
	bool wakeup_after_use; /* "60?" */
	int max_processes;     /* 0: no limit; "-" is default_process_limit */
	const char *program;   /* "smtpd", as written */
	const char *const *argv; /* after the program, braces stripped */
	size_t argc;
	const char *const *overrides; /* "name=value" of every -o, in order */
	size_t override_count;
	int line;
};

struct master_table {
	const char *path;
	struct master_entry *entries;
	size_t count;
};

/* Lines disabled by master_service_disable are left out; of two with the same
 * name and type the last one stays. */
MUST_CHECK enum rc master_cf_load(TALLOC_CTX *mem, const struct conf *conf,
				  struct master_table **ret_table,
				  struct fault *fault);
const char *service_type_name(enum service_type type);
