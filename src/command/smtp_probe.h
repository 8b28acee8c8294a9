/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smtp_probe - one look at one mail host: greeting, EHLO, STARTTLS, EHLO, QUIT.
 * No mail is sent.
 *
 * Errors   none: how far it came is the answer, and why it ended there
 * Owner    the answer is a child of mem; the connection is closed when
 *          smtp_probe_run returns, so what is wanted of the handshake is taken
 *          in `secured`
 * Threads  any number at once
 */
#pragma once

#include "deliver/smtp/session.h"

enum smtp_probe_end {
	PROBE_UNREACHABLE, /* no connection */
	PROBE_REFUSED,	   /* the greeting or EHLO is no, or lost on the way */
	PROBE_NO_STARTTLS,
	PROBE_STARTTLS_REFUSED,
	PROBE_HANDSHAKE_FAILED,
	PROBE_SECURED,
};

struct smtp_probe_config {
	const struct smtp_settings *settings;
	struct tls_client *tls_client; /* NULL: end after EHLO */
	int connect_timeout_s, command_timeout_s;
	bool wrapper; /* TLS from the first byte */
	/* Each may be NULL. chat: mark is "<" or ">". */
	void (*connected)(void *arg, const char *peer);
	void (*chat)(void *arg, const char *mark, struct span line);
	void (*secured)(void *arg, const struct tls *tls, const char *peer);
	void *arg;
};

struct smtp_probe {
	enum smtp_probe_end end;
	const char *why;      /* NULL for PROBE_SECURED and PROBE_NO_STARTTLS */
	const char *peer;     /* "mx.example.test[192.0.2.1]:25" */
	const char *greeting; /* NULL: none came */
	const char *ehlo_name;
	bool esmtp;
	/* Signs of somebody in between: bytes in clear after the go-ahead, and
	 * replies that were crossed out. */
	bool injected, masked;
};

/* The policy's keep_unmet decides whether a certificate that does not fit is
 * PROBE_HANDSHAKE_FAILED. */
struct smtp_probe *smtp_probe_run(TALLOC_CTX *mem,
				  const struct smtp_probe_config *config,
				  const struct smtp_host *host,
				  const struct tls_policy *policy);
/* An LMTP server on a socket of this machine; its name is policy->hostname. */
struct smtp_probe *smtp_probe_unix(TALLOC_CTX *mem,
				   const struct smtp_probe_config *config,
				   const char *path,
				   const struct tls_policy *policy);
