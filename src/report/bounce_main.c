/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "base/clock.h"
#include "queue/control.h"
#include "report/bounce.h"
#include "sys/log.h"
#include "sys/poller.h"
#include "sys/socket_unix.h"
#include "sys/workers.h"

enum {
	AT_ONCE = 40, /* notices under way; one flush serves many */
	THREADS_MAX = 10,
	DRAIN_MS = 15000,
	STATUSES_MAX = 10000,
	MEMORY_BUDGET_BYTES = 16 * 1024 * 1024,
	COMMIT_TIMEOUT_MS = 10000,
	INTAKE_CHECK_MS = 1000,
	LINKS_MAX = 16,
};

struct link;

struct program {
	struct service *service;
	struct link *all_links;
	struct poller *poller;
	struct poller_watch *control, *intake_watch;
	struct poller_timer tick;
	struct intake *intake;
	struct bounce *bounce;
	struct workers *workers;
	int links;
	int intake_fd;
};

/* One connection of qmgr. */
struct link {
	struct program *program;
	struct link *prev, *next;
	int fd;
	struct poller_watch *watch;
};

/* Belongs to the thread that works on it. */
struct request {
	struct workers_session session;
	struct bounce *bounce;
	int answer_fd; /* its own, so that the link may go */
	uint64_t id, offset;
	uint32_t kind;
	const char *queue_id;
	struct delivery_status *statuses;
	size_t count;
	int fd;
};

static int request_done(struct request *request)
{
	if (request->fd >= 0)
		close(request->fd);
	if (request->answer_fd >= 0)
		close(request->answer_fd);
	return 0;
}

static bool request_take(struct request *request, struct packet_in *in)
{
	uint32_t count;

	request->fd = packet_take_fd(in);
	request->id = packet_take_u64(in);
	request->kind = packet_take_u32(in);
	request->queue_id = packet_take_text(in, request);
	request->offset = packet_take_u64(in);
	count = packet_take_u32(in);
	if (in->bad || in->type != WIRE_NOTICE ||
	    request->kind >= NOTICE_KINDS || count > STATUSES_MAX ||
	    request->fd < 0)
		return false;
	request->statuses = mem_array(request, struct delivery_status, count);
	for (uint32_t i = 0; i < count; i++)
		if (!delivery_status_take(in, request,
					  &request->statuses[request->count++]))
			return false;
	return true;
}

static struct request *request_new(const struct program *program)
{
	struct request *request = mem_new(NULL, struct request);

	request->fd = request->answer_fd = -1;
	request->bounce = program->bounce;
	talloc_set_destructor(request, request_done);
	return request;
}

static enum rc request_serve(struct request *request, struct fault *fault)
{
	struct image *image;
	struct bounce_report report;
	size_t kept = 0;

	if (image_open(request, request->fd, request->offset, false, &image,
		       fault) != RC_OK)
		return fault_add(fault, "read the message");
	for (size_t i = 0; i < request->count; i++)
		if (request->statuses[i].recipient <
		    image->env->recipient_count)
			request->statuses[kept++] = request->statuses[i];
	report = (struct bounce_report){
		.kind = (enum notice_kind)request->kind,
		.queue_id = request->queue_id,
		.image = image,
		.statuses = request->statuses,
		.count = kept,
	};
	if (kept == 0)
		return RC_OK;
	return bounce_report(request->bounce, &report, fault);
}

static void link_close(struct link *link)
{
	TALLOC_FREE(link->watch);
	close(link->fd);
	link->program->links--;
	DL_DELETE(link->program->all_links, link);
	talloc_free(link);
}

static void request_answer(const struct request *request, bool sent)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct packet_out out;
	struct fault fault;

	packet_begin(&out, tmp, WIRE_NOTICE_DONE);
	packet_put_u64(&out, request->id);
	packet_put_u32(&out, sent);
	/* When qmgr is gone, it asks again. */
	if (packet_send(request->answer_fd, &out, &fault) != RC_OK)
		log_warning("%s: answer to qmgr: %s", request->queue_id,
			    fault.text);
}

static enum workers_next request_run(struct workers_session *session,
				     struct worker *me, unsigned woke)
{
	struct request *request = HOLDER_OF(session, struct request, session);
	struct fault fault;
	enum rc rc = request_serve(request, &fault);

	if (rc != RC_OK)
		log_warning("%s: %s", request->queue_id, fault.text);
	request_answer(request, rc == RC_OK);
	talloc_free(request);
	return WORKERS_END;
}

static void request_start(struct program *program, struct request *request,
			  int fd)
{
	struct fault fault;

	request->answer_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	request->session.run = request_run;
	request->session.fd = -1;
	if (request->answer_fd >= 0 &&
	    workers_add(program->workers, &request->session, &fault) == RC_OK)
		return;
	log_warning("%s: no thread for a notice; later", request->queue_id);
	if (request->answer_fd >= 0)
		request_answer(request, false);
	talloc_free(request);
}

static void link_ready(void *arg, int fd, uint32_t events)
{
	struct link *link = arg;
	struct request *request = request_new(link->program);
	struct packet_in in;
	struct fault fault;
	enum rc rc = packet_receive(request, fd, &in, &fault);

	if (rc == RC_OK && request_take(request, &in)) {
		request_start(link->program, request, fd);
		return;
	}
	if (rc == RC_OK)
		log_warning("malformed request of type %d", in.type);
	talloc_free(request);
	if (rc != RC_NONE)
		link_close(link);
}

static void link_hello(struct link *link)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct packet_out out;
	struct fault fault;

	packet_begin(&out, tmp, WIRE_AGENT_HELLO);
	packet_put_u32(&out, AT_ONCE);
	if (packet_send(link->fd, &out, &fault) != RC_OK)
		log_warning("greet qmgr: %s", fault.text);
}

static void listen_ready(void *arg, int listen_fd, uint32_t events)
{
	struct program *program = arg;
	struct link *link;
	struct fault fault;
	int fd;

	if (socket_unix_accept(listen_fd, SOCK_NONBLOCK, &fd, &fault) != RC_OK)
		return;
	if (program->links >= LINKS_MAX) {
		close(fd);
		return;
	}
	link = mem_new(program->service, struct link);
	link->program = program;
	link->fd = fd;
	program->links++;
	DL_APPEND(program->all_links, link);
	if (poller_watch(link, program->poller, fd, EPOLLIN, link_ready, link,
			 &link->watch, &fault) != RC_OK) {
		log_warning("%s", fault.text);
		link_close(link);
		return;
	}
	link_hello(link);
}

static void stop(struct program *program)
{
	struct link *link;

	/* qmgr sees that it is to go elsewhere; a request that is not read yet
	 * it sends again. */
	DL_FOREACH (program->all_links, link)
		shutdown(link->fd, SHUT_RD);
	poller_stop(program->poller);
}

static void control_ready(void *arg, int fd, uint32_t events)
{
	struct program *program = arg;

	switch (control_receive(program->service)) {
	case ORDER_MASTER_GONE:
		TALLOC_FREE(program->control);
		stop(program);
		break;
	case ORDER_DRAIN:
	case ORDER_END:
	case ORDER_RELOAD: /* a new configuration is a new process */
		stop(program);
		break;
	case ORDER_WAKEUP:
	case ORDER_NONE:
		break;
	}
}

static void terminated(void *arg, int signal)
{
	stop(arg);
}

static void intake_ready(void *arg, int fd, uint32_t events)
{
	struct program *program = arg;

	intake_qmgr_check(program->intake);
}

/* The connection to qmgr comes and goes. */
static void intake_watch(struct program *program)
{
	int fd = intake_qmgr_fd(program->intake);
	struct fault fault;

	if (fd == program->intake_fd)
		return;
	TALLOC_FREE(program->intake_watch);
	program->intake_fd = fd;
	if (fd >= 0 && poller_watch(program->service, program->poller, fd,
				    EPOLLIN, intake_ready, program,
				    &program->intake_watch, &fault) != RC_OK)
		log_warning("%s", fault.text);
}

static void tick(void *arg)
{
	struct program *program = arg;

	/* It may close the socket: the watch goes first. */
	TALLOC_FREE(program->intake_watch);
	program->intake_fd = -1;
	intake_qmgr_check(program->intake);
	intake_watch(program);
	poller_timer_set(program->poller, &program->tick,
			 clock_mono_ms() + INTAKE_CHECK_MS);
}

static enum rc queue_open(struct program *program, TALLOC_CTX *mem,
			  struct fault *fault)
{
	struct conf *conf = program->service->conf;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const struct intake_config config = {
		.queue_directory = ".",
		.writer = program->service->name,
		.qmgr_socket = mem_printf(tmp, "public/%s",
					  conf->v.queue_service_name),
		.memory_budget_bytes = MEMORY_BUDGET_BYTES,
		.min_free_bytes = (uint64_t)conf->v.queue_minfree,
		.long_queue_ids = conf->v.enable_long_queue_ids,
		.commit_timeout_ms = COMMIT_TIMEOUT_MS,
	};
	static const struct workers_config workers = {
		.max_threads = THREADS_MAX,
		.max_sessions = AT_ONCE * LINKS_MAX,
	};
	struct cleanup_service *cleanup;

	if (workers_open(mem, &workers, &program->workers, fault) != RC_OK ||
	    intake_open(mem, &config, &program->intake, fault) != RC_OK ||
	    cleanup_service_open(mem, conf, program->intake, &cleanup, fault) !=
		    RC_OK)
		return fault->rc;
	return bounce_open(mem, conf, cleanup, &program->bounce, fault);
}

static void program_open(struct program *program, TALLOC_CTX *mem)
{
	struct fault fault;

	if (poller_open(mem, &program->poller, &fault) != RC_OK ||
	    poller_signal(program->poller, SIGTERM, terminated, program,
			  &fault) != RC_OK ||
	    service_confine(program->service, &fault) != RC_OK ||
	    queue_open(program, mem, &fault) != RC_OK ||
	    poller_watch(mem, program->poller, program->service->control_fd,
			 EPOLLIN, control_ready, program, &program->control,
			 &fault) != RC_OK)
		log_fatal("%s", fault.text);
	for (int i = 0; i < program->service->listen_count; i++) {
		struct poller_watch *watch;

		if (poller_watch(mem, program->poller, SERVICE_LISTEN_FD + i,
				 EPOLLIN, listen_ready, program, &watch,
				 &fault) != RC_OK)
			log_fatal("%s", fault.text);
	}
	program->intake_fd = -1;
	program->tick.fired = tick;
	program->tick.arg = program;
	tick(program);
}

int main(int argc, char **argv)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct program program = { 0 };
	struct fault fault;

	program.service = service_start(mem, argc, argv);
	program_open(&program, mem);
	control_say_ready(program.service);
	if (poller_run(program.poller, &fault) != RC_OK)
		log_fatal("%s", fault.text);
	talloc_free(program.workers); /* its threads use all the rest */
	talloc_free(program.service); /* watches that use the poller too */
	talloc_free(mem);
	return 0;
}
