/* SPDX-License-Identifier: Apache-2.0 */
/* smtpd - mail from other hosts, by SMTP. Started by master. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include "arrive/smtpd/client_table.h"
#include "arrive/smtpd/sasl.h"
#include "arrive/smtpd/session.h"
#include "arrive/smtpd/stress.h"
#include "base/clock.h"
#include "queue/control.h"
#include "sys/log.h"
#include "sys/poller.h"

enum {
	THREADS_WITHOUT_LIMIT = 200,
	GENERATIONS = 16, /* that may drain at the same time */
	COMMIT_TIMEOUT_MS = 4000,
	MEMORY_BUDGET_BYTES = 64 * 1024 * 1024,
	SPARE_FILES = 64, /* for tables, the queue and DNS */
	QMGR_CHECK_MS = 1000,
};

struct smtpd {
	struct service *service;
	struct smtpd_server *server;
	struct stress *stress;
	struct intake *intake;
	struct workers *workers;
	struct poller *poller;
	struct poller_watch *control_watch;
	struct poller_timer qmgr_timer, report_timer;
	size_t max_sessions; /* the rest of the descriptors is for the work */
	bool draining;
};

/* ---- opening ---- */

static void refuse_start(const struct fault *fault)
{
	log_fatal("%s", fault->text);
}

/* Parameters that ask for what is not here yet: said once, never silent. */
static void warn_unsupported(const struct conf_values *v)
{
	const struct {
		bool set;
		const char *what;
	} asks[] = {
		{ v->smtpd_milters[0] != '\0',
		  "smtpd_milters: milters are not implemented yet" },
		{ v->smtpd_proxy_options[0] != '\0',
		  "smtpd_proxy_options: speed_adjust has no effect here; the "
		  "filter gets a message while it comes in" },
	};

	for (size_t i = 0; i < ARRAY_LEN(asks); i++)
		if (asks[i].set)
			log_warning("%s", asks[i].what);
}

/* Tables of rules, which may lie where only root can read. */
static enum rc open_rules(struct smtpd_server *server, int ticket_fd,
			  struct fault *fault)
{
	enum rc rc = smtpd_server_open_rules(server, fault);

	if (rc == RC_OK)
		rc = smtpd_server_tls_open(server, ticket_fd, fault);
	return rc;
}

/* "smtpd-" and the service, then a number: a generation that drains after a
 * reload still holds the name without one. */
static enum rc open_intake(struct smtpd *smtpd, struct fault *fault)
{
	const struct conf_values *v = &smtpd->service->conf->v;
	struct intake_config config = {
		.queue_directory = ".",
		.qmgr_socket = "public/qmgr",
		.memory_budget_bytes = MEMORY_BUDGET_BYTES,
		.min_free_bytes = v->queue_minfree > 0 ?
					  (uint64_t)v->queue_minfree :
					  (uint64_t)v->message_size_limit * 3 / 2,
		.long_queue_ids = v->enable_long_queue_ids,
		.commit_timeout_ms = COMMIT_TIMEOUT_MS,
	};
	char name[WRITER_NAME_MAX_BYTES];
	enum rc rc = RC_TEMP;

	for (int i = 0; rc == RC_TEMP && i < GENERATIONS; i++) {
		snprintf(name, sizeof(name), "smtpd-%.40s%s%.0d",
			 smtpd->service->name, i > 0 ? "-" : "", i);
		for (char *c = name; *c != '\0'; c++)
			if (!ascii_is_alnum(*c) && *c != '-')
				*c = '_';
		config.writer = name;
		rc = intake_open(smtpd->server, &config, &smtpd->intake, fault);
	}
	return rc;
}

static size_t max_files(void)
{
	struct rlimit files = { 1024, 1024 };

	getrlimit(RLIMIT_NOFILE, &files);
	return (size_t)MIN_OF(files.rlim_cur, 1000000);
}

/* A client that cannot be served hears so at once. */
static void refuse(void *arg, int fd, int listener)
{
	struct smtpd *smtpd = arg;
	char text[300];
	int len = snprintf(text, sizeof(text),
			   "421 4.3.2 %.200s Error: too many connections\r\n",
			   smtpd->service->conf->v.myhostname);

	(void)!send(fd, text, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
	log_warning("a connection was refused: the limit of open files "
		    "allows %zu",
		    smtpd->max_sessions);
}

static struct workers_session *accepted(void *arg, struct worker *me, int fd,
					int listener,
					const struct sockaddr *peer,
					socklen_t peer_size)
{
	struct smtpd *smtpd = arg;
	struct net_address address;

	if (workers_session_count(smtpd->workers) >= smtpd->max_sessions) {
		refuse(arg, fd, listener);
		close(fd);
		return NULL;
	}
	if (!net_address_from(peer, peer_size, &address)) {
		close(fd);
		return NULL;
	}
	return &smtpd_session_new(stress_server(smtpd->stress, clock_mono_ms()),
				  fd, &address)
			->ws;
}

static void *thread_begin(void *arg, TALLOC_CTX *mem)
{
	return smtpd_thread_new(mem);
}

static enum rc open_workers(struct smtpd *smtpd, struct fault *fault)
{
	int max_threads = smtpd->service->max_processes > 0 ?
				  smtpd->service->max_processes :
				  THREADS_WITHOUT_LIMIT;
	const struct workers_config config = {
		.max_threads = max_threads,
		.max_sessions = max_files(),
		.stack_bytes = 256 * 1024,
		.arg = smtpd,
		.accepted = accepted,
		.refuse = refuse,
		.thread_begin = thread_begin,
	};
	enum rc rc;

	smtpd->server->max_threads = max_threads;
	smtpd->max_sessions = max_files() > 2 * SPARE_FILES ?
				      max_files() - SPARE_FILES :
				      max_files() / 2;
	rc = workers_open(smtpd->server, &config, &smtpd->workers, fault);
	if (rc != RC_OK)
		return rc;
	smtpd->server->workers = smtpd->workers;
	smtpd->stress->stressed->workers = smtpd->workers;
	smtpd->stress->stressed->cleanup = smtpd->server->cleanup;
	smtpd->stress->stressed->max_threads = max_threads;
	for (int i = 0; rc == RC_OK && i < smtpd->service->listen_count; i++)
		rc = workers_listen(smtpd->workers, SERVICE_LISTEN_FD + i, i,
				    fault);
	return rc;
}

/* ---- working ---- */

/* leave: the whole system ends, so sessions end where a command would begin;
 * else they go on as long as their clients like, beside our successor. */
static void drain(struct smtpd *smtpd, bool leave)
{
	if (smtpd->draining)
		return;
	smtpd->draining = true;
	atomic_store(&smtpd->server->leaving, leave);
	atomic_store(&smtpd->stress->stressed->leaving, leave);
	workers_drain(smtpd->workers, leave);
	TALLOC_FREE(smtpd->control_watch);
}

static void control_ready(void *arg, int fd, uint32_t events)
{
	struct smtpd *smtpd = arg;

	switch (control_receive(smtpd->service)) {
	case ORDER_DRAIN:
		drain(smtpd, false);
		break;
	case ORDER_END:
	case ORDER_MASTER_GONE:
		drain(smtpd, true);
		break;
	case ORDER_RELOAD:
	case ORDER_WAKEUP:
	case ORDER_NONE:
		break;
	}
}

static void report_line(void *arg, const char *line)
{
	log_info_as("anvil", "%s", line);
}

static void report_clients(struct smtpd *smtpd)
{
	client_table_report(smtpd->server->clients,
			    smtpd->server->service_name, report_line, NULL);
}

static void drained(void *arg, int fd, uint32_t events)
{
	struct smtpd *smtpd = arg;

	report_clients(smtpd);
	poller_stop(smtpd->poller);
}

/* The connection to qmgr is looked after, whether mail comes or not. */
static void qmgr_tick(void *arg)
{
	struct smtpd *smtpd = arg;

	intake_qmgr_check(smtpd->intake);
	stress_look(smtpd->stress, smtpd->max_sessions, clock_mono_ms());
	poller_timer_set(smtpd->poller, &smtpd->qmgr_timer,
			 poller_now_ms(smtpd->poller) + QMGR_CHECK_MS);
}

static void report_tick(void *arg)
{
	struct smtpd *smtpd = arg;
	int every_s = smtpd->server->conf->v.anvil_status_update_time;

	report_clients(smtpd);
	poller_timer_set(smtpd->poller, &smtpd->report_timer,
			 poller_now_ms(smtpd->poller) +
				 (uint64_t)every_s * 1000);
}

static enum rc work(struct smtpd *smtpd, struct fault *fault)
{
	struct poller_watch *drained_watch;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	enum rc rc;

	rc = poller_watch(smtpd, smtpd->poller, smtpd->service->control_fd,
			  EPOLLIN, control_ready, smtpd, &smtpd->control_watch,
			  fault);
	if (rc == RC_OK)
		rc = poller_watch(tmp, smtpd->poller,
				  workers_drained_fd(smtpd->workers), EPOLLIN,
				  drained, smtpd, &drained_watch, fault);
	if (rc != RC_OK)
		return rc;
	smtpd->qmgr_timer =
		(struct poller_timer){ .fired = qmgr_tick, .arg = smtpd };
	qmgr_tick(smtpd);
	smtpd->report_timer =
		(struct poller_timer){ .fired = report_tick, .arg = smtpd };
	report_tick(smtpd);
	control_say_ready(smtpd->service);
	return poller_run(smtpd->poller, fault);
}

int main(int argc, char **argv)
{
	struct smtpd *smtpd = mem_new(NULL, struct smtpd);
	struct smtpd_server *server = mem_new(smtpd, struct smtpd_server);
	struct fault fault = { 0 };

	/* memory of sessions goes back and forth: no system call for it */
	mallopt(M_TRIM_THRESHOLD, 16 * 1024 * 1024);
	mallopt(M_MMAP_THRESHOLD, 1024 * 1024);
	mallopt(M_ARENA_MAX, 4);
	smtpd->service = service_start(smtpd, argc, argv);
	smtpd->server = server;
	server->conf = smtpd->service->conf;
	server->service_name = smtpd->service->name;
	warn_unsupported(&server->conf->v);
	if (open_rules(server, smtpd->service->secret_fd, &fault) != RC_OK ||
	    stress_open(smtpd, server, &smtpd->service->source,
			&smtpd->stress, &fault) != RC_OK ||
	    service_confine(smtpd->service, &fault) != RC_OK ||
	    open_intake(smtpd, &fault) != RC_OK ||
	    cleanup_service_open(server, server->conf, smtpd->intake,
				 &server->cleanup, &fault) != RC_OK ||
	    (server->sasl != NULL &&
	     sasl_start(server->sasl, &fault) != RC_OK) ||
	    poller_open(smtpd, &smtpd->poller, &fault) != RC_OK ||
	    open_workers(smtpd, &fault) != RC_OK ||
	    work(smtpd, &fault) != RC_OK)
		refuse_start(&fault);
	talloc_free(smtpd->workers); /* its threads use all the rest */
	conf_unref(smtpd->service->conf);
	talloc_free(smtpd);
	return 0;
}
