/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "command/instance.h"
#include "command/qmgr_client.h"
#include "conf/log_setup.h"
#include "conf/master_cf.h"
#include "sys/log.h"

enum { STOP_LIMIT_MS = 15000, STOP_STEP_US = 20000 };

struct postern {
	struct conf *conf;
	const char *program; /* "postern" or "postfix" */
	int argc;	     /* arguments after the subcommand */
	char **argv;
};

struct subcommand {
	const char *name;
	const char *help;
	int (*run)(struct postern *postern);
};

static const struct subcommand subcommands[];

static void usage(FILE *to, const char *program)
{
	fprintf(to,
		"usage: %s [-c DIR] [-v] COMMAND\n"
		"  -c DIR  configuration directory (default " PATH_CONFIG ")\n"
		"commands:\n",
		program);
	for (const struct subcommand *s = subcommands; s->name != NULL; s++)
		fprintf(to, "  %-16s %s\n", s->name, s->help);
}

/* To the person, and to the log as the reference's script does. Once, when there
 * is no log but standard error. */
PRINTF(2, 3)
static void announce(const struct postern *postern, const char *format, ...)
{
	char text[FAULT_TEXT_MAX_BYTES * 2];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "%s/postfix-script: %s\n", postern->conf->v.syslog_name,
		text);
	if (log_is_kept())
		log_info("%s", text);
}

NORETURN PRINTF(2, 3)
static void die(const struct postern *postern, const char *format, ...)
{
	char text[FAULT_TEXT_MAX_BYTES * 2];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	announce(postern, "fatal: %s", text);
	exit(1);
}

static void say(void *arg, const char *text)
{
	announce(arg, "%s", text);
}

static bool is_running(const struct postern *postern, pid_t *ret_pid)
{
	struct fault fault;
	enum rc rc = instance_master_pid(postern->conf, ret_pid, &fault);

	if (rc != RC_OK && rc != RC_NONE)
		die(postern, "%s", fault.text);
	return rc == RC_OK;
}

static pid_t require_running(const struct postern *postern)
{
	pid_t pid;

	if (is_running(postern, &pid))
		return pid;
	die(postern, "the Postfix mail system is not running");
}

static void require_root(const struct postern *postern)
{
	if (geteuid() == 0)
		return;
	fprintf(stderr, "%s: fatal: only root may do this\n", postern->program);
	exit(1);
}

static void signal_master(const struct postern *postern, pid_t pid,
			  int number)
{
	if (kill(pid, number) != 0)
		die(postern, "signal master, pid %d: %m", (int)pid);
}

static bool wait_for_end(const struct postern *postern, int limit_ms)
{
	uint64_t end = clock_mono_ms() + (uint64_t)limit_ms;
	pid_t pid;

	while (is_running(postern, &pid)) {
		if (limit_ms >= 0 && clock_mono_ms() > end)
			return false;
		usleep(STOP_STEP_US);
	}
	return true;
}

NORETURN static void exec_master(struct postern *postern, bool foreground)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *path = mem_printf(tmp, "%s/master",
				      postern->conf->v.daemon_directory);
	const char *argv[] = { path, "-c", postern->conf->config_directory,
			       foreground ? "-s" : NULL, NULL };

	execv(path, (char *const *)argv);
	die(postern, "exec %s: %m", path);
}

static void start(struct postern *postern, bool foreground)
{
	pid_t pid;

	require_root(postern);
	if (is_running(postern, &pid)) {
		die(postern, "the Postfix mail system is already running");
	}
	if (instance_check(postern->conf, true, say, postern) > 0) {
		die(postern, "not started, see above");
	}
	announce(postern, "starting the Postfix mail system");
	exec_master(postern, foreground);
}

static int run_start(struct postern *postern)
{
	start(postern, false);
	return 1;
}

static int run_start_fg(struct postern *postern)
{
	start(postern, true);
	return 1;
}

static int run_stop(struct postern *postern)
{
	pid_t pid;

	require_root(postern);
	pid = require_running(postern);
	announce(postern, "stopping the Postfix mail system");
	signal_master(postern, pid, SIGTERM);
	if (wait_for_end(postern, STOP_LIMIT_MS))
		return 0;
	announce(postern,
		 "warning: the master, pid %d, still runs; `%s abort` ends it",
		 (int)pid, postern->program);
	return 1;
}

static int run_abort(struct postern *postern)
{
	pid_t pid;

	require_root(postern);
	pid = require_running(postern);
	announce(postern, "aborting the Postfix mail system");
	signal_master(postern, pid, SIGQUIT);
	if (wait_for_end(postern, STOP_LIMIT_MS))
		return 0;
	signal_master(postern, pid, SIGKILL);
	return 0;
}

static int run_drain(struct postern *postern)
{
	require_root(postern);
	signal_master(postern, require_running(postern), SIGUSR1);
	return wait_for_end(postern, -1) ? 0 : 1;
}

static int run_reload(struct postern *postern)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct master_table *table;
	struct fault fault;
	pid_t pid;

	require_root(postern);
	pid = require_running(postern);
	if (master_cf_load(tmp, postern->conf, &table, &fault) != RC_OK) {
		announce(postern, "fatal: %s; nothing was reloaded",
			 fault.text);
		return 1;
	}
	announce(postern, "refreshing the Postfix mail system");
	signal_master(postern, pid, SIGHUP);
	return 0;
}

static int run_status(struct postern *postern)
{
	pid_t pid;

	if (!is_running(postern, &pid)) {
		announce(postern, "the Postfix mail system is not running");
		return 1;
	}
	announce(postern, "the Postfix mail system is running: PID: %d",
		 (int)pid);
	return 0;
}

static int run_flush(struct postern *postern)
{
	struct fault fault;

	require_running(postern);
	if (qmgr_client_flush(postern->conf, "", &fault) == RC_OK)
		return 0;
	announce(postern, "fatal: flush: %s", fault.text);
	return 1;
}

static int run_check(struct postern *postern)
{
	bool root = geteuid() == 0;

	return instance_check(postern->conf, root, say, postern) > 0 ? 1 : 0;
}

static void compress(const struct postern *postern, const char *path)
{
	const char *program = postern->conf->v.maillog_file_compressor;
	pid_t pid = fork();

	if (pid == 0) {
		execlp(program, program, path, (char *)NULL);
		log_fatal("exec %s: %m", program);
	}
	if (pid < 0)
		log_warning("compress %s: %m", path);
}

static int run_logrotate(struct postern *postern)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *path = postern->conf->v.maillog_file;
	const char *pattern = postern->conf->v.maillog_file_rotate_suffix;
	time_t now = time(NULL);
	char suffix[64], *target;
	struct tm local;

	require_root(postern);
	if (path[0] == '\0' || span_starts(span_from(path), "/dev/")) {
		announce(postern, "fatal: maillog_file = \"%s\" is no file to "
				  "rotate",
			 path);
		return 1;
	}
	localtime_r(&now, &local);
	if (strftime(suffix, sizeof(suffix), pattern, &local) == 0)
		die(postern, "maillog_file_rotate_suffix = %s: too long",
		    pattern);
	target = mem_printf(tmp, "%s.%s", path, suffix);
	if (rename(path, target) != 0)
		die(postern, "rename %s to %s: %m", path, target);
	signal_master(postern, require_running(postern), SIGUSR2);
	sleep(1); /* lines of writers that had the old file open */
	compress(postern, target);
	return 0;
}

static int run_help(struct postern *postern)
{
	usage(stdout, postern->program);
	return 0;
}

static const struct subcommand subcommands[] = {
	{ "start", "check directories and start the mail system", run_start },
	{ "start-fg", "the same in the foreground (containers)", run_start_fg },
	{ "stop", "finish what is begun, at most 5 seconds, and end", run_stop },
	{ "drain", "finish all that is begun, however long, and end",
	  run_drain },
	{ "abort", "end at once", run_abort },
	{ "reload", "take a changed configuration over", run_reload },
	{ "flush", "try to deliver all deferred mail now", run_flush },
	{ "status", "is it running?", run_status },
	{ "check", "look for mistakes; as root make and repair directories",
	  run_check },
	{ "set-permissions", "the same", run_check },
	{ "logrotate", "move maillog_file aside and compress it",
	  run_logrotate },
	{ "help", "this text", run_help },
	{ NULL, NULL, NULL },
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

static const char *options_parse(int argc, char **argv, const char *program,
				 int *ret_verbose)
{
	static const struct option longs[] = { { "help", no_argument, NULL, 'h' },
					       { "version", no_argument, NULL,
						 'V' },
					       { NULL, 0, NULL, 0 } };
	const char *config_directory = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "+c:DvhV", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			config_directory = optarg;
			break;
		case 'v':
			++*ret_verbose;
			break;
		case 'D':
			break;
		case 'h':
			usage(stdout, program);
			exit(0);
		case 'V':
			puts("postern " POSTERN_VERSION);
			exit(0);
		default:
			usage(stderr, program);
			exit(1);
		}
	}
	return config_directory;
}

static int dispatch(struct postern *postern, const char *name)
{
	for (const struct subcommand *s = subcommands; s->name != NULL; s++)
		if (span_is(span_from(name), s->name))
			return s->run(postern);
	fprintf(stderr, "%s: unknown command \"%s\"\n", postern->program, name);
	usage(stderr, postern->program);
	return 1;
}

int main(int argc, char **argv)
{
	struct postern postern = { .program = base_name(argv[0]) };
	struct conf_source source = { .process_name = "postfix-script",
				      .service_name = "postfix-script" };
	int verbose = 0, log_fd = -1;
	struct fault fault;

	umask(022);
	log_open("postfix", postern.program, LOG_TO_STDERR, -1, LOG_MAIL);
	source.config_directory =
		options_parse(argc, argv, postern.program, &verbose);
	if (optind >= argc) {
		usage(stderr, postern.program);
		return 1;
	}
	if (span_is(span_from(argv[optind]), "help")) {
		usage(stdout, postern.program);
		return 0;
	}
	if (conf_load(&source, &postern.conf, &fault) != RC_OK)
		log_fatal("%s", fault.text);
	if (geteuid() == 0 &&
	    log_file_open(postern.conf, &log_fd, &fault) == RC_CONF)
		log_fatal("%s", fault.text);
	log_setup(postern.conf, "postfix-script", log_fd);
	log_set_verbose(verbose);
	postern.argc = argc - optind - 1;
	postern.argv = argv + optind + 1;
	return dispatch(&postern, argv[optind]);
}
