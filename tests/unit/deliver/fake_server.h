/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_server - an SMTP server that says what a script says, on loopback.
 *
 * Shape    a connection is one script, its steps separated by '\n':
 *            > text     send the text and CRLF; \r in it is CRLF too
 *            < text     read a line that begins with the text
 *            .          read lines up to a single dot
 *            ?          read some bytes, whatever they are
 *            ~          wait until the client goes away
 *          At the end of the script the connection is closed.
 */
#pragma once

#include "base/mem.h"

struct fake_server;

/* One script a connection, NULL-terminated. */
struct fake_server *fake_server_start(const char *const *scripts);
int fake_server_port(const struct fake_server *server);
/* Wait until it is through; what went wrong, or "". Then what it read. */
const char *fake_server_stop(struct fake_server *server);
const char *fake_server_heard(const struct fake_server *server);
int fake_server_connections(const struct fake_server *server);
