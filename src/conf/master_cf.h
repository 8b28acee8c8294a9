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
	int wakeup_s;	       /* 0: never */
	bool wakeup_after_use; /* "60?" */
	int max_processes;     /* 0: no limit; "-" is default_process_limit */
	const char *program;   /* "smtpd", as written */
	/* After the program, braces stripped, without the -o options. Options
	 * end at the first word that is not one: in "pipe argv=uux -r -o x"
	 * the last three words are arguments. */
	const char *const *argv;
	size_t argc;
	const char *const *overrides; /* "name=value" of every -o, in order */
	size_t override_count;
	int line;
	/* Every word in the form that can be written back: fields, program,
	 * "-o" and "name=value" (in braces if it has blanks), arguments. */
	const char *const *words;
	size_t word_count;
};

struct master_table {
	const char *path;
	struct master_entry *entries;
	size_t count;
	const char *const *warnings; /* ".../master.cf, line 7: ..." */
	size_t warning_count;
};

/* Lines disabled by master_service_disable are left out; of two with the same
 * name and type the last one stays. */
MUST_CHECK enum rc master_cf_load(TALLOC_CTX *mem, const struct conf *conf,
				  struct master_table **ret_table,
				  struct fault *fault);
/* Every line, also the disabled and the repeated ones. */
MUST_CHECK enum rc master_cf_load_all(TALLOC_CTX *mem, const struct conf *conf,
				      struct master_table **ret_table,
				      struct fault *fault);
/* The same from a text in memory. */
MUST_CHECK enum rc master_cf_parse(TALLOC_CTX *mem, const struct conf *conf,
				   struct span text, const char *path,
				   struct master_table **ret_table,
				   struct fault *fault);
const char *service_type_name(enum service_type type);
