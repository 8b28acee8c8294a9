/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local - delivery to the users of this machine: aliases, .forward files,
 * mailboxes, commands, and what leaves again as a new message.
 *
 *   recipient ─▶ alias? ─▶ .forward? ─▶ mailbox_transport, mailbox_command,
 *                  │           │        home_mailbox, mail_spool_directory
 *                  ▼           ▼
 *           address, |command, /file, :include:
 *
 * Holds    whatever touches a user's files or runs a command does so in a child
 *          that has become the user for good; a recipient is settled after all
 *          that it expanded to, and by the worst of it
 * Threads  a struct local is immutable, but for the intake that the first
 *          forwarded message opens; a job belongs to one thread
 */
#pragma once

#include <pthread.h>

#include "conf/service.h"
#include "deliver/delivery.h"
#include "deliver/mailbox.h"
#include "rule/cleanup.h"
#include "rule/resolve.h"
#include "sys/privilege.h"

struct local {
	struct conf *conf;
	const char *service_name;
	struct maps *aliases, *mailbox_command_maps, *mailbox_transport_maps,
	    *fallback_transport_maps;
	struct resolver *resolver;
	struct privilege_user *default_user; /* default_privs */
	struct mailbox_rules rules;
	pthread_mutex_t lock; /* the two below are made once, when needed */
	struct intake *intake;
	struct cleanup_service *cleanup;
};

enum { EXPANSION_DEPTH_MAX = 100 };

enum target_source {
	SOURCE_RECIPIENT,
	SOURCE_ALIAS,
	SOURCE_FORWARD,
	SOURCE_INCLUDE,
};

/* An address on its way through expansion; lives on the stack of it. */
struct target {
	const struct target *parent;
	enum target_source source;
	const char *address;   /* jo+list@example.test */
	const char *sender;    /* the owner's, for lists */
	const char *name;      /* folded local part: jo+list */
	const char *user;      /* jo */
	const char *extension; /* list, or "" */
	const char *delimiter; /* "+", or "" */
	const char *domain;
	const char *alias; /* name of the alias being expanded, or NULL */
	/* As whom files and commands of the expansion run; NULL: nobody in
	 * particular (default_privs). */
	const struct privilege_user *run_as;
	bool forward_all; /* a list with an owner, or an included file */
	bool direct;	  /* \jo: no aliases, no .forward */
};

/* A new message: all that leaves with one sender. */
struct forward {
	const char *sender;
	const char **recipients;
	bool keep_original; /* the original recipient stays what it was */
	size_t count, room;
	struct forward *next;
};

struct job {
	struct local *local;
	struct delivery *d;
	size_t index;
	TALLOC_CTX *mem;
	const struct recipient *to;
	bool settled_any;
	struct outcome worst;
	const char **seen; /* "alias x", "mailbox x", "forward /path" */
	size_t seen_count;
	int depth;
	struct forward *forwards;
};

/* local.c */
MUST_CHECK enum rc local_open(TALLOC_CTX *mem, struct service *service,
			      struct local **ret_local, struct fault *fault);
void local_deliver(void *local, struct delivery *delivery);

/* job.c: log one line, and remember the worst. */
void job_settle(struct job *job, const struct target *target,
		struct outcome *out);
void job_sent(struct job *job, const struct target *target, const char *dsn,
	      const char *text);
void job_fault(struct job *job, const struct target *target,
	       const struct fault *fault);
/* true: this key was there before. */
bool job_seen(struct job *job, const char *kind, const char *key);
/* kind: "command" or "file", as in prepend_delivered_header; NULL a mailbox. */
struct mail_text job_text(struct job *job, const struct target *target,
			  int flags, const char *kind);

/* expand.c */
void target_split(struct job *job, struct target *target);
void target_deliver(struct job *job, struct target *target);
/* Each destination in the text. */
void tokens_deliver(struct job *job, const struct target *parent,
		    struct span text, enum target_source source,
		    const struct privilege_user *run_as);
/* One address as written: completed, resolved, and delivered or forwarded. */
void address_deliver(struct job *job, const struct target *parent,
		     const char *address, enum target_source source,
		     const struct privilege_user *run_as);

/* alias.c, dotforward.c: true when there was one and it has been dealt with. */
bool alias_deliver(struct job *job, struct target *target);
bool dotforward_deliver(struct job *job, struct target *target,
			const struct privilege_user *user);
/* user_file.c: a file read with a user's rights (NULL: ours). RC_NONE: there is
 * none, or it is not one to be trusted. ret_owner may be NULL, and is for
 * user == NULL only. */
MUST_CHECK enum rc user_file_read(TALLOC_CTX *mem, const char *path,
				  const struct privilege_user *user,
				  struct span *ret_text, uid_t *ret_owner,
				  struct fault *fault);

/* user.c: the mailbox of a user, or what happens to unknown ones. */
void user_deliver(struct job *job, struct target *target,
		  const struct privilege_user *user);
void unknown_deliver(struct job *job, struct target *target);

/* store.c: files, Maildirs and commands. */
void store_mailbox(struct job *job, const struct target *target,
		   const struct privilege_user *user);
void store_file(struct job *job, const struct target *target, const char *path,
		const struct privilege_user *user);
void store_command(struct job *job, const struct target *target,
		   const char *command, const struct privilege_user *user);

/* forward.c */
void forward_add(struct job *job, const struct target *parent,
		 const char *address);
void forward_finish(struct job *job, const struct target *top);
