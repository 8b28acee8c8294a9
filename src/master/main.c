/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "conf/log_setup.h"
#include "master/supervisor.h"
#include "sys/log.h"

struct options {
	const char *config_directory;
	bool foreground;
	bool test_lock;
};

static void usage(FILE *to)
{
	fputs("usage: master [-c DIR] [-s] [-t]\n"
	      "  -c DIR  configuration directory\n"
	      "  -s      stay in the foreground\n"
	      "  -t      exit with 0 when no master runs here, 1 when one does\n"
	      "The mail system is started and stopped with postern(1).\n",
	      to);
}

static struct options options_parse(int argc, char **argv)
{
	static const struct option longs[] = { { "help", no_argument, NULL, 'h' },
					       { NULL, 0, NULL, 0 } };
	struct options options = { 0 };
	int c;

	while ((c = getopt_long(argc, argv, "c:sth", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			options.config_directory = optarg;
			break;
		case 's':
			options.foreground = true;
			break;
		case 't':
			options.test_lock = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(1);
		}
	}
	return options;
}

/* The lock of the instance: held on pid/master.pid for as long as we live. */
static int lock_open(const struct conf *conf, bool *ret_taken)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *folder = conf->v.process_id_directory;
	char *path = mem_printf(tmp, "%s/master.pid", folder);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		log_fatal("open %s/%s: %m; `postern check` makes missing "
			  "directories",
			  conf->v.queue_directory, path);
	*ret_taken = flock(fd, LOCK_EX | LOCK_NB) == 0;
	if (!*ret_taken && errno != EWOULDBLOCK)
		log_fatal("lock %s/%s: %m", conf->v.queue_directory, path);
	return fd;
}

static void lock_write_pid(int fd)
{
	if (ftruncate(fd, 0) != 0 || dprintf(fd, "%16d\n", (int)getpid()) < 0)
		log_fatal("write pid file: %m");
}

/* Fork; the parent waits until the child says that it serves, and ends with
 * 0, or with 1 when the child ended first. */
static int become_daemon(void)
{
	int pair[2];
	char byte;
	pid_t pid;

	if (pipe2(pair, O_CLOEXEC) != 0)
		log_fatal("pipe: %m");
	pid = fork();
	if (pid < 0)
		log_fatal("fork: %m");
	if (pid > 0) {
		close(pair[1]);
		_exit(read(pair[0], &byte, 1) == 1 ? 0 : 1);
	}
	close(pair[0]);
	setsid();
	return pair[1];
}

static void daemon_ready(int ready_fd, const struct conf *conf, int log_fd)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (ready_fd < 0)
		return;
	if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
	    dup2(null_fd, STDOUT_FILENO) < 0 ||
	    dup2(null_fd, STDERR_FILENO) < 0)
		log_fatal("/dev/null: %m");
	close(null_fd);
	log_setup(conf, "master", log_fd);
	if (write(ready_fd, "", 1) != 1)
		log_warning("the starting command went away");
	close(ready_fd);
}

/* An error at start goes to the log and to the person at the terminal. */
NORETURN static void start_failed(const struct conf *conf, int log_fd,
				  const struct fault *fault)
{
	log_setup(conf, "master", log_fd);
	log_error("%s", fault->text);
	log_open("postfix", "master", LOG_TO_STDERR, -1, LOG_MAIL);
	log_fatal("%s", fault->text);
}

static struct conf *conf_read(const struct options *options)
{
	struct conf_source source = {
		.config_directory = options->config_directory,
		.process_name = "master",
		.service_name = "master",
	};
	struct conf *conf;
	struct fault fault;

	if (conf_load(&source, &conf, &fault) != RC_OK)
		log_fatal("%s", fault.text);
	if (chdir(conf->v.queue_directory) != 0)
		log_fatal("queue_directory %s: %m; `postern check` makes "
			  "missing directories",
			  conf->v.queue_directory);
	return conf;
}

int main(int argc, char **argv)
{
	struct options options = options_parse(argc, argv);
	struct supervisor *supervisor;
	int lock_fd, log_fd = -1, ready_fd = -1;
	struct conf *conf;
	struct fault fault;
	bool free_here;

	log_open("postfix", "master", LOG_TO_STDERR, -1, LOG_MAIL);
	umask(022);
	conf = conf_read(&options);
	lock_fd = lock_open(conf, &free_here);
	if (options.test_lock)
		return free_here ? 0 : 1;
	if (!free_here)
		log_fatal("another master runs with queue_directory %s",
			  conf->v.queue_directory);
	if (geteuid() != 0)
		log_fatal("the master is started by root");
	if (log_file_open(conf, &log_fd, &fault) == RC_CONF)
		log_fatal("%s", fault.text);
	if (!options.foreground) {
		ready_fd = become_daemon();
	} else {
		log_setup(conf, "master", log_fd);
	}
	lock_write_pid(lock_fd);
	if (supervisor_open(NULL, conf, log_fd, &supervisor, &fault) != RC_OK)
		start_failed(conf, log_fd, &fault);
	daemon_ready(ready_fd, conf, log_fd);
	log_info("daemon started -- version %s, configuration %s",
		 POSTERN_VERSION, conf->config_directory);
	conf_unref(conf);
	supervisor_run(supervisor);
	talloc_free(supervisor);
	return 0;
}
