/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <unistd.h>

#include "plan/qmgr_priv.h"
#include "queue/control.h"
#include "sys/log.h"

enum {
	DRAIN_POLL_MS = 200,
	/* For results of what is under way, when nobody waits for us; what has
	 * no result by then is delivered again. */
	STOP_WAIT_MS = 3000,
};

struct program {
	struct service *service;
	struct poller *poller;
	struct poller_watch *control;
	struct qmgr *qmgr;
	bool is_stopping;
	uint64_t stop_at_ms;
};

static void program_stop(struct program *program, bool at_once)
{
	if (at_once || !program->is_stopping)
		program->stop_at_ms =
			at_once ? clock_mono_ms() + STOP_WAIT_MS : UINT64_MAX;
	program->is_stopping = true;
	qmgr_drain(program->qmgr);
}

static bool program_is_over(const struct program *program)
{
	return program->is_stopping && (qmgr_is_idle(program->qmgr) ||
					clock_mono_ms() >= program->stop_at_ms);
}

static void program_reload(struct program *program)
{
	struct fault fault;

	if (service_reload(program->service, &fault) != RC_OK) {
		log_error("the new configuration is not used: %s", fault.text);
		return;
	}
	qmgr_reload(program->qmgr, program->service->conf);
}

static void control_ready(void *arg, int fd, uint32_t events)
{
	struct program *program = arg;

	switch (control_receive(program->service)) {
	case ORDER_MASTER_GONE:
		TALLOC_FREE(program->control);
		program_stop(program, true);
		break;
	case ORDER_DRAIN:
	case ORDER_END:
		program_stop(program, false);
		break;
	case ORDER_RELOAD:
		program_reload(program);
		break;
	case ORDER_WAKEUP:
	case ORDER_NONE:
		break;
	}
}

static void terminated(void *arg, int signal)
{
	program_stop(arg, true);
}

static void program_open(struct program *program, TALLOC_CTX *mem)
{
	struct store *store;
	struct fault fault;

	if (poller_open(mem, &program->poller, &fault) != RC_OK ||
	    poller_signal(program->poller, SIGTERM, terminated, program,
			  &fault) != RC_OK ||
	    service_confine(program->service, &fault) != RC_OK ||
	    store_open(mem, ".", STORE_OWNER, &store, &fault) != RC_OK ||
	    qmgr_open(mem, program->service->conf, store, program->poller,
		      &program->qmgr, &fault) != RC_OK ||
	    qmgr_load(program->qmgr, &fault) != RC_OK)
		log_fatal("%s", fault.text);
	if (poller_watch(mem, program->poller, program->service->control_fd,
			 EPOLLIN, control_ready, program, &program->control,
			 &fault) != RC_OK)
		log_fatal("control socket: %s", fault.text);
	for (int i = 0; i < program->service->listen_count; i++)
		peers_listen(program->qmgr->peers, SERVICE_LISTEN_FD + i);
}

int main(int argc, char **argv)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct program program = { 0 };
	struct fault fault;

	program.service = service_start(mem, argc, argv);
	program_open(&program, mem);
	control_say_ready(program.service);
	while (!program_is_over(&program))
		if (poller_run_once(program.poller,
				    program.is_stopping ? DRAIN_POLL_MS : -1,
				    &fault) != RC_OK)
			log_fatal("%s", fault.text);
	/* The store syncs what it wrote when it is closed. */
	conf_unref(program.service->conf);
	talloc_free(mem);
	return 0;
}
