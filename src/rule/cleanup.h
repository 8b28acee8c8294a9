/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleanup - makes a message out of what a client sent: rewrites and expands the
 * envelope, completes and checks the header, and commits it to the intake. The
 * one way into the queue, for smtpd, pickup, bounce and forwarding.
 *
 * Order    cleanup_begin, cleanup_sender, cleanup_recipient..., cleanup_line...,
 *          cleanup_finish. Freed before finish: nothing is left behind.
 * Log      "ID: message-id=<...>" (or resent-message-id=), "ID: removed
 *          (canceled)" is the caller's business; content check lines
 * Errors   as replies to the client: RC_TEMP 4xx, RC_PERM 5xx with DSN and text
 *          ("5.4.0 Error: too many hops", "4.3.0 queue file write error",
 *          "5.3.4 Error: message file too big", "4.6.0 Alias expansion error")
 * Threads  a cleanup_service is shared by all threads of its process; a
 *          cleanup belongs to one thread at a time
 */
#pragma once

#include "map/map.h"
#include "queue/intake.h"

struct cleanup_service; /* tables and settings, opened once */
struct cleanup;		/* one message */

MUST_CHECK enum rc cleanup_service_open(TALLOC_CTX *mem, struct conf *conf,
					struct intake *intake,
					struct cleanup_service **ret_service,
					struct fault *fault);

enum cleanup_flags {
	CLEANUP_FILTER = 1,    /* header and body checks, content_filter */
	CLEANUP_MAP = 2,       /* canonical, virtual, masquerade, bcc */
	CLEANUP_LOCAL = 4,     /* local rewriting context: complete addresses and
				* missing headers; else remote_header_... */
	CLEANUP_INTERNAL = 8,  /* made here: bounce, notice */
	CLEANUP_SMTPUTF8 = 16,
	CLEANUP_EXTRACT_RECIPIENTS = 32, /* sendmail -t */
	CLEANUP_BOUNCE = 64, /* queued only to be returned: no limits; the
			      * origin's filter is "error:DSN text" */
	CLEANUP_DETECT_UTF8 = 128, /* needs SMTPUTF8 when a header or an address
				    * is UTF-8: smtputf8_autodetect_classes */
	CLEANUP_SMTPD = CLEANUP_FILTER | CLEANUP_MAP,
};

/* How the message came; texts are copied. */
struct cleanup_origin {
	int flags;
	const char *received; /* whole Received: header, CRLF at its end, made
			       * with %QID% in place of the queue id; NULL:
			       * none */
	const char *client_name, *client_address, *client_port;
	const char *client_proto, *client_helo;
	const char *sasl_method, *sasl_username, *sasl_sender;
	const char *dsn_envid;
	uint8_t dsn_ret;
	uint32_t envelope_flags;
	uint64_t arrival_us; /* 0: now */
	const char *log_ident;
	const char *verp;
	const char *full_name; /* for a missing From: (sendmail -F) */
	/* Restriction actions. */
	const char *filter, *redirect;
	bool hold, discard;
	/* Accept line ends of LF alone inside lines (cleanup_line never sees
	 * line ends; this only sets ENVELOPE_BARE_EOL). */
};

/* The queue id is known from here on. */
MUST_CHECK enum rc cleanup_begin(TALLOC_CTX *mem,
				 struct cleanup_service *service,
				 const struct cleanup_origin *origin,
				 struct cleanup **ret_cleanup,
				 struct fault *fault);
const char *cleanup_queue_id(const struct cleanup *cleanup);
/* Addresses in internal form. Rewriting and mapping happen here. */
MUST_CHECK enum rc cleanup_sender(struct cleanup *cleanup, struct span address,
				  struct fault *fault);
MUST_CHECK enum rc cleanup_recipient(struct cleanup *cleanup,
				     struct span address, struct span original,
				     const char *dsn_orcpt, uint8_t notify,
				     struct fault *fault);
/* The Received: field of this host, CRLF at its end, before the first line: for
 * those who do not know it yet at cleanup_begin. */
void cleanup_received(struct cleanup *cleanup, const char *text);
/* What access tables ask for the whole message; until cleanup_finish, the last
 * word counts. NULL and false: nothing. */
void cleanup_act(struct cleanup *cleanup, const char *filter,
		 const char *redirect, bool hold, bool discard);
/* A header field in front of all others, our Received: included; before the
 * first line. */
void cleanup_prepend(struct cleanup *cleanup, const char *field);
/* One line of content without its line end (at most line_length_limit bytes
 * where the caller splits longer ones; `partial`: the line goes on in the next
 * call). Header first, an empty line, the body; dots already removed. An error
 * is remembered: the caller may go on feeding and hears it at finish. */
enum rc cleanup_line(struct cleanup *cleanup, struct span line, bool partial);
/* Many whole body lines at once, CRLF line ends: the fast path once
 * cleanup_in_body says so. */
bool cleanup_in_body(const struct cleanup *cleanup);
enum rc cleanup_body(struct cleanup *cleanup, struct span crlf_lines);
/* Commit. On RC_OK the message is on stable storage. *ret_discarded: accepted
 * and dropped on purpose (logged). */
MUST_CHECK enum rc cleanup_finish(struct cleanup *cleanup, bool *ret_discarded,
				  struct fault *fault);
