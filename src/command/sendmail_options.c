/* SPDX-License-Identifier: Apache-2.0 */
#include <sysexits.h>
#include <unistd.h>

#include "command/sendmail.h"
#include "mail/smtp_command.h"
#include "sys/log.h"

static NORETURN void usage(void)
{
	sendmail_die(EX_USAGE, "usage: sendmail [options]");
}

static NORETURN void help(const struct sendmail *s)
{
	if (s->mode == SENDMAIL_MAILQ)
		puts("usage: mailq [-C DIR]\n"
		     "  Show the queue, as postqueue -p does.");
	else if (s->mode == SENDMAIL_ALIASES)
		puts("usage: newaliases [-C DIR] [-oAFILE]\n"
		     "  Make the tables of alias_database (or FILE) anew.");
	else
		puts("usage: sendmail [OPTION...] RECIPIENT...\n"
		     "       sendmail -t [OPTION...] [RECIPIENT...]\n"
		     "  Send the message that comes on standard input.\n"
		     "  -t         recipients are in To, Cc and Bcc\n"
		     "  -i         a line with a lone dot does not end it\n"
		     "  -f SENDER  address for what comes back\n"
		     "  -F NAME    full name, when there is no From\n"
		     "  -N WHEN    report: never, or of failure, delay, success\n"
		     "  -R WHAT    a report returns: hdrs or full\n"
		     "  -V ID      envelope id for reports\n"
		     "  -B TYPE    7BIT or 8BITMIME\n"
		     "  -bv        deliver nothing; mail a report of whether it\n"
		     "             would be\n"
		     "  -v         mail a report of the delivery\n"
		     "  -bs        speak SMTP on standard input\n"
		     "  -bp        show the queue (mailq)\n"
		     "  -bi        make the alias tables (newaliases)\n"
		     "  -q         try all deferred mail now; -qI ID, -qR SITE\n"
		     "  -C DIR     configuration directory\n"
		     "\n"
		     "example: echo hello | sendmail you@example.com");
	exit(0);
}

static void mode_take(struct sendmail *s, const char *letter)
{
	static const struct {
		char letter;
		enum sendmail_mode mode;
	} modes[] = {
		{ 'm', SENDMAIL_SEND },	   { 's', SENDMAIL_SMTP },
		{ 'p', SENDMAIL_MAILQ },   { 'i', SENDMAIL_ALIASES },
		{ 'd', SENDMAIL_START },   { 'l', SENDMAIL_START },
		{ 'v', SENDMAIL_VERIFY },
	};

	if (letter[0] == 'h' || letter[0] == 'H')
		return; /* host status: there is none to keep */
	for (size_t i = 0; i < ARRAY_LEN(modes); i++)
		if (letter[0] == modes[i].letter) {
			s->mode = modes[i].mode;
			return;
		}
	sendmail_die(EX_USAGE, "unsupported: -b%s", letter);
}

/* -oX of old; all but a few mean nothing here. */
static void old_option_take(struct sendmail *s, const char *text)
{
	switch (text[0]) {
	case 'A':
		if (text[1] == '\0')
			sendmail_die(EX_USAGE,
				     "-oA requires pathname argument");
		s->alias_file = text + 1;
		break;
	case 'i':
		s->dot_is_text = true;
		break;
	default:
		break;
	}
}

static void queue_option_take(struct sendmail *s, const char *text)
{
	if (text == NULL) {
		s->mode = SENDMAIL_FLUSH;
	} else if (ascii_is_digit(text[0])) {
		return; /* an interval: the queue manager has its own */
	} else if (text[0] == 'I' || text[0] == 'R') {
		s->mode = text[0] == 'I' ? SENDMAIL_FLUSH_ID :
					   SENDMAIL_FLUSH_SITE;
		s->queue_target = text + 1;
		if (text[1] == '\0')
			sendmail_die(EX_USAGE, "specify: -q%c%s", text[0],
				     text[0] == 'I' ? "queueid" : "sitename");
	} else {
		sendmail_die(EX_USAGE, "-q%c is not implemented", text[0]);
	}
}

static void body_take(struct sendmail *s, const char *text)
{
	if (span_is_nocase(span_from(text), "8BITMIME"))
		s->body = MAILDROP_BODY_8BIT;
	else if (span_is_nocase(span_from(text), "7BIT"))
		s->body = MAILDROP_BODY_7BIT;
	else
		sendmail_die(EX_USAGE, "-B option needs 8BITMIME or 7BIT");
}

static void dsn_take(struct sendmail *s, char option, const char *text)
{
	if (option == 'N') {
		if (!smtp_notify_parse(span_from(text), &s->notify))
			log_warning("bad -N option value -- ignored");
		return;
	}
	if (span_is_nocase(span_from(text), "hdrs"))
		s->ret = SMTP_RET_HDRS;
	else if (span_is_nocase(span_from(text), "full"))
		s->ret = SMTP_RET_FULL;
	else
		log_warning("bad -R option value -- ignored");
}

/* -XV[xy]; -X with a file name was a traffic log. */
static void verp_take(struct sendmail *s, const char *text)
{
	if (text[0] != 'V')
		sendmail_die(EX_USAGE, "unsupported: -X%c", text[0]);
	s->verp = text + 1;
}

static void setting_take(const char *text)
{
	if (span_starts_nocase(span_from(text), "requiretls="))
		sendmail_die(EX_USAGE, "-O %s is not supported yet", text);
	/* Other settings are of another program and mean nothing here. */
}

static void option_take(struct sendmail *s, int option, const char *value)
{
	switch (option) {
	case 'b':
		mode_take(s, value);
		break;
	case 'B':
		body_take(s, value);
		break;
	case 'C':
		s->config_directory = value;
		break;
	case 'f':
	case 'r':
		s->sender = value;
		break;
	case 'F':
		s->full_name = value;
		break;
	case 'G':
		s->gateway = true;
		break;
	case 'i':
		s->dot_is_text = true;
		break;
	case 'I':
		s->mode = SENDMAIL_ALIASES;
		break;
	case 'N':
	case 'R':
		dsn_take(s, (char)option, value);
		break;
	case 'o':
		old_option_take(s, value);
		break;
	case 'O':
		setting_take(value);
		break;
	case 'q':
		queue_option_take(s, value);
		break;
	case 't':
		s->extract = true;
		break;
	case 'v':
		s->verbose++;
		break;
	case 'V':
		s->envid = value;
		break;
	case 'X':
		verp_take(s, value);
		break;
	case 'A':
	case 'h':
	case 'L':
	case 'm':
	case 'n':
	case 'U':
	case 'x':
		break; /* of no meaning here, as in the reference */
	default:
		usage();
	}
}

/* -C names main.cf or its directory. */
static void config_directory_fix(TALLOC_CTX *mem, struct sendmail *s)
{
	struct span path = span_from(s->config_directory);

	if (span_ends(path, "/main.cf"))
		s->config_directory = mem_span_dup(
			mem, span_take(path, path.len - strlen("/main.cf")));
}

struct sendmail *sendmail_options(TALLOC_CTX *mem, int argc, char **argv)
{
	struct sendmail *s = mem_new(mem, struct sendmail);
	const char *slash = strrchr(argv[0], '/');
	const char *name = slash == NULL ? argv[0] : slash + 1;
	int option;

	if (span_is(span_from(name), "mailq"))
		s->mode = SENDMAIL_MAILQ;
	else if (span_is(span_from(name), "newaliases"))
		s->mode = SENDMAIL_ALIASES;
	if (argc == 2 && span_is(span_from(argv[1]), "--help"))
		help(s);
	while ((option = getopt(argc, argv,
				"+A:B:C:F:GIL:N:O:R:UV:X:b:f:h:imno:q::r:tvx")) >
	       0)
		option_take(s, option, optarg);
	if (s->config_directory != NULL)
		config_directory_fix(mem, s);
	s->recipients = argv + optind;
	return s;
}
