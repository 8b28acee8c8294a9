/* SPDX-License-Identifier: Apache-2.0 */
/*
 * debug_peer - clients of debug_peer_list: what they say and hear, and every
 * restriction with what it looked up, in the log.
 *
 * Shape    mail.example.test[192.0.2.1]: < RCPT TO:<jo@example.test>
 *          ID: mail.example.test[192.0.2.1]: >>> START Client host RESTRICTIONS
 *          ID: mail.example.test[192.0.2.1]: generic_checks:
 *              name=permit_mynetworks status=0 (main.cf, line 12)
 *          ID is the queue id or NOQUEUE
 * Level    debug_peer_level 1: commands, replies, lists and rules; 2 (the
 *          default) and more: what they looked up too
 * Holds    what AUTH says is not logged
 * Cost     for other clients one test of a flag
 */
#pragma once

#include "arrive/smtpd/session.h"
#include "sys/trace.h"

struct debug_peer {
	struct trace trace;
	struct smtpd_session *session;
	struct trace *before;
	struct buf lines; /* told when the question is answered */
};

/* Is the client in the list? Sets s->debugged. */
void debug_peer_learn(struct smtpd_session *s);
void debug_peer_command(const struct smtpd_session *s, struct span line);
/* One reply, without the last line end. */
void debug_peer_reply(const struct smtpd_session *s, struct span reply);

/* Listen to what this thread asks; only for s->debugged. */
void debug_peer_begin(struct debug_peer *peer, TALLOC_CTX *mem,
		      struct smtpd_session *s);
/* answered: else the same will be asked and told again. */
void debug_peer_end(struct debug_peer *peer, bool answered);
