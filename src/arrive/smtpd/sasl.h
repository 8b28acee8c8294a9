/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sasl - logins of clients, decided by Dovecot's authentication server.
 *
 * Shape    one connection for the whole process, over which all logins go; a
 *          thread reads the answers and wakes the sessions that wait for them.
 *          It connects at the start, and again when the connection is lost.
 * Errors   without a server every login is "try later"; what mechanisms it had
 *          is remembered
 * Limits   a line of the server: SASL_LINE_MAX; mechanisms: SASL_MECHANISMS_MAX
 * Owner    a request belongs to its session: freeing it takes it back
 * Threads  any, a lock is taken (see sys/locks.def)
 */
#pragma once

#include "arrive/smtpd/sasl_answer.h"
#include "base/buf.h"
#include "base/fault.h"

struct conf;
struct sasl;
struct sasl_request;

enum { SASL_LINE_MAX = 64 * 1024, SASL_MECHANISMS_MAX = 32 };

/* The settings; nothing is connected yet. RC_CONF: smtpd_sasl_type is not
 * dovecot, the path or an option is not understood. */
MUST_CHECK enum rc sasl_open(TALLOC_CTX *mem, const struct conf *conf,
			     struct sasl **ret_sasl, struct fault *fault);
/* Start the thread, and give it a moment to find the server. */
MUST_CHECK enum rc sasl_start(struct sasl *sasl, struct fault *fault);

/* The mechanisms that may be used, each with a blank before it. */
void sasl_mechanisms_add(struct sasl *sasl, bool tls, struct buf *out);
/* This one may be used; the name in any case. */
bool sasl_mechanism_is_good(struct sasl *sasl, bool tls, struct span name);

struct sasl_client {
	const char *client_address, *client_port;
	const char *server_address, *server_port;
	bool tls;
};
typedef void sasl_wake_fn(void *arg); /* from the reading thread; short */

/* Begin; response.ptr NULL: none came with the command. */
MUST_CHECK enum rc
sasl_request_begin(TALLOC_CTX *mem, struct sasl *sasl, struct span mechanism,
		   struct span response, const struct sasl_client *client,
		   sasl_wake_fn *wake, void *arg,
		   struct sasl_request **ret_request, struct fault *fault);
/* The client's response to a challenge. */
MUST_CHECK enum rc sasl_request_go_on(struct sasl_request *request,
				      struct span response,
				      struct fault *fault);

enum sasl_state {
	SASL_WAITS,	/* wake will be called */
	SASL_CHALLENGE, /* text: for the client, in base64 */
	SASL_GRANTED,
	SASL_DENIED,	/* text: why */
	SASL_UNDECIDED, /* text: why; try later */
};

/* Texts are children of mem; *ret_user is NULL when it is not known. */
enum sasl_state sasl_request_state(struct sasl_request *request,
				   TALLOC_CTX *mem, char **ret_text,
				   char **ret_user);
