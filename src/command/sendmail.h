/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sendmail - what the command line of sendmail(1) says.
 *
 * Owner    texts point into argv or are children of the options
 */
#pragma once

#include "conf/conf.h"
#include "rule/maildrop.h"

enum sendmail_mode {
	SENDMAIL_SEND,	  /* -bm */
	SENDMAIL_SMTP,	  /* -bs */
	SENDMAIL_MAILQ,	  /* -bp, mailq */
	SENDMAIL_ALIASES, /* -bi, -I, newaliases */
	SENDMAIL_START,	  /* -bd, -bl */
	SENDMAIL_VERIFY,  /* -bv */
	SENDMAIL_FLUSH,	  /* -q */
	SENDMAIL_FLUSH_ID, /* -qI */
	SENDMAIL_FLUSH_SITE, /* -qR */
};

struct sendmail {
	enum sendmail_mode mode;
	const char *config_directory; /* NULL: the usual one */
	const char *sender;	      /* -f, NULL: the caller */
	const char *full_name;	      /* -F */
	const char *alias_file;	      /* -oA */
	const char *queue_target;     /* of -qI, -qR */
	const char *envid, *verp;
	uint8_t notify, ret;
	enum maildrop_body body;
	bool extract, gateway;
	bool dot_is_text; /* -i */
	int verbose;
	char **recipients; /* to the NULL of argv */
	struct conf *conf; /* filled in by main */
};

/* A usage error ends the process with EX_USAGE. */
struct sendmail *sendmail_options(TALLOC_CTX *mem, int argc, char **argv);
/* Read the message from standard input and hand it to postdrop. Returns the
 * exit status. */
int sendmail_submit(TALLOC_CTX *mem, const struct sendmail *options);

/* -bv: have each recipient tried without a message; the sender gets a report.
 * Returns the exit status. */
int sendmail_verify(TALLOC_CTX *mem, const struct sendmail *options);

/* -bs: an SMTP dialogue on standard input and output, for programs that know no
 * other way. Each message goes to postdrop. Returns the exit status. */
int sendmail_smtp(TALLOC_CTX *mem, const struct sendmail *options);

/* "sendmail: fatal: text", then exit(status). */
NORETURN void sendmail_die(int status, const char *format, ...) PRINTF(2, 3);
