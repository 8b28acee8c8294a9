/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <sysexits.h>
#include <unistd.h>

#include "command/sendmail.h"
#include "command/sendmail_drop.h"
#include "mail/smtp_command.h"
#include "queue/envelope.h"
#include "sys/files.h"

enum {
	INPUT_BYTES = 64 * 1024,
	LINE_MAX_BYTES = 2048, /* of a command */
	REPLY_MAX_BYTES = 1024,
};

struct dialogue {
	const struct sendmail *options;
	char *input; /* INPUT_BYTES */
	size_t start, end;
	bool quit;
	TALLOC_CTX *mail; /* of the transaction; NULL: none */
	struct maildrop_head head;
};

PRINTF(2, 3) static void reply(struct dialogue *d, const char *format, ...)
{
	char text[REPLY_MAX_BYTES];
	struct fault fault;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text) - 2, format, args);
	va_end(args);
	len = MIN_OF(len, (int)sizeof(text) - 3);
	memcpy(text + len, "\r\n", 2);
	if (file_write(STDOUT_FILENO,
		       (struct span){ text, (size_t)len + 2 }, &fault) != RC_OK)
		exit(EX_IOERR);
}

/* false: the input has ended. */
static bool input_more(struct dialogue *d)
{
	ssize_t len;

	memmove(d->input, d->input + d->start, d->end - d->start);
	d->end -= d->start;
	d->start = 0;
	do
		len = read(STDIN_FILENO, d->input + d->end,
			   INPUT_BYTES - d->end);
	while (len < 0 && errno == EINTR);
	if (len <= 0)
		return false;
	d->end += (size_t)len;
	return true;
}

/* The next line without its line end, or as much as the buffer holds of a very
 * long one: *whole is false then. */
static bool line_next(struct dialogue *d, struct span *ret_line, bool *whole)
{
	for (;;) {
		struct span rest = { d->input + d->start, d->end - d->start };
		ssize_t end = span_find(rest, '\n');

		*whole = end >= 0;
		if (end >= 0) {
			*ret_line = span_take(rest, (size_t)end);
			d->start += (size_t)end + 1;
			if (span_ends(*ret_line, "\r"))
				ret_line->len--;
			return true;
		}
		if (rest.len == INPUT_BYTES) {
			*ret_line = span_take(rest, INPUT_BYTES - 1);
			d->start += INPUT_BYTES - 1;
			return true;
		}
		if (!input_more(d))
			return false;
	}
}

static void transaction_reset(struct dialogue *d)
{
	TALLOC_FREE(d->mail);
	d->head = (struct maildrop_head){ 0 };
}

static void run_helo(struct dialogue *d, struct span args)
{
	transaction_reset(d);
	reply(d, "250 %s", d->options->conf->v.myhostname);
}

static void run_ehlo(struct dialogue *d, struct span args)
{
	const struct conf_values *v = &d->options->conf->v;

	transaction_reset(d);
	reply(d,
	      "250-%s\r\n250-PIPELINING\r\n250-SIZE %ld\r\n"
	      "250-ENHANCEDSTATUSCODES\r\n250 8BITMIME",
	      v->myhostname, v->message_size_limit);
}

static void run_mail(struct dialogue *d, struct span args)
{
	struct smtp_mail mail;
	struct fault fault;
	int code;

	if (d->mail != NULL) {
		reply(d, "503 5.5.1 Error: nested MAIL command");
		return;
	}
	d->mail = talloc_new(NULL);
	if (smtp_mail_parse(d->mail, args, 0, &mail, &code, &fault) != RC_OK) {
		transaction_reset(d);
		reply(d, "%d %s %s", code, fault.dsn, fault.text);
		return;
	}
	if (mail.ret != SMTP_RET_NONE || mail.envid.ptr != NULL ||
	    mail.verp.ptr != NULL) {
		transaction_reset(d);
		reply(d, "555 5.5.4 Unsupported option");
		return;
	}
	d->head.sender = mem_span_dup(d->mail, mail.address);
	d->head.body = mail.body == SMTP_BODY_8BITMIME ? MAILDROP_BODY_8BIT :
							 MAILDROP_BODY_NONE;
	reply(d, "250 2.1.0 Ok");
}

static void run_rcpt(struct dialogue *d, struct span args)
{
	struct maildrop_head *head = &d->head;
	struct smtp_rcpt rcpt;
	struct fault fault;
	int code;

	if (d->mail == NULL) {
		reply(d, "503 5.5.1 Error: need MAIL command");
		return;
	}
	if (head->recipient_count == MAILDROP_RECIPIENTS_MAX) {
		reply(d, "452 4.5.3 Error: too many recipients");
		return;
	}
	if (smtp_rcpt_parse(d->mail, args, 0, &rcpt, &code, &fault) != RC_OK) {
		reply(d, "%d %s %s", code, fault.dsn, fault.text);
		return;
	}
	if (rcpt.notify != 0 || rcpt.orcpt.ptr != NULL) {
		reply(d, "555 5.5.4 Unsupported option");
		return;
	}
	if (head->recipient_count % 64 == 0)
		head->recipients = mem_resize(d->mail, head->recipients,
					      const char *,
					      head->recipient_count + 64);
	head->recipients[head->recipient_count++] =
		mem_span_dup(d->mail, rcpt.address);
	reply(d, "250 2.1.5 Ok");
}

/* Up to the line with a dot; pipe NULL: read it and forget it. */
static void content_read(struct dialogue *d, struct drop_pipe *pipe)
{
	bool begins = true, whole;
	struct span line;

	while (line_next(d, &line, &whole)) {
		if (begins && whole && span_is(line, "."))
			return;
		if (begins && span_starts(line, "."))
			line = span_skip(line, 1);
		if (pipe != NULL)
			drop_pipe_add(pipe, line);
		if (pipe != NULL && whole)
			drop_pipe_add(pipe, SPAN_OF("\n"));
		begins = whole;
	}
	exit(EX_DATAERR); /* the message has no end: nobody is to get it */
}

static void run_data(struct dialogue *d, struct span args)
{
	struct drop_pipe *pipe = NULL;
	struct fault fault = { 0 };
	int status;

	if (d->head.recipient_count == 0) {
		reply(d, d->mail == NULL ?
				 "503 5.5.1 Error: need RCPT command" :
				 "554 5.5.1 Error: no valid recipients");
		return;
	}
	if (drop_pipe_open(d->mail, d->options->conf, &d->head, &pipe,
			   &fault) != RC_OK) {
		reply(d, "451 4.3.0 Error: %s", fault.text);
		transaction_reset(d);
		return;
	}
	reply(d, "354 End data with <CR><LF>.<CR><LF>");
	content_read(d, pipe);
	status = drop_pipe_close(pipe);
	transaction_reset(d);
	if (status == EX_OK)
		reply(d, "250 2.0.0 Ok: queued");
	else if (status == EX_NOPERM)
		reply(d, "550 5.7.1 Error: not allowed to submit this mail");
	else if (status == EX_DATAERR)
		reply(d, "552 5.3.4 Error: message file too big");
	else
		reply(d, "451 4.3.0 Error: queue file write error");
}

static void run_rset(struct dialogue *d, struct span args)
{
	transaction_reset(d);
	reply(d, "250 2.0.0 Ok");
}

static void run_noop(struct dialogue *d, struct span args)
{
	reply(d, "250 2.0.0 Ok");
}

static void run_vrfy(struct dialogue *d, struct span args)
{
	reply(d, "252 2.0.0 %.*s", (int)MIN_OF(args.len, (size_t)500),
	      args.ptr == NULL ? "" : args.ptr);
}

static void run_quit(struct dialogue *d, struct span args)
{
	d->quit = true;
	reply(d, "221 2.0.0 Bye");
}

static const struct {
	const char *verb;
	void (*run)(struct dialogue *d, struct span args);
} verbs[] = {
	{ "HELO", run_helo }, { "EHLO", run_ehlo }, { "MAIL", run_mail },
	{ "RCPT", run_rcpt }, { "DATA", run_data }, { "RSET", run_rset },
	{ "NOOP", run_noop }, { "VRFY", run_vrfy }, { "QUIT", run_quit },
};

static void command_run(struct dialogue *d, struct span line)
{
	struct smtp_command command;

	smtp_command_split(line, &command);
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (smtp_command_is(&command, verbs[i].verb)) {
			verbs[i].run(d, command.args);
			return;
		}
	reply(d, "500 5.5.2 Error: command not recognized");
}

int sendmail_smtp(TALLOC_CTX *mem, const struct sendmail *options)
{
	struct dialogue *d = mem_new(mem, struct dialogue);
	const struct conf_values *v = &options->conf->v;
	bool whole, begins = true;
	struct span line;

	signal(SIGPIPE, SIG_IGN);
	d->options = options;
	d->input = talloc_array(d, char, INPUT_BYTES);
	reply(d, "220 %s ESMTP %s", v->myhostname, v->mail_name);
	while (!d->quit && line_next(d, &line, &whole)) {
		if (begins && whole && line.len <= LINE_MAX_BYTES)
			command_run(d, line);
		else if (begins)
			reply(d, "500 5.5.2 Error: line too long");
		begins = whole;
	}
	transaction_reset(d);
	return EX_OK;
}
