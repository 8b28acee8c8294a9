/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/service.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "conf/log_setup.h"
#include "sys/log.h"

enum { OVERRIDE_MAX = 1000 };

/* What the command line said, before the configuration is read. */
struct service_args {
	const char **overrides;
	size_t override_count;
	const char **rest;
	size_t rest_count;
	int verbose;
};

static const char *program_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

static void args_add_override(struct service_args *args, const char *text)
{
	if (args->override_count == OVERRIDE_MAX)
		log_fatal("more than %d -o options", OVERRIDE_MAX);
	args->overrides[args->override_count++] = text;
}

static int args_number(const char *option, const char *text, int max)
{
	uint64_t value;

	if (!span_to_u64(span_from(text), (uint64_t)max, &value))
		log_fatal("option %s: \"%s\" is not a number up to %d", option,
			  text, max);
	return (int)value;
}

/* One option that takes a value; false when it is not one of ours. */
static bool args_take_valued(struct service *service, struct service_args *args,
			     char option, const char *value)
{
	switch (option) {
	case 'o':
		args_add_override(args, value);
		return true;
	case 'n':
		service->name = value;
		return true;
	case 't':
		service->type = value;
		return true;
	case 's':
		service->listen_count =
			args_number("-s", value, SERVICE_LISTEN_MAX);
		return true;
	case 'l':
		service->max_processes = args_number("-l", value, 1000000);
		return true;
	default:
		return false;
	}
}

static bool args_take_flag(struct service *service, struct service_args *args,
			   char option)
{
	switch (option) {
	case 'v':
		args->verbose++;
		return true;
	case 'D': /* a debugger is the operator's business: strace, gdb -p */
		return true;
	case 'u':
		service->unprivileged = true;
		return true;
	case 'c':
		service->chroot = true;
		return true;
	default:
		return false;
	}
}

/* Options cluster as getopt's do ("-vo name=value"); what is not an option of
 * every service ("flags=DRhu") is the program's own. */
static void args_parse(struct service *service, struct service_args *args,
		       int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i];

		if (span_starts(span_from(arg), "argv=")) {
			/* A command for pipe, with options of its own. */
			while (i < argc)
				args->rest[args->rest_count++] = argv[i++];
			break;
		}
		if (arg[0] != '-' || arg[1] == '\0') {
			args->rest[args->rest_count++] = arg;
			continue;
		}
		for (const char *p = arg + 1; *p != '\0'; p++) {
			const char *value;

			if (args_take_flag(service, args, *p))
				continue;
			value = p[1] != '\0' ? p + 1 :
				i + 1 < argc ? argv[i + 1] :
					       NULL;
			if (value == NULL ||
			    !args_take_valued(service, args, *p, value))
				log_fatal("unknown option \"%s\"; this program "
					  "is started by master, from a line "
					  "of master.cf",
					  arg);
			if (p[1] == '\0')
				i++;
			break;
		}
	}
}

static void require_master(const struct service *service)
{
	if (fcntl(SERVICE_CONTROL_FD, F_GETFD) >= 0 &&
	    fcntl(SERVICE_LOG_FD, F_GETFD) >= 0 && service->name != NULL &&
	    service->type != NULL)
		return;
	log_fatal("this program is started by master, from a line of "
		  "master.cf; to start the mail system: postern start");
}

/* The file behind the listening sockets. */
static void secret_take(struct service *service)
{
	int fd = SERVICE_LISTEN_FD + service->listen_count;

	if (strcmp(service->type, "inet") == 0 &&
	    fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
		service->secret_fd = fd;
}

static void set_close_on_exec(const struct service *service)
{
	for (int fd = SERVICE_CONTROL_FD;
	     fd < SERVICE_LISTEN_FD + service->listen_count; fd++)
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
			log_fatal("file descriptor %d from master: %m", fd);
	for (int i = 0; i < service->listen_count; i++) {
		int flags = fcntl(SERVICE_LISTEN_FD + i, F_GETFL);

		if (flags < 0 || fcntl(SERVICE_LISTEN_FD + i, F_SETFL,
				       flags | O_NONBLOCK) < 0)
			log_fatal("listening socket %d from master: %m", i);
	}
}

/* The configuration that would say where the log is could not be read. */
static bool log_file_given(void)
{
	struct stat given, null;

	return fstat(SERVICE_LOG_FD, &given) == 0 &&
	       stat("/dev/null", &null) == 0 && given.st_rdev != null.st_rdev;
}

struct service *service_start(TALLOC_CTX *mem, int argc, char **argv)
{
	struct service *service = mem_new(mem, struct service);
	struct service_args args = {
		.overrides = mem_array(service, const char *, OVERRIDE_MAX),
		.rest = mem_array(service, const char *, (size_t)argc + 1),
	};
	struct conf_source source = { 0 };
	struct fault fault;

	service->program = program_name(argv[0]);
	service->control_fd = SERVICE_CONTROL_FD;
	log_open("postfix", service->program, LOG_TO_STDERR, -1, LOG_MAIL);
	args_parse(service, &args, argc, argv);
	require_master(service);
	set_close_on_exec(service);
	secret_take(service);
	service->argv = args.rest;
	service->argc = args.rest_count;

	source.overrides = args.overrides;
	source.override_count = args.override_count;
	source.process_name = service->program;
	source.service_name = service->name;
	if (conf_load(&source, &service->conf, &fault) != RC_OK) {
		log_open("postfix", service->program,
			 log_file_given() ? LOG_TO_FD : LOG_TO_SYSLOG,
			 SERVICE_LOG_FD, LOG_MAIL);
		log_fatal("%s", fault.text);
	}
	log_setup(service->conf, service->program, SERVICE_LOG_FD);
	log_set_verbose(args.verbose);
	tzset();
	service->source = source;
	return service;
}

enum rc service_reload(struct service *service, struct fault *fault)
{
	struct conf *conf;

	if (conf_load(&service->source, &conf, fault) != RC_OK)
		return fault->rc;
	conf_unref(service->conf);
	service->conf = conf;
	return RC_OK;
}

static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	    limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
			log_warning("set limit of open files: %m");
	}
}

static enum rc become_mail_owner(const struct service *service,
				 const struct passwd *owner,
				 struct fault *fault)
{
	if (setgroups(0, NULL) != 0 ||
	    setresgid(owner->pw_gid, owner->pw_gid, owner->pw_gid) != 0 ||
	    setresuid(owner->pw_uid, owner->pw_uid, owner->pw_uid) != 0)
		return fault_set(fault, RC_CONF, "4.3.0",
				 "become mail_owner %s: %m",
				 service->conf->v.mail_owner);
	if (owner->pw_uid != 0 && setuid(0) == 0)
		return fault_set(fault, RC_CONF, "4.3.0",
				 "became %s, but can still become root",
				 service->conf->v.mail_owner);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return fault_set(fault, RC_CONF, "4.3.0",
				 "set no_new_privs: %m");
	return RC_OK;
}

enum rc service_confine(struct service *service, struct fault *fault)
{
	const char *queue_directory = service->conf->v.queue_directory;
	const struct passwd *owner = NULL;

	raise_descriptor_limit();
	if (service->unprivileged) {
		errno = 0;
		owner = getpwnam(service->conf->v.mail_owner);
		if (owner == NULL)
			return fault_set(fault, RC_CONF, "4.3.0",
					 "mail_owner %s: no such user",
					 service->conf->v.mail_owner);
	}
	if (chdir(queue_directory) != 0)
		return fault_set(fault, RC_CONF, "4.3.0",
				 "queue_directory %s: %m", queue_directory);
	if (service->chroot && (chroot(".") != 0 || chdir("/") != 0))
		return fault_set(fault, RC_CONF, "4.3.0", "chroot to %s: %m",
				 queue_directory);
	if (owner != NULL && geteuid() == 0)
		return become_mail_owner(service, owner, fault);
	return RC_OK;
}
