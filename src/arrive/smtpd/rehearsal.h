/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rehearsal - a session of the SMTP server without a client, a socket and a
 * queue: the same commands, checks and replies, for who wants to know
 * beforehand what a client would hear.
 *
 * Holds    nothing is queued, and no limit on clients counts it. Tables are
 *          read; DNS, policy services and network tables are asked unless a
 *          stand-in (sys/trace.h) answers for them.
 * Log      the lines that the server would write go to the log of the process
 * Owner    a child of mem; the texts of a client are the caller's and live as
 *          long as the rehearsal
 * Threads  one
 */
#pragma once

#include "conf/conf.h"
#include "net/tls.h"

struct rehearsal_client {
	const char *name; /* proved, or "unknown"; NULL: DNS is asked, and the
			   * next three are not read */
	const char *reverse_name; /* what PTR says, or "unknown" */
	enum rc name_rc, reverse_name_rc;
	const char *address;	     /* "192.0.2.1" */
	const char *server_address;  /* "" not known */
	const struct tls_facts *tls; /* NULL: in clear */
	const char *sasl_username;   /* NULL: not logged in */
};

struct rehearsal;

/* Tables and lists of one configuration. */
MUST_CHECK enum rc rehearsal_open(TALLOC_CTX *mem, struct conf *conf,
				  const char *service_name,
				  struct rehearsal **ret_rehearsal,
				  struct fault *fault);
/* A client connects; ends the session before. Replies are one or more lines,
 * "\n" between them; they live until the next call. RC_PERM: no address. */
MUST_CHECK enum rc rehearsal_connect(struct rehearsal *rehearsal,
				     const struct rehearsal_client *client,
				     const char **ret_reply,
				     struct fault *fault);
/* One command line without its end. After a 354 the content: any lines, the
 * last one a dot. */
const char *rehearsal_say(struct rehearsal *rehearsal, const char *line);
/* The server has closed the connection. */
bool rehearsal_is_over(const struct rehearsal *rehearsal);
