/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/log_setup.h"

#include <fcntl.h>
#include <stdlib.h>
#define SYSLOG_NAMES
#include <syslog.h>
#include <unistd.h>

#include "sys/log.h"

static int facility_number(const char *name)
{
	for (const CODE *code = facilitynames; code->c_name != NULL; code++)
		if (span_is_nocase(span_from(name), code->c_name))
			return code->c_val;
	log_warning("syslog_facility \"%s\" is no facility; using mail", name);
	return LOG_MAIL;
}

void log_setup(const struct conf *conf, const char *program, int log_fd)
{
	bool to_file = conf->v.maillog_file[0] != '\0' && log_fd >= 0;

	log_open(conf->v.syslog_name, program,
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

enum rc log_file_open(const struct conf *conf, int *ret_fd, struct fault *fault)
{
	const char *path = conf->v.maillog_file;
	mode_t mode = 0600;
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
