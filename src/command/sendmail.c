/* SPDX-License-Identifier: Apache-2.0 */
#include "command/sendmail.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sysexits.h>
#include <unistd.h>

#include "sys/log.h"

enum { COMMAND_ARGS_MAX = 64 };

void sendmail_die(int status, const char *format, ...)
{
	char text[FAULT_TEXT_MAX_BYTES * 2];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "sendmail: fatal: %s\n", text);
	exit(status);
}

static struct conf *conf_open(const struct sendmail *s)
{
	const struct conf_source source = {
		.config_directory = s->config_directory,
		.process_name = "sendmail",
		.service_name = "sendmail",
	};
	struct fault fault;
	struct conf *conf;

	if (conf_load(&source, &conf, &fault) != RC_OK)
		sendmail_die(EX_CONFIG, "%s", fault.text);
	return conf;
}

/* Become another command of ours. */
static NORETURN void command_run(TALLOC_CTX *mem, const struct sendmail *s,
				 const char *const *argv)
{
	char *path = mem_printf(mem, "%s/%s", s->conf->v.command_directory,
				argv[0]);

	setenv("MAIL_CONFIG", s->conf->config_directory, 1);
	execv(path, (char *const *)argv);
	sendmail_die(EX_OSERR, "%s: %m", path);
}

static NORETURN void queue_command(TALLOC_CTX *mem, const struct sendmail *s)
{
	const char *argv[] = { "postqueue", "-p", NULL, NULL };

	if (s->mode == SENDMAIL_FLUSH)
		argv[1] = "-f";
	else if (s->mode == SENDMAIL_FLUSH_ID)
		argv[1] = "-i";
	else if (s->mode == SENDMAIL_FLUSH_SITE)
		argv[1] = "-s";
	argv[2] = s->queue_target;
	command_run(mem, s, argv);
}

static NORETURN void aliases_command(TALLOC_CTX *mem, const struct sendmail *s)
{
	const char *argv[COMMAND_ARGS_MAX] = { "postalias" };
	struct span rest = span_from(s->alias_file != NULL ?
					     s->alias_file :
					     s->conf->v.alias_database);
	struct span word;
	size_t count = 1;

	while (count < COMMAND_ARGS_MAX - 1 &&
	       span_token(&rest, ", \t\r\n", &word))
		argv[count++] = mem_span_dup(mem, word);
	if (count == 1)
		exit(EX_OK); /* no alias database, nothing to build */
	command_run(mem, s, argv);
}

static NORETURN void start_command(TALLOC_CTX *mem, const struct sendmail *s)
{
	static const char *const argv[] = { "postfix", "start", NULL };

	command_run(mem, s, argv);
}

static void arguments_refuse(const struct sendmail *s, const char *mode)
{
	if (s->recipients[0] != NULL)
		sendmail_die(EX_USAGE, "%s mode requires no recipient", mode);
}

static int mode_run(TALLOC_CTX *mem, struct sendmail *s)
{
	switch (s->mode) {
	case SENDMAIL_SEND:
		return sendmail_submit(mem, s);
	case SENDMAIL_SMTP:
		arguments_refuse(s, "stand-alone SMTP");
		return sendmail_smtp(mem, s);
	case SENDMAIL_VERIFY:
		return sendmail_verify(mem, s);
	case SENDMAIL_MAILQ:
		arguments_refuse(s, "display queue");
		queue_command(mem, s);
	case SENDMAIL_FLUSH:
	case SENDMAIL_FLUSH_ID:
	case SENDMAIL_FLUSH_SITE:
		arguments_refuse(s, "flush queue");
		queue_command(mem, s);
	case SENDMAIL_ALIASES:
		arguments_refuse(s, "alias initialization");
		aliases_command(mem, s);
	case SENDMAIL_START:
		arguments_refuse(s, "daemon");
		start_command(mem, s);
	}
	return EX_SOFTWARE;
}

/* 0, 1 and 2 are open whatever the caller did. */
static void descriptors_fix(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	close(fd);
}

int main(int argc, char **argv)
{
	TALLOC_CTX *mem;
	struct sendmail *s;
	int status;

	descriptors_fix();
	mem = talloc_new(NULL);
	log_open("postfix", "sendmail", LOG_TO_STDERR, -1, 0);
	s = sendmail_options(mem, argc, argv);
	s->conf = conf_open(s);
	status = mode_run(mem, s);
	conf_unref(s->conf);
	talloc_free(mem);
	return status;
}
