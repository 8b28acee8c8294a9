/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session - one client of the SMTP server, from accept to close.
 *
 * Shape    a struct and a state machine, run by whichever worker thread has
 *          taken it up: read, run commands until the input is used up, write
 *          the replies in one go, park.
 * Holds    what a parked session costs is this struct and its texts; input that
 *          is not used up yet (less than a line) and replies that the client
 *          does not take are copied aside, the thread's buffers are shared
 * Limits   a line of content or command: line_length_limit; replies not taken:
 *          SMTPD_OUTPUT_BYTES, then no more input is read
 * Owner    no talloc parent: it moves between threads
 * Threads  with one thread at a time
 */
#pragma once

#include "arrive/smtpd/client_table.h"
#include "arrive/smtpd/content_reader.h"
#include "arrive/smtpd/server.h"
#include "mail/smtp_command.h"

enum session_phase {
	PHASE_PROXY,	 /* its proxy says for whom it connects */
	PHASE_START,	 /* nothing said yet */
	PHASE_HANDSHAKE, /* TLS */
	PHASE_COMMAND,
	PHASE_AUTH,	 /* a login is under way */
	PHASE_DATA,
	PHASE_BDAT,	 /* bdat_left bytes of a chunk to come */
	PHASE_DISCARD,	 /* the same, after an error: 551 */
	PHASE_END,	 /* flush, then close */
};

/* The steps of PHASE_PROXY (the first) and PHASE_START. */
enum session_start {
	START_PROXY,
	START_ADDRESS,
	START_NAME,
	START_RULES,
	START_DONE,
};

enum { SESSION_VERBS_MAX = 20 };

struct session_count {
	uint32_t good, total;
};

struct smtpd_session {
	struct workers_session ws;
	struct smtpd_server *server;
	struct tls *tls;
	enum session_phase phase;
	struct span unread; /* input kept while parked; a child, or empty */
	struct span unsent; /* replies kept while parked; a child, or empty */
	struct smtpd_thread *thread; /* only while it runs */
	struct span input;	     /* what is left of it; only while it runs */
	uint64_t sleep_until_ms;     /* a tarpit is on: replies wait */

	/* The client. */
	char *client_name, *client_address, *client_port;
	char *reverse_name;
	char *server_address, *server_port; /* where it connected to */
	char *client_text; /* "name[address]" as the log has it */
	enum rc client_name_rc, reverse_name_rc;
	enum session_start start;
	struct client_naming *naming; /* its name is being asked for; NULL */
	struct net_network client_key, counted_key; /* for its limits */
	struct client_counts counted; /* by connecting; 0: not counted */
	bool is_local; /* local_header_rewrite_clients */
	bool debugged; /* in debug_peer_list */
	int discard;	/* enum ehlo_keyword bits that it does not get */
	bool strict_lf; /* bare LF ends no data */
	char *helo;    /* NULL before HELO */
	bool esmtp;
	bool access_denied; /* refused at connect: all commands are */
	const char *cert_denied; /* why its certificate will not do; NULL */
	struct session_login *login; /* AUTH is under way; NULL */
	char *sasl_method, *sasl_username; /* NULL: not logged in */
	/* XFORWARD is for who connected, also after XCLIENT. */
	bool forward_known;
	enum rc may_forward;
	struct session_forward *forward;   /* XFORWARD; NULL: none */

	char instance[48];
	unsigned int instance_count;
	struct restriction_state rules;
	struct restriction_waiter waiter;
	uint64_t waits_until_ms; /* 0: no; else the command that is in the input
				  * is run again when its answer is there */
	struct smtpd_transaction *transaction; /* from MAIL on; NULL */
	const char *asked; /* the recipient that is looked at, for logs */
	struct {
		bool seen;   /* MAIL, RCPT and DATA have to wait */
		bool failed; /* 551 until the last chunk or RSET */
		bool last;
		bool complete;	     /* the last chunk was taken in */
		uint64_t size, left; /* of this chunk */
	} bdat;
	struct session_count counts[SESSION_VERBS_MAX];
	struct session_count unknown;
	int errors, junk;
	int verb;	   /* index in the table of the command that runs */
	const char *where; /* "after CONNECT": for the log */
	bool bare_lf_seen;
	bool out_of_step; /* sent more before it might */
	bool skip_line;	   /* the rest of a command line that was too long */
	uint64_t accepted_ms;
	uint64_t request_ends_ms; /* smtpd_per_request_deadline; 0: none yet */
};

/* Who the client says sent it the next message. Texts may be NULL. */
struct session_forward {
	bool has_client; /* some of the next five were given */
	char *name, *address, *port, *proto, *helo;
	char *ident;
	enum { FORWARD_AS_CLIENT, FORWARD_LOCAL, FORWARD_REMOTE } source;
};

struct smtpd_transaction {
	struct cleanup *cleanup; /* from the first accepted recipient on */
	const char *queue_id;	 /* of cleanup */
	char *sender;
	char *sasl_sender;     /* AUTH= of MAIL; NULL */
	char *first_recipient; /* as given, for logs and Received */
	struct smtp_mail mail;
	char *mail_args;	 /* of MAIL, for a proxy filter */
	struct proxy *proxy; /* the message goes there; NULL */
	unsigned int recipients, overshoot;
	struct content_reader reader;
	uint64_t content_bytes;
	uint64_t all_chunks_bytes;
	bool headers_begun; /* our Received: was written */
	bool content_bad;   /* an error is known: the rest is not looked at */
	bool too_big;
	bool committed; /* the queue has it, or it was dropped on purpose */
	struct buf carry;  /* the part of a line at the end of a chunk */
};

/* A connection was accepted; the session owns fd from now on. NULL: refused
 * and closed. */
struct smtpd_session *smtpd_session_new(struct smtpd_server *server, int fd,
					const struct net_address *peer);
/* workers_run_fn; `me->local` is a struct smtpd_thread. */
enum workers_next smtpd_session_run(struct workers_session *ws,
				    struct worker *me, unsigned woke);

/* ---- for verbs ---- */

/* One reply line; with a status code that is left out when the client must not
 * see them. */
void session_reply(struct smtpd_session *s, const char *format, ...)
	PRINTF(2, 3);
/* "QID: what: STAGE from CLIENT: text; from=<> to=<> proto= helo=<>" */
void session_log(struct smtpd_session *s, const char *what, const char *stage,
		 const char *text);
/* "proxy-accept: END-OF-MESSAGE: reply; from=<> to=<> proto= helo=" */
void session_log_proxy(struct smtpd_session *s, bool accepted,
		       const char *reply);
/* args: "FROM:<...>", or the address alone */
void session_log_bad_address(struct smtpd_session *s, const char *verb,
			     struct span args);
/* Bytes of a client for the log: "\\r\\n\\000". */
void session_add_escaped(struct buf *text, struct span bytes);
/* The queue id, or "NOQUEUE". */
const char *session_id(const struct smtpd_session *s);
/* A failure of a lower floor as a reply: "451 4.3.0 Error: ...". */
void session_reply_fault(struct smtpd_session *s, const struct fault *fault);
/* Drop the transaction: nothing of it stays. The one place. */
void session_reset(struct smtpd_session *s);
void session_instance_new(struct smtpd_session *s);
/* Replies so far are sent, then the connection is closed. */
void session_end(struct smtpd_session *s);
/* Ask the restrictions; on refusal the reply is made and logged. False with
 * waits_until_ms set: nothing is decided yet. The verb fails without a trace,
 * the thread goes, and the same command is run again later: so count and change
 * nothing before this, or only when waiter.memo is NULL. */
MUST_CHECK bool session_allowed(struct smtpd_session *s,
				enum restriction_stage stage,
				const char *stage_name, const char *recipient,
				const char *etrn_domain);
/* The most bytes of an input line. */
size_t session_line_max(const struct smtpd_session *s);
bool session_tls_required(const struct smtpd_session *s);
/* *text becomes a copy of `value` (NULL: none); the old one is freed. */
void session_set_text(struct smtpd_session *s, char **text, const char *value);
/* The list has the client in it: RC_OK, RC_NONE; RC_TEMP a table failed
 * (logged). */
MUST_CHECK enum rc session_in_list(const struct smtpd_session *s,
				   const struct match_list *list,
				   const char *parameter);
/* The client has another name or address now: what hangs on them. */
void session_client_changed(struct smtpd_session *s);
/* The client's address is a new one: who it is for limits. */
void session_limits_learn(struct smtpd_session *s);
/* Count this connection; no more. */
void session_limits_enter(struct smtpd_session *s);
void session_limits_leave(struct smtpd_session *s);
/* The connection is one too many: the reply is made, the session ends. */
MUST_CHECK bool session_limits_refuse(struct smtpd_session *s);
/* The client does this once more; true: too often, the reply is made. */
MUST_CHECK bool session_event_is_refused(struct smtpd_session *s,
					 enum client_event event);
/* It may not begin TLS now: the reply is made, but for wrapper mode. */
MUST_CHECK bool session_tls_is_refused(struct smtpd_session *s);
/* It has begun a TLS session that is not resumed. True: one too many, the reply
 * is made, the session ends. */
MUST_CHECK bool session_new_tls_is_refused(struct smtpd_session *s);
void session_forward_forget(struct smtpd_session *s);
/* RC_OK: this client may say XFORWARD. */
MUST_CHECK enum rc session_may_forward(struct smtpd_session *s);
/* Who the client of a rehearsal is said to be (rehearsal.h). */
void rehearsal_learn(struct smtpd_session *s);
/* NULL: the session is in clear. */
const struct tls_facts *session_tls_facts(const struct smtpd_session *s);

/* ---- between the parts of a session ---- */

/* Run commands, or take content, from s->input. True: it stopped because many
 * replies wait to be sent. */
MUST_CHECK bool session_consume(struct smtpd_session *s);
/* The command in s->verb is over: count it, and end who makes only errors. */
void session_verb_done(struct smtpd_session *s, bool good);
void session_command(struct smtpd_session *s, struct span line);
/* PHASE_AUTH: the server's word, or the client's. */
bool session_take_auth(struct smtpd_session *s);
void session_login_forget(struct smtpd_session *s);
/* AUTH is possible here and now. */
bool session_may_login(const struct smtpd_session *s);
/* The client is somebody now, or nobody any more: what hangs on that. */
void session_login_changed(struct smtpd_session *s);
/* false: more input is needed */
bool session_take_data(struct smtpd_session *s);
bool session_take_chunk(struct smtpd_session *s);
/* After STARTTLS, or at once with smtpd_tls_wrappermode. */
void session_tls_begin(struct smtpd_session *s);
enum tls_io session_tls_go_on(struct smtpd_session *s);
/* PHASE_PROXY: the proxy is not heard out in time, or not at all. */
void session_proxy_failed(struct smtpd_session *s, const char *why);
/* PHASE_START: from accept to the greeting. With waits_until_ms set it is to be
 * called again. */
void session_start_go_on(struct smtpd_session *s);
/* TLS came first, or the client is another now (XCLIENT): may it speak? */
void session_greet(struct smtpd_session *s);
void session_log_disconnect(struct smtpd_session *s);
/* "lost connection", "timeout" after ... */
void session_log_abort(struct smtpd_session *s, const char *what);
