/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <sysexits.h>
#include <unistd.h>

#include "command/sendmail.h"
#include "command/sendmail_drop.h"
#include "mail/address_list.h"
#include "mail/header.h"
#include "queue/envelope.h"

enum {
	CHUNK_BYTES = 64 * 1024,
	HEADER_MAX_BYTES = 8 * 1024 * 1024, /* with -t it is held in memory */
};

enum line_ends { FIX_ALWAYS, FIX_STRICT, FIX_NEVER };

struct submit {
	TALLOC_CTX *mem;
	const struct sendmail *options;
	struct maildrop_head head;
	struct drop_pipe *pipe;
	struct buf header; /* -t: held until the recipients are known */
	bool header_done, stopped;
	bool any_line, in_line; /* in_line: the last line goes on */
	bool strip_cr;
	enum line_ends line_ends;
	uint64_t content;
};

static NORETURN void submit_die(const struct submit *s, int status,
				const char *text)
{
	const struct passwd *user = getpwuid(getuid());

	sendmail_die(status, "%s(%u): %s",
		     user == NULL ? "unknown" : user->pw_name, getuid(), text);
}

static void recipient_push(struct submit *s, struct span address)
{
	struct maildrop_head *head = &s->head;

	if (address.len == 0)
		return;
	if (head->recipient_count == MAILDROP_RECIPIENTS_MAX)
		submit_die(s, EX_USAGE, "too many recipients");
	if (head->recipient_count % 64 == 0)
		head->recipients = mem_resize(s->mem, head->recipients,
					      const char *,
					      head->recipient_count + 64);
	head->recipients[head->recipient_count++] =
		mem_span_dup(s->mem, address);
}

/* "Jo <jo@example.test>, ann" */
static void recipients_push(struct submit *s, struct span text)
{
	struct address_item item;

	while (address_list_next(s->mem, &text, &item))
		recipient_push(s, item.address);
}

static const char *sender_address(struct submit *s, const char *text)
{
	struct span rest = span_from(text);
	struct address_item item;

	if (text[0] == '\0' || strcmp(text, "<>") == 0)
		return "";
	if (!address_list_next(s->mem, &rest, &item))
		return address_unquote(s->mem, span_from(text));
	return mem_span_dup(s->mem, item.address);
}

/* "&" in a full name of the user database is the login name. */
static const char *full_name_of(TALLOC_CTX *mem, const struct passwd *user)
{
	struct span gecos = span_from(user->pw_gecos);
	struct buf name;
	ssize_t comma = span_find(gecos, ',');

	if (comma >= 0)
		gecos = span_take(gecos, (size_t)comma);
	buf_init(&name, mem, MAILDROP_LINE_MAX_BYTES / 2);
	for (size_t i = 0; i < gecos.len; i++) {
		if (gecos.ptr[i] != '&') {
			buf_add_char(&name, gecos.ptr[i]);
			continue;
		}
		buf_add_char(&name, ascii_upper(user->pw_name[0]));
		buf_add_text(&name, user->pw_name + 1);
	}
	return buf_text(&name);
}

static void caller_fill(struct submit *s)
{
	const struct sendmail *o = s->options;
	const struct passwd *user = getpwuid(getuid());
	const char *name = o->full_name != NULL ? o->full_name : getenv("NAME");

	if (o->sender != NULL) {
		s->head.sender = sender_address(s, o->sender);
	} else {
		if (user == NULL)
			sendmail_die(EX_OSERR,
				     "user %u has no login name: use -f",
				     getuid());
		s->head.sender = mem_strdup(s->mem, user->pw_name);
	}
	if (name == NULL && user != NULL)
		name = full_name_of(s->mem, user);
	s->head.full_name = name;
}

static void head_fill(struct submit *s)
{
	const struct sendmail *o = s->options;

	caller_fill(s);
	s->head.envid = o->envid;
	s->head.verp = o->verp;
	s->head.notify = o->notify;
	s->head.ret = o->ret;
	s->head.body = o->body;
	s->head.gateway = o->gateway;
	if (o->mode == SENDMAIL_VERIFY)
		s->head.trace = MAILDROP_TRACE_PROBE;
	else if (o->verbose == 1) /* said twice it is for debugging */
		s->head.trace = MAILDROP_TRACE_REPORT;
	for (size_t i = 0; o->recipients[i] != NULL; i++) {
		struct span text = span_from(o->recipients[i]);

		if (text.len == 0)
			recipient_push(
				s,
				span_from(
					o->conf->v.empty_address_recipient));
		recipients_push(s, text);
	}
	if (s->head.recipient_count == 0 && !o->extract)
		submit_die(s, EX_USAGE,
			   "Recipient addresses must be specified on the "
			   "command line or via the -t option");
}

static void head_send(struct submit *s)
{
	struct fault fault;

	if (s->head.recipient_count == 0)
		submit_die(s, EX_DATAERR,
			   "No recipient addresses found in message header");
	if (drop_pipe_open(s->mem, s->options->conf, &s->head, &s->pipe,
			   &fault) != RC_OK)
		submit_die(s, fault.rc == RC_PERM ? EX_DATAERR : EX_OSERR,
			   fault.text);
}

/* -t: To, Cc, Bcc; or of Resent-To, Resent-Cc, Resent-Bcc if there are any. */
static void recipients_extract(struct submit *s)
{
	struct span rest = buf_span(&s->header);
	struct header header;
	bool resent = false;

	while (!resent && header_next(&rest, &header))
		resent = (header_traits(header.name) & HEADER_RESENT) != 0;
	rest = buf_span(&s->header);
	while (header_next(&rest, &header)) {
		int traits = header_traits(header.name);

		if ((traits & HEADER_EXTRACT) &&
		    resent == ((traits & HEADER_RESENT) != 0))
			recipients_push(s, header.value);
	}
}

static void header_finish(struct submit *s)
{
	if (s->header_done)
		return;
	s->header_done = true;
	if (s->options->extract)
		recipients_extract(s);
	head_send(s);
	drop_pipe_add(s->pipe, buf_span(&s->header));
	buf_done(&s->header);
}

static void size_check(struct submit *s, size_t more)
{
	long limit = s->options->conf->v.message_size_limit;

	s->content += more;
	if (limit > 0 && s->content > (uint64_t)limit)
		submit_die(s, EX_DATAERR, "message file too big");
}

static bool is_header_line(const struct submit *s, struct span line)
{
	return header_name_len(line, NULL) > 0 ||
	       (header_is_continuation(line) && s->header.len > 0);
}

static bool is_mailbox_line(const struct submit *s, struct span line)
{
	return s->content == 0 &&
	       (span_starts(line, "From ") || span_starts(line, ">From "));
}

/* The start of a line (the whole of it, if it is not very long). */
static void line_begin(struct submit *s, struct span line)
{
	if (!s->header_done && s->options->extract && is_header_line(s, line)) {
		if (!buf_add(&s->header, line) ||
		    !buf_add_char(&s->header, '\n'))
			submit_die(s, EX_DATAERR, "message header too big");
		return;
	}
	header_finish(s);
	drop_pipe_add(s->pipe, line);
	drop_pipe_add(s->pipe, SPAN_OF("\n"));
}

static void line_take(struct submit *s, struct span line, bool whole)
{
	bool begins = !s->in_line;

	if (begins && whole && !s->any_line)
		s->strip_cr = s->line_ends == FIX_ALWAYS ||
			      (s->line_ends == FIX_STRICT &&
			       span_ends(line, "\r"));
	s->any_line = true;
	if (whole && s->strip_cr && span_ends(line, "\r"))
		line.len--;
	if (begins && whole && !s->options->dot_is_text && span_is(line, ".")) {
		s->stopped = true;
		return;
	}
	if (begins && is_mailbox_line(s, line) && whole)
		return;
	size_check(s, line.len + 1);
	s->in_line = !whole;
	if (begins && whole) {
		line_begin(s, line);
		return;
	}
	header_finish(s); /* no header line is that long */
	drop_pipe_add(s->pipe, line);
	if (whole)
		drop_pipe_add(s->pipe, SPAN_OF("\n"));
}

/* Returns how much of the bytes was used up. */
static size_t lines_take(struct submit *s, struct span bytes)
{
	size_t used = 0;

	while (!s->stopped && used < bytes.len) {
		struct span rest = span_skip(bytes, used);
		ssize_t end = span_find(rest, '\n');

		if (end < 0)
			break;
		line_take(s, span_take(rest, (size_t)end), true);
		used += (size_t)end + 1;
	}
	return used;
}

static void input_read(struct submit *s)
{
	char *chunk = talloc_array(s->mem, char, CHUNK_BYTES);
	size_t held = 0, used;

	while (!s->stopped) {
		ssize_t len = read(STDIN_FILENO, chunk + held,
				   CHUNK_BYTES - held);

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			submit_die(s, EX_IOERR, "error reading input");
		if (len == 0)
			break;
		held += (size_t)len;
		used = lines_take(s, (struct span){ chunk, held });
		held -= used;
		memmove(chunk, chunk + used, held);
		if (held == CHUNK_BYTES) { /* one line, and no end of it */
			line_take(s, (struct span){ chunk, held - 1 }, false);
			chunk[0] = chunk[held - 1];
			held = 1;
		}
	}
	if (held > 0 && !s->stopped)
		line_take(s, (struct span){ chunk, held }, true);
}

static enum line_ends line_ends_setting(const struct conf *conf)
{
	struct span text = span_from(conf->v.sendmail_fix_line_endings);

	if (span_is_nocase(text, "always"))
		return FIX_ALWAYS;
	if (span_is_nocase(text, "strict"))
		return FIX_STRICT;
	if (span_is_nocase(text, "never"))
		return FIX_NEVER;
	sendmail_die(EX_CONFIG,
		     "bad configuration: sendmail_fix_line_endings = %.*s",
		     SPAN_FMT(text));
}

/* -bv: a message of our own, so that there is something to ask about. */
static void probe_write(struct submit *s)
{
	struct buf text;

	buf_init(&text, s->mem, HEADER_MAX_BYTES);
	buf_addf(&text, "From: %s\nSubject: probe\nTo:",
		 address_quote(s->mem, span_from(s->head.sender)));
	for (size_t i = 0; i < s->head.recipient_count; i++)
		buf_addf(&text, "%s%s", i == 0 ? " " : ",\n\t",
			 address_quote(s->mem,
				       span_from(s->head.recipients[i])));
	buf_add_text(&text, "\n\n");
	head_send(s);
	drop_pipe_add(s->pipe, buf_span(&text));
}

int sendmail_verify(TALLOC_CTX *mem, const struct sendmail *options)
{
	struct submit *s = mem_new(mem, struct submit);

	if (options->extract)
		sendmail_die(EX_TEMPFAIL,
			     "-t option cannot be used with -bv");
	signal(SIGPIPE, SIG_IGN);
	s->mem = s;
	s->options = options;
	head_fill(s);
	probe_write(s);
	return drop_pipe_close(s->pipe);
}

int sendmail_submit(TALLOC_CTX *mem, const struct sendmail *options)
{
	struct submit *s = mem_new(mem, struct submit);

	signal(SIGPIPE, SIG_IGN);
	s->mem = s;
	s->options = options;
	s->line_ends = line_ends_setting(options->conf);
	buf_init(&s->header, s, HEADER_MAX_BYTES);
	head_fill(s);
	input_read(s);
	header_finish(s);
	return drop_pipe_close(s->pipe);
}
