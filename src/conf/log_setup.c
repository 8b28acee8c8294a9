/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/log_setup.h"

#include <fcntl.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#include "sys/log.h"

/* Names of syslog.conf(5). */
static const struct {
	const char *name;
	int number;
} facilities[] = {
	{ "auth", LOG_AUTH },	    { "authpriv", LOG_AUTHPRIV },
	{ "cron", LOG_CRON },	    { "daemon", LOG_DAEMON },
	{ "ftp", LOG_FTP },	    { "kern", LOG_KERN },
	{ "lpr", LOG_LPR },	    { "mail", LOG_MAIL },
	{ "news", LOG_NEWS },	    { "syslog", LOG_SYSLOG },
	{ "user", LOG_USER },	    { "uucp", LOG_UUCP },
	{ "local0", LOG_LOCAL0 },   { "local1", LOG_LOCAL1 },
	{ "local2", LOG_LOCAL2 },   { "local3", LOG_LOCAL3 },
	{ "local4", LOG_LOCAL4 },   { "local5", LOG_LOCAL5 },
	{ "local6", LOG_LOCAL6 },   { "local7", LOG_LOCAL7 },
};

static int facility_number(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(facilities); i++)
		if (span_is_nocase(span_from(name), facilities[i].name))
			return facilities[i].number;
	log_warning("syslog_facility \"%s\" is no facility; using mail", name);
	return LOG_MAIL;
}

void log_setup(const struct conf *conf, const char *program, int log_fd)
{
	log_setup_as(conf, conf->v.syslog_name, program, log_fd);
}

void log_setup_as(const struct conf *conf, const char *name,
		  const char *program, int log_fd)
{
	bool to_file = conf->v.maillog_file[0] != '\0' && log_fd >= 0;

	log_open(name, program,
		 to_file ? LOG_TO_FD : LOG_TO_SYSLOG, log_fd,
		 facility_number(conf->v.syslog_facility));
}

static bool prefix_allowed(const struct conf *conf, const char *path)
{
	struct span rest = span_from(conf->v.maillog_file_prefixes), prefix;

	while (span_token(&rest, ", \t\r\n", &prefix)) {
		struct span want = span_from(path);

		if (span_eq(span_take(want, prefix.len), prefix) &&
		    (want.len == prefix.len || prefix.ptr[prefix.len - 1] == '/' ||
		     path[prefix.len] == '/'))
			return true;
	}
	return false;
}

/* maillog_file_permissions: octal digits. */
static mode_t log_mode(const struct conf *conf)
{
	mode_t mode = 0;

	for (const char *p = conf->v.maillog_file_permissions; *p != '\0'; p++) {
		if (*p < '0' || *p > '7' || mode > 0777)
			return 0600;
		mode = mode * 8 + (mode_t)(*p - '0');
	}
	return mode;
}

enum rc log_file_open(const struct conf *conf, int *ret_fd, struct fault *fault)
{
	const char *path = conf->v.maillog_file;
	mode_t mode = log_mode(conf);
	int fd;

	if (path[0] == '\0')
		return RC_NONE;
	if (!prefix_allowed(conf, path))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "maillog_file = %s is below none of "
				 "maillog_file_prefixes = %s",
				 path, conf->v.maillog_file_prefixes);
	if (span_is(span_from(path), "/dev/stdout"))
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
	else
		fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
			  mode);
	if (fd < 0)
		return fault_set(fault, RC_CONF, "4.3.5", "maillog_file %s: %m",
				 path);
	*ret_fd = fd;
	return RC_OK;
}
