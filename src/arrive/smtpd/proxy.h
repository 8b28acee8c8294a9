/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy - smtpd_proxy_filter: the message goes to a content filter while it
 * comes in, and the client hears what the filter says. Nothing is queued here.
 *
 * Shape    connect, EHLO, XFORWARD and MAIL at the first good recipient; then
 *          RCPT, DATA and the content, line by line as the client sends them
 * Errors   without the filter: 451 4.3.0
 * Limits   smtpd_proxy_timeout for each answer
 * Owner    a child of the transaction; freeing it says QUIT and closes
 * Threads  belongs to the session
 */
#pragma once

#include "arrive/smtpd/content_reader.h"
#include "base/fault.h"

struct smtpd_session;
struct proxy;

/* One recipient; args as the client gave them. True: the filter takes it. The
 * reply is made when it does not. */
MUST_CHECK bool proxy_recipient(struct smtpd_session *s, struct span args);
/* DATA. False: not now, the reply is made. */
MUST_CHECK bool proxy_data(struct smtpd_session *s);
/* Our header and what the client sends; errors are remembered. */
void proxy_text(struct proxy *proxy, struct span lines);
void proxy_content(struct proxy *proxy, enum content_kind kind,
		   struct span bytes);
/* The end of the content: what the filter says is said to the client, and
 * logged. True: it has accepted the message. */
MUST_CHECK bool proxy_finish(struct smtpd_session *s);
