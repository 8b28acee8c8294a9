/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain_priv - `postern explain`: one session played against a configuration,
 * and everything that was asked on the way.
 *
 *   postern_explain.c   options; one session, or many under two configurations
 *   explain_session.c   what a session says, from options and key=value lines
 *   explain_log.c       sessions out of a mail log
 *   explain_world.c     who answers for DNS, network tables, policy services
 *   explain_input.c     what a rule looks at
 *   explain_play.c      plays a session (arrive/smtpd/rehearsal.h), hears it
 *   explain_decide.c    what the client gets in the end, and what decided it
 *   explain_text.c      for people
 *   explain_json.c      for programs
 *   explain_diff.c      many sessions, two configurations
 *
 * Owner    everything is a child of the mem given
 * Threads  one
 */
#pragma once

#include <stdio.h>

#include "arrive/smtpd/rehearsal.h"
#include "base/json.h"
#include "command/terminal.h"
#include "sys/trace.h"

/* ---- sessions ---- */

enum { SESSION_LINE_MAX_BYTES = 16 * 1024, SESSION_RECIPIENTS_MAX = 1000 };

struct explain_session {
	const char *id; /* where it comes from: "line 3", a queue id; or NULL */
	const char *client_name; /* NULL: ask DNS; "unknown" */
	const char *client_address;
	const char *reverse_name;   /* NULL: as client_name */
	bool name_unavailable;	    /* DNS could not say: try again */
	const char *server_address; /* where it connected to; NULL */
	const char *helo;	    /* NULL: it says none */
	bool smtp;		    /* HELO, not EHLO */
	bool has_sender;
	const char *sender, *etrn_domain; /* NULL: not said */
	const char **recipients;
	size_t recipient_count;
	const char *sasl_username;
	const char *tls; /* NULL: in clear; "yes", "TLSv1.3:CIPHER" */
	const char *cert, *cert_key; /* fingerprints; NULL */
	bool cert_trusted;
	const char *size; /* SIZE= of MAIL; NULL */
	const char *was;  /* reply in the log it comes from; NULL */
};

/* NAME[ADDRESS], ADDRESS, [UNAVAILABLE][ADDRESS], [TEMPUNAVAIL][ADDRESS]. */
MUST_CHECK enum rc explain_client_parse(TALLOC_CTX *mem, struct span text,
					struct explain_session *session,
					struct fault *fault);
/* "client=a.test[192.0.2.1] helo=a.test from=<jo@a.test> to=<ann@b.test>".
 * RC_NONE: an empty line or a comment. */
MUST_CHECK enum rc explain_session_parse(TALLOC_CTX *mem, struct span line,
					 struct explain_session *ret_session,
					 struct fault *fault);
/* One attribute; RC_PERM: no such one, or a bad value. */
MUST_CHECK enum rc explain_session_set(TALLOC_CTX *mem,
				       struct explain_session *session,
				       struct span name, struct span value,
				       struct fault *fault);
void explain_recipient_add(TALLOC_CTX *mem, struct explain_session *session,
			   struct span address);
/* The line that explain_session_parse reads. */
char *explain_session_format(TALLOC_CTX *mem,
			     const struct explain_session *session);

/* Sessions out of log lines, fed one by one. */
struct explain_log;
typedef void explain_session_fn(void *arg, struct explain_session *session);
struct explain_log *explain_log_new(TALLOC_CTX *mem, explain_session_fn *found,
				    void *arg);
void explain_log_line(struct explain_log *log, struct span line);
void explain_log_end(struct explain_log *log); /* what is still open */

/* ---- the world outside ---- */

struct explain_answer {
	enum trace_kind kind;
	const char *name; /* DNS: "MX"; else table, endpoint, "address" */
	const char *key;  /* "" any */
	enum rc rc;
	const char *value;
};

struct explain_world {
	struct explain_answer *answers;
	size_t count;
	bool dns_live, live; /* really ask DNS; tables, services */
	bool dns_none;	     /* what is not said does not exist */
};

/* "NAME TYPE VALUE...", VALUE: records, NXDOMAIN, NODATA or ERROR. */
MUST_CHECK enum rc explain_world_dns(struct explain_world *world,
				     struct span text, struct fault *fault);
MUST_CHECK enum rc explain_world_zone(struct explain_world *world,
				      const char *path, struct fault *fault);
/* "TABLE KEY VALUE...", "ENDPOINT ACTION...", "ADDRESS deliverable" */
MUST_CHECK enum rc explain_world_answer(struct explain_world *world,
					enum trace_kind kind, struct span text,
					struct fault *fault);
const struct explain_answer *
explain_world_find(const struct explain_world *world,
		   const struct trace_event *question);

/* A question that nobody answered, and what was taken for granted. */
struct explain_unknown {
	enum trace_kind kind;
	const char *name, *key;
	const char *rule;		/* word of the rule that asked; "" */
	struct span assumed, otherwise; /* values; "" with rc RC_NONE: none */
	enum rc assumed_rc, otherwise_rc;
	bool minor; /* goes with one before it, or changes words only */
	/* Told after the session was played the other way. */
	const char *other_reply; /* NULL: makes no difference */
	int other_code;
};

/* What to take for granted when nobody says. */
void explain_world_assume(TALLOC_CTX *mem, const struct trace_event *question,
			  const char *rule, const char *argument,
			  struct explain_unknown *unknown);
/* Does this table, and not only a file, have to be asked? */
bool explain_table_is_remote(const char *name);

/* ---- what happened ---- */

enum explain_step_type {
	STEP_LIST,
	STEP_RULE,
	STEP_TABLE,
	STEP_MATCH,
	STEP_DNS,
	STEP_POLICY,
	STEP_VERIFY,
	STEP_SAYS,
};

struct explain_step {
	enum explain_step_type type;
	struct explain_step *next, *parent, *first, *last;
	const char *name;
	struct span key, value;
	enum rc rc;
	enum trace_result result;
	bool warns, stood_in, reached, unknown;
	/* of a rule */
	const char *source; /* NULL: nowhere */
	bool source_is_table;
	struct conf_place place;
	const char *input; /* what it looks at; NULL */
};

struct explain_stage {
	const char *name;      /* "CONNECT", "RCPT", ... */
	const char *command;   /* what the client says */
	const char *recipient; /* of RCPT; NULL */
	struct explain_step root;
	const char *reply;
	int code;
	const char **log;
	size_t log_count;
};

enum explain_outcome {
	EXPLAIN_ACCEPTED,
	EXPLAIN_REFUSED,
	EXPLAIN_DEFERRED,
	EXPLAIN_OPEN, /* depends on answers that are not known */
};

struct explain_result {
	const struct explain_session *session;
	const struct conf *conf;
	const char *service;
	struct explain_stage *stages;
	size_t stage_count;
	struct explain_unknown *unknowns;
	size_t unknown_count;
	enum explain_outcome outcome;
	const struct explain_stage *last;   /* the one that decides */
	const struct explain_step *decided; /* NULL: no rule did */
	const struct explain_step *decided_list;
	const char *own; /* parameter of smtpd's own that refused; NULL */
	struct conf_place own_place;
};

/* Where a session is played. */
struct explain_player {
	struct conf *conf;
	const char *service;
	struct rehearsal *rehearsal;
	const struct explain_world *world;
	const char *until; /* stage after which it ends; NULL: all */
	bool brief;	   /* only the outcome: no steps, no log */
	int log_fd;	   /* of the process's log; -1 */
};

enum { EXPLAIN_UNKNOWNS_MAX = 24, EXPLAIN_STAGES_MAX = 1010 };

MUST_CHECK enum rc explain_play(TALLOC_CTX *mem,
				const struct explain_player *player,
				const struct explain_session *session,
				struct explain_result **ret_result,
				struct fault *fault);
/* The same session once more for each unknown answer, the other way round. */
void explain_branches(TALLOC_CTX *mem, const struct explain_player *player,
		      struct explain_result *result);
void explain_decide(struct explain_result *result);
/* What of the session this restriction looks at: "helo a.test"; NULL. */
const char *explain_input(TALLOC_CTX *mem,
			  const struct explain_session *session,
			  const char *recipient, const char *rule);

/* Plays with every question of `flipped` answered the other way. */
MUST_CHECK enum rc explain_play_flipped(TALLOC_CTX *mem,
					const struct explain_player *player,
					const struct explain_session *session,
					const struct explain_unknown *flipped,
					struct explain_result **ret_result,
					struct fault *fault);

struct explain_look {
	struct terminal terminal;
	bool all; /* also what was not reached */
};
void explain_text_print(const struct explain_result *result,
			const struct explain_look *look, FILE *to);
void explain_json_print(const struct explain_result *result, FILE *to);
const char *explain_outcome_name(enum explain_outcome outcome);
/* Exit status of the command. */
int explain_outcome_status(enum explain_outcome outcome);
/* "main.cf:12", "-o of master.cf:4", "default", into mem. */
const char *explain_place_text(TALLOC_CTX *mem, const struct conf *conf,
			       const struct conf_place *place, bool whole);
/* "not found", "listed", ... of a lookup, for people. */
const char *explain_lookup_text(TALLOC_CTX *mem,
				const struct explain_step *step);

/* ---- many ---- */

struct explain_diff;
struct explain_diff *explain_diff_new(TALLOC_CTX *mem,
				      const struct explain_player *now,
				      const struct explain_player *then);
explain_session_fn explain_diff_session; /* arg: struct explain_diff */
size_t explain_diff_count(const struct explain_diff *diff); /* so far */
/* Returns the exit status. */
int explain_diff_print(struct explain_diff *diff, bool as_json, FILE *to);
